"""Every row of every source is accounted for, in every format, and rows that do not add up stop the night."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from pyspark.sql import SparkSession

from recsys_spark.config import sources
from recsys_spark.contract import BEHAVIOURS, USERS
from recsys_spark.errors import DataError
from recsys_spark.ingest import reader
from recsys_spark.ingest.accounts import Account
from recsys_spark.ingest.build import Ingested
from recsys_spark.ingest.opened import Opened
from recsys_spark.ingest.sums import TableAccount, table_accounts
from tests.builders import interaction
from tests.ingest.ingest_inputs import allow, catalogue, deny, ingest, mapped, select
from tests.ingest.source_files import csv, read

# Two good ids, one twice; one blank; three that `where` leaves out, one of them because it is null.
IDS = ("a1", "a2", "a2", "  ", "skip1", "skip2", None)


def in_format(spark: SparkSession, folder: Path, form: str) -> dict[str, Any]:
    """Write IDS in a format and return the source that reads them."""
    column = "value" if form == "text" else "id"
    # A text file has no null.
    rows = [(i if i is not None or form != "text" else "skip3",) for i in IDS]
    frame = spark.createDataFrame(rows, f"{column} string").repartition(2)
    if form == "csv":
        # A line of blanks alone is not a row.
        frame = frame.selectExpr("id", "1 as n")
    mapping = {"where": f"{column} < 'skip'", "columns": {"user_id": column}}
    if form == "table":
        frame.createOrReplaceTempView("accounted")
        return {"table": "accounted", **mapping}
    blanks = {"ignoreLeadingWhiteSpace": "false", "ignoreTrailingWhiteSpace": "false"}
    options = {"header": "true", **blanks} if form == "csv" else {}
    keep = {"ignoreNullFields": "false"} if form == "json" else {}
    frame.write.format(form).options(**options, **keep).save(str(folder / form))
    return {"format": form, "path": str(folder / form), "options": options if form == "csv" else {}, **mapping}


@pytest.mark.parametrize("form", [*get_args(sources.Format), "table"])
def test_the_rows_of_a_source_of_each_format_add_up(spark: SparkSession, tmp_path: Path, form: str) -> None:
    (account,) = read(spark, USERS, in_format(spark, tmp_path, form)).accounts
    assert (account.rejected, account.accepted, account.reshaped) == (1, 3, 0)
    # The scan of a catalog table leaves simple conditions out by itself, and such rows are not read.
    assert (account.read, account.filtered) == ((4, 0) if form == "table" else (7, 3))


def test_rows_known_from_another_count_and_not_read_stop_the_night(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = reader.open_source

    def with_one_more(*args: Any, **named: Any) -> Opened:
        return replace(opened(*args, **named), n_rows=3)

    monkeypatch.setattr(reader, "open_source", with_one_more)
    with pytest.raises(DataError, match="do not add up") as caught:
        read(spark, USERS, csv(tmp_path, "id\n1\n2\n", columns={"user_id": "id"}))
    assert caught.value.where == "sources.users"
    assert "3 rows in the files, 2 rows read" in str(caught.value.found)


@pytest.mark.parametrize(
    ("account", "may_reshape"),
    [
        (Account("s", read=9, filtered=1, rejected=1, accepted=6), False),
        (Account("s", read=9, filtered=1, rejected=1, accepted=8), True),
        (Account("s", read=9, filtered=1, rejected=1, accepted=6, reshaped=-1), False),
    ],
)
def test_rows_that_are_lost_or_invented_are_found(account: Account, may_reshape: bool) -> None:
    with pytest.raises(DataError, match="do not add up"):
        account.check(may_reshape=may_reshape, n_rows=None)


def done_with(spark: SparkSession, **counts: int) -> list[TableAccount]:
    """Ingest two equal behaviours, one on an unknown item, and check them against the stored ``counts``."""
    given = [interaction(), interaction(), interaction(item="i9")]
    done: Ingested = ingest(spark, behaviours=given, items=catalogue(1))
    for table in ("interactions", "items", "rejected_rows"):
        done.frames[table].collect()
    behaviours = replace(mapped(spark, BEHAVIOURS, given), n_accepted=3)
    stored = {"interactions": counts["stored"]}
    rejected = {("behaviours", "unknown_item"): counts["unknown"]}
    return table_accounts({"behaviours": behaviours}, done, stored, rejected, backtest=False)


def test_the_rows_of_a_table_add_up(spark: SparkSession) -> None:
    (account,) = done_with(spark, stored=1, unknown=1)
    assert (account.accepted, account.stored, account.merged, account.rejected) == (3, 1, 1, 1)


@pytest.mark.parametrize("counts", [{"stored": 0, "unknown": 1}, {"stored": 1, "unknown": 0}])
def test_a_stored_table_that_lacks_a_row_stops_the_night(spark: SparkSession, counts: dict[str, int]) -> None:
    with pytest.raises(DataError, match="do not add up"):
        done_with(spark, **counts)


def test_tables_without_rows_add_up(spark: SparkSession) -> None:
    lists = {"deny_list": deny(spark), "selected_users": select(spark)}
    done = ingest(spark, behaviours=[interaction()], items=catalogue(1), users=[], relations=[], **lists)
    stored = {name: len(frame.collect()) for name, frame in done.frames.items()}
    read = {name: replace(allow(spark), n_accepted=0) for name in ("users", "relations", "deny_list")}
    accounts = table_accounts(read, done, stored, {}, backtest=False)
    assert [(account.table, account.stored, account.merged) for account in accounts] == [
        ("users", 0, 0),
        ("relations", 0, 0),
        ("deny_list", 0, 0),
    ]


def test_a_user_that_is_lost_stops_the_night_and_one_that_is_added_does_not(spark: SparkSession) -> None:
    users = [{"user_id": "u1"}, {"user_id": "u2"}]
    done = ingest(spark, behaviours=[interaction()], items=catalogue(1), users=users)
    for frame in done.frames.values():
        frame.collect()
    read = {"users": replace(mapped(spark, USERS, users), n_accepted=2)}
    assert table_accounts(read, done, {"users": 3}, {}, backtest=False)[0].added == 1
    with pytest.raises(DataError, match="do not add up"):
        table_accounts(read, done, {"users": 1}, {}, backtest=False)


@pytest.mark.parametrize(
    "more", [{"group_by": ["id"]}, {"where": "id > '0'", "group_by": ["id"]}, {"where": "id > '0'"}]
)
def test_a_source_without_rows_adds_up(spark: SparkSession, tmp_path: Path, more: dict[str, Any]) -> None:
    source = csv(tmp_path, "id\n" + ("0\n" if "where" in more else ""), columns={"user_id": "id"}, **more)
    account = read(spark, USERS, source).accounts[0]
    assert (account.accepted, account.rejected, account.filtered) == (0, 0, 1 if "where" in more else 0)


def test_an_id_that_looks_like_a_missing_value_is_used_and_warned_of(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = "".join(f"u{n},NULL\n" for n in range(200)) + "\\N,b\n"
    source = csv(tmp_path, f"id,tag\n{rows}NULL,x\nNULL,y\nNULL,z\n", columns={"user_id": "id"})
    with caplog.at_level(logging.WARNING):
        assert read(spark, USERS, source).accepted.where("user_id = 'NULL'").count() == 3
    (said,) = [record.getMessage() for record in caplog.records if "missing value" in record.getMessage()]
    assert said.startswith("sources.users: 3 rows have the user_id `NULL`")


@pytest.mark.parametrize("encoding", ["ISO-8859-1"])
def test_an_id_in_another_encoding_is_rejected_and_not_merged(
    spark: SparkSession, tmp_path: Path, encoding: str
) -> None:
    text = "id\njosé\njosè\njosê\nana\n"
    (tmp_path / "users.csv").write_bytes(text.encode(encoding))
    (tmp_path / "users.txt").write_bytes(text.encode(encoding))
    source = {"format": "csv", "path": str(tmp_path / "users.csv"), "options": {"header": "true"}}
    table = read(spark, USERS, {**source, "columns": {"user_id": "id"}})
    assert [row.user_id for row in table.accepted.collect()] == ["ana"]
    assert [row.reason for row in table.rejected.collect()] == ["bad_encoding"] * 3
    right = {**source, "options": {"header": "true", "encoding": encoding}, "columns": {"user_id": "id"}}
    assert read(spark, USERS, right).accepted.count() == 4
    lines = read(spark, USERS, {"format": "text", "path": str(tmp_path / "users.txt"), "columns": {"user_id": "value"}})
    assert sorted(row.reason for row in lines.rejected.collect()) == ["bad_encoding"] * 3
