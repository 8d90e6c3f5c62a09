"""The driver behind test_killed_embed.py: runs the pipeline up to embed, whose tasks are watched and may kill."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import SparkSession

from recsys_spark.config.file import load_config
from recsys_spark.config.sections import Config
from recsys_spark.encoding import buckets as _buckets
from recsys_spark.encoding import embed as embed_stage
from recsys_spark.pipeline import run_pipeline
from recsys_spark.spark.session import create_session
from recsys_spark.store.areas import Store
from recsys_spark.tables import ITEM_PROFILES, USER_PROFILES
from tests.slow.killing import PROPERTIES, run_again, wait_for_executors, watched

RUN_DATE = "2026-01-01"
N_FINISHED = 2
"""Tasks that come to their end before one kills: what they have written must not be written again."""
N_PARTITIONS = 8
"""Fewer than there are buckets, so that a task can be killed with one behind it and one ahead."""


def embedded(spark: SparkSession, cfg: Config, kill: str, notes: Path) -> dict[str, Any]:
    """What was visible before the stage ran, and what is afterwards."""
    store = Store(spark, cfg.run.store)
    vectors, encoders = store.vectors, store.vectors.encoders()
    before = {
        "begun": sum(len(store.files.names(vectors.folder(encoder))) for encoder in encoders),
        "vectors": sum(vectors.snapshot(encoder).read().count() for encoder in encoders),
        "finished": store.area(RUN_DATE).manifest("embed") is not None,
    }
    plain = embed_stage.encode_buckets
    embed_stage.encode_buckets = watched(plain, kill, notes, n_finished=N_FINISHED)
    try:
        ctx = run_pipeline(spark, cfg, RUN_DATE, stages=("ingest", "profiles", "embed"))
    finally:
        embed_stage.encode_buckets = plain
    profiles = ctx.table("profiles", ITEM_PROFILES).select("content_hash")
    profiles = profiles.unionByName(ctx.table("profiles", USER_PROFILES).select("content_hash"))
    return {
        "before": before,
        "texts": sorted(row.content_hash for row in profiles.where("content_hash is not null").distinct().collect()),
        "rows": sorted(
            [row.content_hash, np.array(row.vector, np.float32).tobytes().hex()] for row in ctx.embeddings.collect()
        ),
        "n_encoded": ctx.fact("embed", "n_encoded"),
    }


def forget(spark: SparkSession, cfg: Config) -> None:
    """Make the store one whose embed stage has never run."""
    store = Store(spark, cfg.run.store)
    for encoder in store.vectors.encoders():
        store.vectors.drop(encoder)
    store.files.delete(f"{store.area(RUN_DATE).folder}/embed.json")


def main(master: str, config: Path, runs: list[str]) -> None:
    """Do each run (NAME=KILL) in the one store. NAME/`result.json` gets its result, next to notes of its tasks."""
    _buckets.MAX_PARTITIONS = N_PARTITIONS
    spark, cfg = create_session({"spark.master": master, **PROPERTIES}, app_name="killed embed"), load_config(config)
    for run in runs:
        name, kill = run.split("=")
        notes = config.parent / name
        notes.mkdir()
        wait_for_executors(spark)
        spark.sparkContext.setJobGroup(name, "")
        result = embedded(spark, cfg, kill, notes)
        result["run_again"] = run_again(spark, name)
        (notes / "result.json").write_text(json.dumps(result))
        forget(spark, cfg)
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
