"""Key expressions that read no column of the source, and names that are not plain."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from tests.slow.dirt.fault import Fault, Outcome, Read, Refused, Work
from tests.slow.dirt.files import arrow, one_file, put

FIRST_CELL = {"user_id": "user_id", "item_id": "item_id", "ts": "ts", "friend_id": "friend_id"}


def key_fault(table: str, column: str, text: str, outcome: Outcome, called: str = "uid", says: str = "") -> Fault:
    """Return the fault of a key expression over a source whose column of that key is ``called`` so."""

    def make(work: Work) -> Mapping[str, Any]:
        rows = [{(called if name == column else name): cell for name, cell in row.items()} for row in work.cells()]
        work.columns[column] = text
        return work.source(one_file(work, rows))

    says = says or f"`{table}.{column} = {text}`, and the column is called `{called}`"
    return Fault(
        f"key {column} = {text} of {called}",
        says,
        table,
        make,
        outcome,
        formats=(("csv", "parquet", "json")[len(text) % 3],),
    )


def _literal(text: str, moment: datetime) -> Fault:
    def make(work: Work) -> Mapping[str, Any]:
        work.columns["ts"] = text
        for row in work.rows:
            row["ts"] = moment
        return work.source(one_file(work))

    says = f"`behaviours.ts = {text}`: a constant that says what it is"
    return Fault(f"key ts = {text}", says, "behaviours", make, Read("every row has this time"))


def _struct(work: Work) -> Mapping[str, Any]:
    rows = work.cells()
    users = pa.array([{"id": row.pop("user_id")} for row in rows])
    work.columns["user_id"] = work.spread
    return work.source(put(work.folder / "rows.parquet", arrow(rows).append_column("user", users)), "parquet")


def _metadata(work: Work) -> Mapping[str, Any]:
    work.columns["item_id"] = "_metadata.file_name"
    return work.source(one_file(work))


def no_column(table: str, column: str, text: str, called: str, *words: str) -> Fault:
    """Return the fault of an expression that reads no column of the source."""
    return key_fault(table, column, text, Refused((f"sources.{table}", column, *words)), called)


USER, ITEM = ("behaviours", "user_id"), ("behaviours", "item_id")
TIME, FRIEND = ("behaviours", "ts"), ("relations", "friend_id")
BACKTICKS = Refused(("sources.behaviours", "backtick"))
FAULTS = (
    no_column(*USER, "user", "uid", "uid"),
    no_column(*USER, "current_user", "uid", "uid"),
    no_column(*USER, "session_user", "userid"),
    no_column(*USER, "current_user()", "uid"),
    no_column(*USER, "uuid()", "uid"),
    no_column(*USER, "'const'", "uid"),
    no_column(*USER, "1", "uid"),
    no_column(*USER, "null", "uid"),
    no_column(*USER, "cast(rand() * 9 as int)", "uid"),
    no_column(*USER, "monotonically_increasing_id()", "uid"),
    no_column(*USER, "lower(user)", "uid", "user"),
    no_column(*USER, "concat(user, '-', event)", "uid", "user"),
    no_column(*USER, "coalesce(uid, user)", "uid", "user"),
    no_column(*USER, "case when true then 'a' else 'b' end", "uid"),
    no_column("users", "user_id", "user", "uid", "uid"),
    no_column("relations", "user_id", "user", "uid", "uid"),
    no_column(*ITEM, "current_date", "item"),
    no_column(*ITEM, "current_catalog", "item"),
    no_column("items", "item_id", "current_schema", "item"),
    no_column("items", "item_id", "localtimestamp", "item"),
    no_column(*FRIEND, "current_database()", "friend"),
    no_column(*FRIEND, "user", "friend"),
    no_column(*TIME, "current_timestamp", "at"),
    no_column(*TIME, "now()", "at"),
    no_column(*TIME, "current_date", "at"),
    no_column(*TIME, "date_sub(current_date, 1)", "at"),
    no_column(*TIME, "to_timestamp('2024-01-01')", "at"),
    no_column(*TIME, "'2024-01-01'", "at"),
    _literal("timestamp '2024-01-01 00:00:00'", datetime(2024, 1, 1, tzinfo=UTC)),
    _literal("date '2024-02-29'", datetime(2024, 2, 29, tzinfo=UTC)),
    key_fault(*USER, "user", Read("the source's column is read"), "user"),
    key_fault(*ITEM, "current_date", Read("the source's column is read"), "current_date"),
    key_fault(*USER, "user id", BACKTICKS, "user id"),
    key_fault(*USER, "user-id", BACKTICKS, "user-id"),
    key_fault(*USER, "user.id", BACKTICKS, "user.id"),
    key_fault(*USER, "user(id)", BACKTICKS, "user(id)"),
    key_fault(*USER, "用户ID", BACKTICKS, "用户ID"),
    key_fault(*USER, "2id", Read(), "2id"),
    key_fault(*USER, "`user-id`", Read(), "user-id"),
    key_fault(*USER, "`user.id`", Read(), "user.id"),
    key_fault(*USER, "uid as user_id", Read("the alias is dropped"), "uid"),
    Fault(
        "key struct",
        "`behaviours.user_id = user.id` reads a field of a struct",
        "behaviours",
        _struct,
        Read(),
        ("user.id",),
    ),
    Fault(
        "key struct whole",
        "`behaviours.user_id = user`, and `user` is a struct",
        "behaviours",
        _struct,
        Refused(("sources.behaviours", "user_id", "user.id")),
        ("user",),
    ),
)
