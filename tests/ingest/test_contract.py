"""The list of contract tables: the configuration has a section for each, and an entry is all that ingest needs."""

from __future__ import annotations

import re

import pytest
from pyspark.sql import SparkSession

from recsys_spark import contract, tables
from recsys_spark.config.sources import Sources
from recsys_spark.ingest.build import build_ingest
from recsys_spark.ingest.row_checks import rejection_reason
from recsys_spark.schema import STRING, Col, Table
from tests.builders import AS_OF
from tests.ingest.ingest_inputs import catalogue, mapped, rows, values


def test_every_contract_table_has_a_section_and_every_section_a_table() -> None:
    assert list(Sources.model_fields) == list(contract.CONTRACT)
    required = {name for name, field in Sources.model_fields.items() if field.is_required()}
    assert required == {name for name, entry in contract.CONTRACT.items() if entry.required}


def test_what_holds_for_one_night_is_not_read_by_a_backtest() -> None:
    tonight = {entry.table.name for entry in contract.inputs_read(backtest=False)}
    assert tonight == set(contract.CONTRACT)
    assert tonight - {entry.table.name for entry in contract.inputs_read(backtest=True)} == {
        "allow_list",
        "selected_users",
    }


@pytest.mark.parametrize("name", contract.CONTRACT)
def test_every_reason_why_a_row_is_rejected_has_a_meaning(spark: SparkSession, name: str) -> None:
    reasons = re.findall(r"THEN '(\w+)' END", str(rejection_reason(contract.CONTRACT[name].table, now=AS_OF)))
    assert "null_id" in reasons
    assert set(reasons) <= set(tables.REASONS)


def test_a_new_table_needs_one_entry(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = (Col("item_id", STRING, "Item.", nullable=False), Col("badge", STRING, "Badge."))
    badges = Table("badges", "Badges of items.", ("item_id",), columns)
    monkeypatch.setitem(contract.CONTRACT, badges.name, contract.Input(badges, stored=badges))
    given = [{"item_id": "i1", "badge": "new"}, {"item_id": "i1", "badge": "new"}, {"item_id": "i9", "badge": "hot"}]
    read = {"behaviours": mapped(spark, contract.BEHAVIOURS, []), "items": mapped(spark, contract.ITEMS, catalogue())}

    done = build_ingest({**read, "badges": mapped(spark, badges, given)}, as_of=AS_OF)

    assert values(done[badges]) == [("i1", "new")]
    assert [(r["table"], r["reason"]) for r in rows(done[tables.REJECTED_ROWS])] == [("badges", "unknown_item")]
    assert build_ingest(read, as_of=AS_OF)[badges].isEmpty()
    assert set(done.each(lambda _, df: df).frames) >= {"badges", "interactions", "rejected_rows"}
