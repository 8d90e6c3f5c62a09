"""spark-submit entry point of the `score` stage; see submit.sh."""

import sys

from recsys_spark.cli import main

raise SystemExit(main(["score", *sys.argv[1:]]))
