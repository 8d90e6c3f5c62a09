"""What a user can get wrong: a message with what, where, found, expected and what to do, and no partial output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pyspark.sql import SparkSession

from recsys_spark.cli import main
from recsys_spark.errors import ConfigError, DataError, EncoderError, RecsysError, SourceError
from recsys_spark.pipeline import parse_date, parse_time, run_pipeline
from tests.e2e.small_shop import RUN_DATE, events, items, load, write_csv, write_shop
from tests.tiny_encoder import tiny_encoder

EVENTS, ITEMS = ["user", "item", "what", "at"], ["item", "kind", "name"]


def refused(
    spark: SparkSession,
    folder: Path,
    kind: type[RecsysError],
    spoil: Callable[[Path], object] | None = None,
    **over: object,
) -> RecsysError:
    """Spoil the shop, run the pipeline, and return its error; the store must hold no published or finished thing."""
    file = write_shop(folder)
    if spoil:
        spoil(folder)
    with pytest.raises(kind) as caught:
        run_pipeline(spark, load(file, **over), RUN_DATE)
    error, store = caught.value, folder / "store"
    assert not (store / "recommendations").exists()
    assert not list(store.glob("runs/*/main/ingest.json"))
    assert [error.what, error.where, error.found, error.expected, error.action].count(None) == 0, str(error)
    return error


def test_missing_file(spark: SparkSession, tmp_path: Path) -> None:
    error = refused(spark, tmp_path, SourceError, lambda folder: (folder / "items.csv").unlink())
    assert "items.csv" in str(error)
    assert error.where is not None
    assert error.where.startswith("sources.items")
    assert error.action


def test_missing_catalog_table(spark: SparkSession, tmp_path: Path) -> None:
    source = {"table": "nowhere.items", "columns": {"item_id": "item"}}
    assert "nowhere.items" in str(refused(spark, tmp_path, SourceError, sources__items=source))


def test_misspelt_column_names_the_nearest(spark: SparkSession, tmp_path: Path) -> None:
    error = refused(spark, tmp_path, SourceError, sources__items__columns__title="nmae")
    assert "nmae" in str(error)
    assert "name" in str(error.action)


def test_expression_of_the_wrong_type_says_which_is_expected(spark: SparkSession, tmp_path: Path) -> None:
    error = refused(spark, tmp_path, SourceError, sources__items__columns__tags="name")
    assert "array<string>" in str(error)
    assert "split" in str(error.action)


def test_behaviour_without_a_weight(spark: SparkSession, tmp_path: Path) -> None:
    error = refused(spark, tmp_path, DataError, behaviours={"weights": {"browse": 1.0, "purchas": 1.0}})
    assert "purchase" in str(error)
    assert "default_weight" in str(error)


def test_as_of_before_all_data(spark: SparkSession, tmp_path: Path) -> None:
    file = write_shop(tmp_path)
    with pytest.raises(DataError, match="2025-1"):
        run_pipeline(spark, load(file), RUN_DATE, as_of="2020-01-01")


def test_no_items(spark: SparkSession, tmp_path: Path) -> None:
    error = refused(spark, tmp_path, DataError, lambda folder: write_csv(folder / "items.csv", ITEMS, []))
    assert "items" in str(error)


def test_no_behaviours(spark: SparkSession, tmp_path: Path) -> None:
    error = refused(spark, tmp_path, DataError, lambda folder: write_csv(folder / "events.csv", EVENTS, []))
    assert "behaviours" in str(error)


def test_top_n_larger_than_the_catalogue(spark: SparkSession, tmp_path: Path) -> None:
    error = refused(spark, tmp_path, DataError, run__top_n=21)
    assert "21" in str(error.found)
    assert "20" in str(error.expected)


def test_model_path_that_does_not_exist(spark: SparkSession, tmp_path: Path) -> None:
    assert "/nowhere/bert" in str(refused(spark, tmp_path, EncoderError, encoder__model="/nowhere/bert"))


def test_a_gpu_that_is_not_there(spark: SparkSession, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    error = refused(spark, tmp_path, EncoderError, encoder__device="cuda", encoder__backend="torch-float32")
    assert error.where == "encoder.device"


def test_model_folder_without_weights(spark: SparkSession, tmp_path: Path) -> None:
    empty = tiny_encoder(tmp_path, name="empty")
    (empty / "model.safetensors").unlink()
    assert "safetensors" in str(refused(spark, tmp_path, EncoderError, encoder__model=str(empty)))


def test_model_folder_that_would_run_remote_code(spark: SparkSession, tmp_path: Path) -> None:
    remote = tiny_encoder(tmp_path, name="remote")
    config = (remote / "config.json").read_text()
    (remote / "config.json").write_text(config.replace("{", '{"auto_map": {"AutoModel": "evil.Model"}, ', 1))
    assert "code" in str(refused(spark, tmp_path, EncoderError, encoder__model=str(remote)))


def test_a_truncated_file_is_named(spark: SparkSession, tmp_path: Path) -> None:
    def cut_short(folder: Path) -> None:
        spark.createDataFrame(items(), "item string, kind string, name string").coalesce(1).write.parquet(
            str(folder / "cut")
        )
        [part] = (folder / "cut").glob("part-*.parquet")
        part.write_bytes(part.read_bytes()[:-50])
        (folder / "cut" / f".{part.name}.crc").unlink(missing_ok=True)

    error = refused(
        spark,
        tmp_path,
        RecsysError,
        cut_short,
        sources__items__format="parquet",
        sources__items__path=str(tmp_path / "cut"),
    )
    assert "part-" in str(error) or "cut" in str(error)


def test_run_date_that_is_no_date() -> None:
    with pytest.raises(ConfigError, match="YYYY-MM-DD"):
        parse_date("2026-13-01")
    with pytest.raises(ConfigError, match="--as-of"):
        parse_time("yesterday")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pipelin"], "Did you mean `pipeline`?"),
        (["pipeline", "--config", "/nowhere.toml", "--run-date", "2026-01-01"], "does not exist"),
        (["pipeline", "--config", "CONFIG", "--run-date", "tomorrow"], "YYYY-MM-DD"),
        (
            ["pipeline", "--config", "CONFIG", "--run-date", "2026-01-01", "--set", "run.topn=3"],
            "Did you mean `top_n`?",
        ),
        (["pipeline", "--config", "CONFIG", "--run-date", "2026-01-01", "--set", "run.top_n"], "KEY=VALUE"),
    ],
)
def test_the_command_line_says_what_is_wrong_and_exits_with_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    config = str(write_shop(tmp_path))
    assert main([word.replace("CONFIG", config) for word in words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_dirty_rows_are_rejected_with_a_reason_and_counted(spark: SparkSession, tmp_path: Path) -> None:
    file = write_shop(tmp_path)
    dirt = [
        ("", "i00", "browse", "2025-12-01 00:00:00"),
        ("u00", "ghost", "browse", "2025-12-01 00:00:00"),
        ("u00", "i00", "browse", "no time"),
        ("u00", "i00", "browse", "2999-01-01 00:00:00"),
        ("x" * 513, "i00", "browse", "2025-12-01 00:00:00"),
        ("用户" * 80, "i00", "browse", "2025-12-01 00:00:00"),
    ]
    write_csv(tmp_path / "events.csv", EVENTS, [*events(), *dirt, events()[0]])
    write_csv(tmp_path / "items.csv", ITEMS, [*items(), ("i00", "jazz", "another title"), items()[1]])
    ctx = run_pipeline(spark, load(file), RUN_DATE, stages=["ingest"])
    assert ctx.fact("ingest", "rejected") == {
        "behaviours.bad_ts": 1,
        "behaviours.future_ts": 1,
        "behaviours.id_too_long": 1,
        "behaviours.null_id": 1,
        "behaviours.unknown_item": 1,
        "items.duplicate_item": 1,
    }
    assert ctx.area.finished("ingest").rows["interactions"] == len(events()) + 1
    assert ctx.area.finished("ingest").rows["items"] == len(items())
