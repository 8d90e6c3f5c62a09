"""spark-submit entry point of the `rerank` stage; see submit.sh."""

import sys

from recsys_spark.cli import main

raise SystemExit(main(["rerank", *sys.argv[1:]]))
