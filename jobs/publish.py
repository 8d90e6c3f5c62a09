"""spark-submit entry point of the `publish` stage; see submit.sh."""

import sys

from recsys_spark.cli import main

raise SystemExit(main(["publish", *sys.argv[1:]]))
