"""Every baseline keeps the contract, a planted one too; the configuration and the report know exactly those listed."""

from __future__ import annotations

from typing import get_args

import pytest
from pyspark.sql import functions as F

from recsys_spark.config.sections import Evaluate
from recsys_spark.evaluation.backtest import OURS
from recsys_spark.evaluation.baselines import als, popularity
from recsys_spark.evaluation.baselines.baseline import Baseline, Known, Vectors, as_tables, constant
from recsys_spark.evaluation.baselines.registry import BASELINES
from recsys_spark.publishing.report import model_order
from tests.evaluation.baseline_contract import BaselineContract


class TestPopularity(BaselineContract):
    baseline = popularity.BASELINE


class TestAls(BaselineContract):
    baseline = als.BASELINE


def alphabet_vectors(known: Known) -> Vectors:
    """All items alike, so that ties alone decide."""
    users = known.users.select("user_id", constant(1.0, 1).alias("x"), F.lit("history").alias("source"))
    zeros = (constant(0.0, 1).alias(name) for name in ("y", "theta", "token"))
    return as_tables(users, known.item_profiles.select("item_id", *zeros, F.lit(0.0).alias("bias"), "available"))


ALPHABET = Baseline("alphabet", alphabet_vectors, knows_everyone=True)


class TestPlanted(BaselineContract):
    """One entry is all that a new baseline needs to have lists."""

    baseline = ALPHABET


def test_the_configuration_names_exactly_the_baselines_that_are_listed() -> None:
    [of_list] = get_args(Evaluate.model_fields["baselines"].annotation)
    assert get_args(of_list) == tuple(BASELINES)


def test_every_listed_baseline_has_a_class_of_the_contract() -> None:
    assert {held.baseline.name for held in BaselineContract.__subclasses__()} == {*BASELINES, ALPHABET.name}


def test_a_planted_baseline_stands_in_the_report_after_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BASELINES, "alphabet", ALPHABET)
    assert model_order() == [OURS, *BASELINES]
    assert model_order()[-1] == "alphabet"
