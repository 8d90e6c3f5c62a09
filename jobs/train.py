"""spark-submit entry point of the `train` stage; see submit.sh."""

import sys

from recsys_spark.cli import main

raise SystemExit(main(["train", *sys.argv[1:]]))
