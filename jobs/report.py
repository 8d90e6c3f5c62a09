"""spark-submit entry point of the `report` stage; see submit.sh."""

import sys

from recsys_spark.cli import main

raise SystemExit(main(["report", *sys.argv[1:]]))
