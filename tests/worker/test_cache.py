"""What a worker process keeps between tasks."""

from __future__ import annotations

import pytest

from recsys_spark.worker import cache


def test_cache_makes_once_and_drops_the_longest_unused() -> None:
    made: list[int] = []

    def make(key: int) -> int:
        made.append(key)
        return key

    for key in [0, 0, *range(1, cache.MAX_KEPT), 0, cache.MAX_KEPT, 0]:
        cache.cached(("test", key), lambda key=key: make(key))
    assert made == [*range(cache.MAX_KEPT), cache.MAX_KEPT]
    assert cache.uses(("test", 0)) == 4
    assert cache.uses(("test", 1)) == 0


def test_cache_keeps_nothing_of_a_failure() -> None:
    with pytest.raises(ZeroDivisionError):
        cache.cached("fails", lambda: 1 / 0)
    assert cache.cached("fails", lambda: 1) == 1
