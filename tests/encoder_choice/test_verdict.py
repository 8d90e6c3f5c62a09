"""Which candidate is recommended, and when nothing can be said."""

from __future__ import annotations

import numpy as np
import pytest

from recsys_spark.encoder_choice.verdict import MIN_HITS, K, Quality, Verdict, qualities, verdict

MISS = K + 1
REMEDY = "Ask for more."


def ranks(n_users: int, n_found: int, *, start: int = 0) -> list[int]:
    """Users ``start`` to ``start + n_found`` are served at the last rank that counts, the others just miss."""
    return [K if start <= user < start + n_found else MISS for user in range(n_users)]


def decide(speeds: list[float], *found: list[int]) -> tuple[Verdict, list[Quality]]:
    n_users = len(found[0])
    measured = qualities(found, speeds, np.arange(n_users, dtype=np.uint64))
    return verdict([f"c{n}" for n in range(len(speeds))], speeds, measured, n_users, REMEDY), measured


def test_recall_counts_ranks_up_to_k() -> None:
    _, (quality,) = decide([1.0], ranks(200, 50))
    assert quality.recall == 0.25
    assert 0.18 < quality.low < 0.23
    assert 0.27 < quality.high < 0.32


def test_the_interval_of_a_difference_pairs_the_same_users() -> None:
    # Both find 100 of 400. The second misses two of the first's and finds two others.
    # So the difference is known far better than either recall.
    _, (first, second) = decide([2.0, 1.0], ranks(400, 100), ranks(400, 100, start=2))
    assert first.loss == first.loss_low == first.loss_high == 0
    assert second.loss == 0
    assert second.loss_low < 0 < second.loss_high < 0.02 < (first.high - first.low) / 2


def test_the_fastest_of_those_that_are_as_good_is_recommended() -> None:
    found, measured = decide([10.0, 30.0, 100.0], ranks(2000, 800), ranks(2000, 795), ranks(2000, 300))
    assert measured[1].loss > 0
    assert found.chosen == 1
    assert (
        "`c1` is recommended: it encodes 3 times as fast as `c0`, whose recall@10 of 0.400 is the highest"
        in found.sentence
    )
    assert "c2" not in found.sentence


@pytest.mark.parametrize("speeds", [[1.0, 3.0], [3.0, 1.0]])
def test_of_two_that_find_as_many_the_fastest_is_what_the_other_is_compared_with(speeds: list[float]) -> None:
    _, measured = decide(speeds, ranks(400, 100), ranks(400, 100, start=50))
    faster, slower = sorted(measured, key=lambda q: speeds[measured.index(q)], reverse=True)
    assert faster.loss_low == faster.loss_high == slower.loss == 0
    assert slower.loss_high > 0


def test_of_equal_ones_the_fastest_is_the_best() -> None:
    found, _ = decide([1.0, 3.0, 2.0], *[ranks(400, 100)] * 3)
    assert found.chosen == 1
    assert "is the highest, and it is the fastest" in found.sentence


def test_a_faster_one_that_cannot_be_told_apart_is_not_recommended_but_named() -> None:
    found, measured = decide([1.0, 4.0], ranks(200, 40), ranks(200, 36, start=10))
    assert measured[1].loss_low < 0 < measured[1].loss_high
    assert found.chosen == 0
    assert "`c1` is 4 times as fast as that, and the sample is too small to tell" in found.sentence
    assert found.sentence.endswith(REMEDY)


def test_a_faster_one_that_is_worse_is_not_an_open_question() -> None:
    found, measured = decide([1.0, 4.0], ranks(1000, 400), ranks(1000, 200))
    assert measured[1].loss_low > 0
    assert found.chosen == 0
    assert "too small" not in found.sentence


@pytest.mark.parametrize(("n_found", "chosen"), [(MIN_HITS - 1, None), (MIN_HITS, 0)])
def test_with_few_hits_nothing_is_recommended(n_found: int, chosen: int | None) -> None:
    found, _ = decide([2.0, 1.0], ranks(60, n_found), ranks(60, n_found))
    assert found.chosen == chosen
    assert ("too small to tell: at most 19 of 60" in found.sentence) == (chosen is None)
    assert found.sentence.endswith(REMEDY) == (chosen is None)


def test_without_users_there_is_speed_only() -> None:
    found, measured = decide([1.0, 2.0], [], [])
    assert (measured, found.chosen) == ([], None)
    assert "`c1` is the fastest" in found.sentence


def test_one_candidate_alone_is_said_to_be_alone() -> None:
    found, _ = decide([1.0], ranks(100, 50))
    assert found.chosen == 0
    assert "nothing else could be measured" in found.sentence
