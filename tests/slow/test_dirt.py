"""A clean shop, spoiled in every known way: no table is read wrongly in silence, and no row stops a night."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from tests.slow.dirt.fault import Case
from tests.slow.dirt.night import Verdict, run_cases
from tests.slow.dirt.registry import all_cases

pytestmark = pytest.mark.slow
CASES = all_cases(every_spread="DIRT_EVERY_SPREAD" in os.environ)
"""Each fault once; with the variable DIRT_EVERY_SPREAD set, in each place and share of rows that it names."""


@pytest.fixture(scope="module")
def verdicts(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[int, Verdict]]:
    """What came of the cases that were chosen on the command line, by number."""
    chosen = {item.callspec.params["case"].number for item in request.session.items if hasattr(item, "callspec")}
    wanted = [case for case in CASES if case.number in chosen]
    before = spark.conf.get("spark.sql.shuffle.partitions")
    # The tables are small: tasks would cost more than rows.
    spark.conf.set("spark.sql.shuffle.partitions", "1")
    yield {verdict.case.number: verdict for verdict in run_cases(spark, wanted, tmp_path_factory.mktemp("dirt"))}
    spark.conf.set("spark.sql.shuffle.partitions", str(before))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title.replace(" ", "-"))
def test_the_fault_causes_what_it_must(case: Case, verdicts: dict[int, Verdict]) -> None:
    assert verdicts[case.number].complaints == []
