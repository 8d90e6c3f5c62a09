"""The ingest stage with an allow list, a deny list and selected users, tonight and in a backtest."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from recsys_spark import contract
from recsys_spark.config.sections import Config
from recsys_spark.errors import DataError
from recsys_spark.pipeline import run_pipeline, run_stages
from recsys_spark.schema import Table
from recsys_spark.steps.context import Context, Hidden
from tests.e2e.small_shop import RUN_DATE, load, write_csv, write_shop

ALLOWED = [f"i{n:02}" for n in range(6)]


@pytest.fixture
def cfg(tmp_path: Path) -> Config:
    """The small shop with all three lists."""
    file = write_shop(tmp_path)
    write_list(tmp_path / "allowed.csv", ALLOWED)
    write_csv(tmp_path / "denied.csv", ["user", "item"], [("u00", "i00"), ("u01", "ghost")])
    write_list(tmp_path / "selected.csv", ["u00", "newcomer"])
    source = {"format": "csv", "options": {"header": "true"}}
    return load(
        file,
        sources__allow_list={**source, "path": str(tmp_path / "allowed.csv"), "columns": {"item_id": "id"}},
        sources__deny_list={
            **source,
            "path": str(tmp_path / "denied.csv"),
            "columns": {"user_id": "user", "item_id": "item"},
        },
        sources__selected_users={**source, "path": str(tmp_path / "selected.csv"), "columns": {"user_id": "id"}},
    )


def write_list(file: Path, ids: list[str]) -> None:
    write_csv(file, ["id"], [(name,) for name in ids])


def ingest(spark: SparkSession, cfg: Config) -> Context:
    return run_pipeline(spark, cfg, RUN_DATE, stages=["ingest"])


def earlier(ctx: Context) -> Context:
    """The context of a backtest that serves `u01` ten days earlier."""
    users = ctx.spark.createDataFrame([("u01",)], "user_id string")
    hidden = Hidden(label="ten days", held_out=None, users=users)
    as_of = ctx.as_of - timedelta(days=10)
    return replace(ctx, area=ctx.store.area(ctx.run_date, "backtest"), as_of=as_of, hidden=hidden)


def values(ctx: Context, table: Table) -> list[tuple[str, ...]]:
    return sorted(tuple(row) for row in ctx.table("ingest", table).collect())


def test_lists_are_written_and_named(spark: SparkSession, cfg: Config) -> None:
    ctx = ingest(spark, cfg)
    assert ctx.fact("ingest", "given") == ["allow_list", "deny_list", "selected_users"]
    assert values(ctx, contract.ALLOW_LIST) == [(name,) for name in ALLOWED]
    assert values(ctx, contract.DENY_LIST) == [("u00", "i00")]
    assert values(ctx, contract.SELECTED_USERS) == [("newcomer",), ("u00",)]
    assert ctx.fact("ingest", "rejected") == {"deny_list.unknown_item": 1}
    assert "newcomer" in {row.user_id for row in ctx.table("ingest", contract.USERS).collect()}


def test_without_lists_there_are_empty_tables_and_no_names(spark: SparkSession, tmp_path: Path) -> None:
    ctx = ingest(spark, load(write_shop(tmp_path)))
    assert ctx.fact("ingest", "given") == []
    assert [values(ctx, entry.stored) for entry in contract.CONTRACT.values() if entry.is_list] == [[], [], []]


def test_a_backtest_reads_the_deny_list_alone(spark: SparkSession, cfg: Config, tmp_path: Path) -> None:
    back = earlier(ingest(spark, cfg))
    # Not even looked at: a campaign of tonight need not have been there, nor be long enough.
    (tmp_path / "allowed.csv").unlink()
    write_list(tmp_path / "selected.csv", [])
    run_stages(back, ["ingest"])
    assert back.fact("ingest", "given") == ["deny_list"]
    assert values(back, contract.ALLOW_LIST) == values(back, contract.SELECTED_USERS) == []
    assert values(back, contract.DENY_LIST) == [("u00", "i00")]
    users = {row.user_id for row in back.table("ingest", contract.USERS).collect()}
    assert "u01" in users
    assert "newcomer" not in users

    first = back.area.finished("ingest").attempt
    write_list(tmp_path / "allowed.csv", ["i10"])
    run_stages(back, ["ingest"])
    assert back.area.finished("ingest").attempt == first, "a new campaign is no reason to run a backtest again"
    write_csv(tmp_path / "denied.csv", ["user", "item"], [("u00", "i01")])
    run_stages(back, ["ingest"])
    assert values(back, contract.DENY_LIST) == [("u00", "i01")]


def test_a_list_that_changed_is_read_again(spark: SparkSession, cfg: Config, tmp_path: Path) -> None:
    ingest(spark, cfg)
    write_list(tmp_path / "allowed.csv", [*ALLOWED, "i10"])
    assert ("i10",) in values(ingest(spark, cfg), contract.ALLOW_LIST)


def test_a_list_that_says_nothing_stops_the_night(spark: SparkSession, cfg: Config, tmp_path: Path) -> None:
    write_list(tmp_path / "selected.csv", [])
    with pytest.raises(DataError) as caught:
        ingest(spark, cfg)
    assert caught.value.where == "sources.selected_users"
    assert not list((tmp_path / "store").glob("runs/*/main/ingest.json"))
