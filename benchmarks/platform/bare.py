"""A bare PySpark script: a session and 24 tiny grouped Parquet writes. Its arguments are Java's options."""

from __future__ import annotations

import sys
import tempfile

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

N_WRITES = 24
ROWS = [("1", "1", "a"), ("1", "2", "b"), ("1", "3", "b"), ("2", "2", "a"), ("2", "3", "a"), ("3", "1", "b")]


def main(java_options: str) -> None:
    """Run the script."""
    builder = SparkSession.builder.master("local[*]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.driver.extraJavaOptions", java_options).getOrCreate()
    table = spark.createDataFrame(ROWS, "user string, item string, kind string")
    with tempfile.TemporaryDirectory() as folder:
        for n in range(N_WRITES):
            counted = table.groupBy("user").agg(F.count("item").alias(f"n{n}"), F.max("kind").alias("kind"))
            counted.write.parquet(f"{folder}/{n}")
    spark.stop()


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]))
