"""The driver behind test_shipped_model.py: embeds on the cluster it is given with a model that only the driver has.

Run as a script, so that its functions travel to the executors by value: they need not find this file.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding.embed import build_embeddings, shipped_folders
from recsys_spark.encoding.files.identity import resolve_encoder, verified_folder
from recsys_spark.encoding.kernels.spec import EncoderSpec
from recsys_spark.encoding.provision import Provided, provide, ship
from recsys_spark.spark.session import create_session

N_EXECUTORS, START_SECONDS = 2, 120
TEXTS = [f"{colour} {thing} {n}" for colour in ("red", "blue") for thing in ("dress", "album") for n in range(100)]


def found_on_workers(spark: SparkSession, spec: EncoderSpec) -> list[list[str]]:
    """[process id of the executor, folder that its worker takes] of every executor."""

    def find(_: Iterator[int]) -> Iterator[list[str]]:
        time.sleep(0.2)  # so that one executor does not take all tasks
        grandparent = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1]
        yield [grandparent, str(verified_folder(spec, shipped_folders(spec)))]

    tasks = spark.sparkContext.parallelize(range(4 * N_EXECUTORS), 4 * N_EXECUTORS)
    return [list(pair) for pair in sorted({tuple(pair) for pair in tasks.mapPartitions(find).collect()})]


def vectors(spark: SparkSession, spec: EncoderSpec) -> dict[str, list[float]]:
    rows = [(sha256(text.encode()).hexdigest(), text) for text in TEXTS]
    texts = spark.createDataFrame(rows, "content_hash string, text string")
    embedded = build_embeddings(texts, spec, n_texts=len(TEXTS), n_threads=1).collect()
    return {row.content_hash: list(row.vector) for row in embedded}


def embedded(spark: SparkSession, model: str) -> dict[str, Any]:
    """What the stage gives after the driver's own copy is gone, and where the workers had theirs from."""
    cfg = Encoder(model=model)
    provided: Provided = provide(cfg, spark)
    spec = resolve_encoder(cfg, folder=provided.folder)
    shipped = ship(spec, provided, spark)
    again = ship(spec, provided, spark)
    # Executors of a real cluster are on other machines: here they must not see what the driver sees.
    shutil.move(provided.folder, f"{provided.folder}-away")
    return {
        "path": spec.path,
        "shipped": shipped.shipped,
        "again": again.shipped,
        "archives": len(spark.sparkContext.listArchives),
        "found": found_on_workers(spark, shipped),
        "vectors": vectors(spark, shipped),
    }


def main(master: str, folder: Path, archive: str) -> None:
    """Write what the model in ``folder / "models"``, and the one that the job's archive holds, gave."""
    properties = {"spark.master": master, "spark.executor.memory": "512m", "spark.archives": archive}
    spark = create_session(properties, app_name="shipped model")
    deadline = time.monotonic() + START_SECONDS
    while spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() <= N_EXECUTORS:
        assert time.monotonic() < deadline, "the executors did not come"
        time.sleep(0.1)
    models = {"folder": str(folder / "models" / "folder"), "archive": "minilm"}
    (folder / "result.json").write_text(json.dumps({name: embedded(spark, model) for name, model in models.items()}))
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
