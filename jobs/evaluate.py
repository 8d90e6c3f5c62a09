"""spark-submit entry point of the `evaluate` stage; see submit.sh."""

import sys

from recsys_spark.cli import main

raise SystemExit(main(["evaluate", *sys.argv[1:]]))
