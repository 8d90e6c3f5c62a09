"""The proposed configurations: the file's first, all within the space, the same again after a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys_spark.config.model import Model
from recsys_spark.tuning.ledger import TriedEntry
from recsys_spark.tuning.space import SPACE, OneOf, Params, Real, Whole, configured, proposals, space_around

BASE = Model(width=48, n_heads=3, learning_rate=0.0123456, epochs=30)
AROUND = space_around(BASE)


def trial(params: Params, ndcg: float = 0.1, reason: str | None = None) -> TriedEntry:
    return TriedEntry(params, ndcg, 0.2, 5.0, [1.0], 1.0, 0.0, 0.0, reason)


def walk(n: int, at_once: int, seed: int = 5) -> list[TriedEntry]:
    """Return ``n`` tries made in rounds, whose ndcg is a function of the learning rate."""
    trials: list[TriedEntry] = []
    while len(trials) < n:
        asked = proposals(BASE, AROUND, trials, min(at_once, n - len(trials)), seed)
        trials += [trial(params, ndcg=1.0 - params["learning_rate"]) for params in asked]
    return trials


def test_the_first_proposal_is_the_files_configuration_unrounded() -> None:
    first = proposals(BASE, AROUND, [], 1, 0)
    assert first == [{one.name: getattr(BASE, one.name) for one in SPACE}]


def test_proposals_lie_in_the_space_and_are_valid_models() -> None:
    ranges = {one.name: one for one in AROUND}
    asked = [dict(t.params) for t in walk(16, 4)[1:]]
    for params in asked:
        assert set(params) == set(ranges)
        for name, value in params.items():
            one = ranges[name]
            assert value in one.values if isinstance(one, OneOf) else one.low <= value <= one.high
        model = configured(BASE, params)
        assert model.width % model.n_heads == 0
        assert (model.n_heads, model.trial_epochs) == (BASE.n_heads, BASE.trial_epochs)
    assert len({tuple(params.items()) for params in asked}) == 15


def test_the_space_is_widened_to_hold_the_values_of_the_file() -> None:
    ranges = {one.name: one for one in AROUND}
    assert ranges["width"] == OneOf("width", (48, 96, 192))
    assert ranges["epochs"] == Whole("epochs", 4, 30)
    assert ranges["learning_rate"] == Real("learning_rate", 5e-4, 0.0123456, log=True)


def test_proposed_numbers_have_three_significant_digits() -> None:
    for params in proposals(BASE, AROUND, [trial({one.name: getattr(BASE, one.name) for one in SPACE})], 8, 1):
        assert all(float(f"{value:.3g}") == value for value in params.values() if isinstance(value, float))


def test_proposals_depend_only_on_earlier_tries_and_the_seed() -> None:
    whole = walk(9, 3)
    assert proposals(BASE, AROUND, whole[:6], 3, 5) == [t.params for t in whole[6:]]
    assert walk(3, 3, seed=6)[1:] != whole[1:3]


def test_the_search_moves_towards_good_values() -> None:
    rates = [t.params["learning_rate"] for t in walk(40, 4)]
    assert sorted(rates[1:13])[6] > 0.0015, "of the first ones, drawn at random"
    assert sorted(rates[-12:])[6] < 0.001


def test_the_search_avoids_values_that_failed() -> None:
    space = (Real("learning_rate", 0.001, 0.01),)
    tried = [trial({"learning_rate": 0.001 + 0.0009 * k}, 0.1, None if k < 5 else "diverged") for k in range(10)]
    asked = [params["learning_rate"] for params in proposals(BASE, space, tried * 3, 12, 0)]
    assert sum(value < 0.0055 for value in asked) >= 9


def test_the_documentation_lists_the_ranges_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text(encoding="utf-8")
    for one in SPACE:
        values = ", ".join(map(str, one.values)) if isinstance(one, OneOf) else f"{one.low:g} to {one.high:g}"
        logarithm = ", by its logarithm" if isinstance(one, Real) and one.log else ""
        assert f"| `{one.name}` | {values}{logarithm}" in page
    assert page.count(", by its logarithm |") == sum(isinstance(one, Real) and one.log for one in SPACE)


@pytest.mark.parametrize("one", SPACE, ids=lambda one: one.name)
def test_each_range_names_a_key_of_the_model_and_has_valid_ends(one: OneOf | Whole | Real) -> None:
    ends = (min(one.values), max(one.values)) if isinstance(one, OneOf) else (one.low, one.high)
    for value in ends:
        assert getattr(configured(Model(), {one.name: value}), one.name) == value
