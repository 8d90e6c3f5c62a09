"""What an accepted address names is written and read there: by Spark, by Hadoop's client, and by pyarrow."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.address_kinds import SOURCE, STORE
from recsys_spark.config.addresses import address
from recsys_spark.config.encoder import Encoder
from recsys_spark.config.sources import Source
from recsys_spark.contract import RELATIONS
from recsys_spark.encoding.files.identity import resolve_encoder
from recsys_spark.encoding.provision import provide
from recsys_spark.errors import ConfigError, RecsysError, SourceError, StoreError
from recsys_spark.ingest.formats import open_source
from recsys_spark.steps.snapshot import input_snapshot
from recsys_spark.store.areas import Store
from recsys_spark.tables import RECOMMENDATIONS
from recsys_spark.training.kernels.checkpoint_files import Checkpoints
from recsys_spark.training.kernels.checkpoints import TrainingState
from tests.builders import config, frame
from tests.store.test_embeddings import append, encoded
from tests.tiny_encoder import tiny_encoder

NAMES = "_a/.b/c d/100%20/é日本/e,f/g#h/i=j/k'l/m&n/o+p/q;r/s$1/t@u/(v)/w~/%/!x|<y>"
"""Every name that Spark, Hadoop, pyarrow or a shell could read in another way, as one folder in the other."""


def taken(folder: Path) -> str:
    return address(f"file:{folder}", folder, STORE, key="run.store", where="job.toml")


def test_a_store_is_where_its_address_says(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / NAMES
    store = Store(spark, taken(folder))
    area = store.area("2026-01-01")
    attempt = area.attempt("ingest", "key")
    attempt.write(RELATIONS, frame(spark, RELATIONS, [{"user_id": "a", "friend_id": "b", "weight": 1.0}]))
    attempt.write_file("small", b"1")
    attempt.commit({}, 0.0)
    assert area.table("ingest", RELATIONS).count() == 1
    assert area.file("ingest", "small") == b"1"
    store.write_report("2026-01-01", "<html>")
    Checkpoints(attempt.checkpoint, "key", 1).save(TrainingState({}, {}))
    assert (folder / "runs/run_date=2026-01-01/main/ingest/checkpoint.safetensors").is_file()
    published = store.lists.publish(
        "2026-01-01", frame(spark, RECOMMENDATIONS, [{"user_id": "u", "rank": 1, "item_id": "i"}]), {}
    )
    assert store.lists.published("2026-01-01").count() == 1
    assert published.endswith(f"{folder}/recommendations/run_date=2026-01-01")
    assert pq.ParquetDataset(folder / "recommendations/run_date=2026-01-01").read().num_rows == 1
    assert (folder / "reports/run_date=2026-01-01.html").read_text() == "<html>"
    assert sorted(os.listdir(folder)) == ["recommendations", "reports", "runs"]
    assert os.listdir(tmp_path) == ["_a"], "nothing is written anywhere else"


def test_embeddings_are_found_again_at_an_odd_address(spark: SparkSession, tmp_path: Path) -> None:
    vectors = Store(spark, taken(tmp_path / NAMES)).vectors
    append(vectors, "a", "b")
    vectors.append("e", encoded(spark, "c"), known=vectors.snapshot("e"))
    assert vectors.compact("e")
    assert vectors.snapshot("e").read().count() == 3


@pytest.mark.parametrize("kind", ["csv", "json", "parquet", "orc", "text"])
def test_a_source_at_an_odd_address_is_read_whole(spark: SparkSession, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / NAMES / "t"
    rows = spark.createDataFrame([("1",), ("2",), ("3",)], "value string").coalesce(1)
    rows.write.format(kind).options(**({"header": "true"} if kind == "csv" else {})).save(str(folder))
    (written,) = [file for file in folder.iterdir() if file.name.startswith("part-")]
    file = written.rename(folder / f"é, 100%20#1=x.{kind}")
    for path in (folder, file, folder.parent / "[s-u]" / f"*.{kind}"):
        text = address(f"file:{path}", tmp_path, SOURCE, key="sources.items.path", where="job.toml")
        options = {"header": "true"} if kind == "csv" else {}
        source = Source(format=kind, path=text, options=options, columns={})  # type: ignore[arg-type]
        assert open_source(spark, source, where="sources.items").rows.count() == 3, text


def test_a_model_at_an_odd_address_is_the_same_model(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / NAMES).mkdir(parents=True)
    plain, odd = tiny_encoder(tmp_path), tiny_encoder(tmp_path / NAMES)
    found = provide(Encoder(model=f"file:{odd}"), spark).folder
    assert (
        resolve_encoder(Encoder(model=str(found))).encoder_id == resolve_encoder(Encoder(model=str(plain))).encoder_id
    )


@pytest.mark.parametrize(
    ("root", "kind", "said"),
    [
        ("nofs:/x", ConfigError, "Spark has no client for the address of `nofs:`"),
        ("s3a://bucket/x", ConfigError, "Spark has no client for the address of `s3a:`"),
        ("file://host/x", StoreError, "The address cannot be opened"),
    ],
)
def test_a_store_that_cannot_be_opened_is_said_before_anything_is_written(
    spark: SparkSession, root: str, kind: type[RecsysError], said: str
) -> None:
    with pytest.raises(kind, match=said) as caught:
        Store(spark, root).check()
    assert caught.value.where == "run.store"
    assert root in str(caught.value.found)


@pytest.mark.parametrize(
    ("path", "kind", "action"),
    [
        ("nofs:/x.csv", ConfigError, "add the client"),
        ("TMP/a:b/items.csv", SourceError, "colon"),
        ("/x/[a", SourceError, "pattern"),
    ],
)
def test_a_source_that_cannot_be_opened_names_its_key(
    spark: SparkSession, tmp_path: Path, path: str, kind: type[RecsysError], action: str
) -> None:
    (tmp_path / "a:b").mkdir()
    (tmp_path / "a:b/items.csv").touch()
    path = path.replace("TMP", str(tmp_path))
    sources = {"items": {"format": "csv", "path": path, "columns": {"item_id": "i"}}}
    cfg: Any = config(sources={**config().sources.model_dump(), **sources})
    ctx: Any = SimpleNamespace(cfg=cfg, store=Store(spark, "/x"), spark=spark, hidden=None)
    with pytest.raises(kind) as caught:
        input_snapshot(ctx)
    assert caught.value.where == "sources.items.path"
    assert action in str(caught.value.action)
