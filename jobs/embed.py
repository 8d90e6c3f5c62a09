"""spark-submit entry point of the `embed` stage; see submit.sh."""

import sys

from recsys_spark.cli import main

raise SystemExit(main(["embed", *sys.argv[1:]]))
