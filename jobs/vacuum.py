"""spark-submit entry point of the `vacuum` command; see submit.sh."""

import sys

from recsys_spark.cli import main

raise SystemExit(main(["vacuum", *sys.argv[1:]]))
