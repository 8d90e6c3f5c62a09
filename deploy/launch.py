"""Starts spark-submit for submit.sh through recsys_spark.spark.launch of this checkout; nothing has to be installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from recsys_spark.spark.launch import main

sys.exit(main())
