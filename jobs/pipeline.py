"""spark-submit entry point of every stage in turn; see submit.sh."""

import sys

from recsys_spark.cli import main

raise SystemExit(main(["pipeline", *sys.argv[1:]]))
