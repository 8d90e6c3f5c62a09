"""A small shop whose stages before train are done, for tests of tuning."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import SparkSession

from recsys_spark.pipeline import run_pipeline
from recsys_spark.steps.context import Context
from recsys_spark.tuning.rounds import STAGES_BEFORE
from recsys_spark.tuning.space import OneOf, Real
from tests.e2e.small_shop import RUN_DATE, events, load, write_csv, write_shop

SPACE = (OneOf("width", (8, 16)), Real("dropout", 0.0, 0.5))


def tuning_shop(folder: Path, n_users: int = 60) -> Path:
    """Write the shop and return its configuration file."""
    file = write_shop(folder)
    write_csv(folder / "events.csv", ["user", "item", "what", "at"], events(n_users))
    return file


def before_train(spark: SparkSession, file: Path, **overrides: object) -> Context:
    """The walk after embed; a model of one epoch, so that a try takes no time."""
    return run_pipeline(spark, load(file, model__epochs=1, **overrides), RUN_DATE, stages=STAGES_BEFORE)
