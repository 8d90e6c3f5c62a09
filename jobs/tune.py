"""spark-submit entry point of the `tune` command; see submit.sh."""

import sys

from recsys_spark.cli import main

raise SystemExit(main(["tune", *sys.argv[1:]]))
