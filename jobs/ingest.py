"""spark-submit entry point of the `ingest` stage; see submit.sh."""

import sys

from recsys_spark.cli import main

raise SystemExit(main(["ingest", *sys.argv[1:]]))
