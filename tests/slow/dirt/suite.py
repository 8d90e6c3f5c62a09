"""What the tests of dirty data share: a clean shop is spoiled, and each fault must cause what it declares."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import pytest
from pyspark.sql import SparkSession

from tests.slow.dirt.fault import Case
from tests.slow.dirt.night import Verdict, run_cases
from tests.slow.dirt.registry import FAMILIES, all_cases

SETTINGS = {
    # The tables are small: tasks would cost more than rows.
    "spark.sql.shuffle.partitions": "1",
    # Plans are compiled, as for the large inputs of a night.
    "spark.sql.codegen.wholeStage": "true",
    "spark.sql.codegen.factoryMode": "FALLBACK",
}


def cases_of(families: Sequence[str]) -> list[Case]:
    """Return each fault of some families once; with DIRT_EVERY_SPREAD set, in each place and share that it names."""
    faults = {id(fault) for name in families for fault in FAMILIES[name]}
    every = all_cases(every_spread="DIRT_EVERY_SPREAD" in os.environ)
    return [case for case in every if id(case.fault) in faults]


@pytest.fixture(scope="module")
def verdicts(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[int, Verdict]]:
    """What came of the cases of this module that were chosen on the command line, by number."""
    mine = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    wanted = [item.callspec.params["case"] for item in mine]
    before = {key: spark.conf.get(key) for key in SETTINGS}
    for key, value in SETTINGS.items():
        spark.conf.set(key, value)
    yield {verdict.case.number: verdict for verdict in run_cases(spark, wanted, tmp_path_factory.mktemp("dirt"))}
    for key, value in before.items():
        spark.conf.set(key, value)
