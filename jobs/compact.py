"""spark-submit entry point of the `compact` command; see submit.sh."""

import sys

from recsys_spark.cli import main

raise SystemExit(main(["compact", *sys.argv[1:]]))
