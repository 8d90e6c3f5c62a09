"""spark-submit entry point of the `profiles` stage; see submit.sh."""

import sys

from recsys_spark.cli import main

raise SystemExit(main(["profiles", *sys.argv[1:]]))
