"""spark-submit entry point of the `encoders` command; see submit.sh."""

import sys

from recsys_spark.cli import main

raise SystemExit(main(["encoders", *sys.argv[1:]]))
