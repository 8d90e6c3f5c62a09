"""The rank of a held-out item among all items, against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from recsys_spark.encoder_choice import probe as module
from recsys_spark.encoder_choice.probe import Probe, target_ranks

User = tuple[int, list[tuple[int, float]], list[int]]


def probe_of(text_of_item: list[int], users: list[User]) -> Probe:
    """Users as (target, history of (item, weight), other items seen)."""
    histories = [history for _, history, _ in users]
    seen = [sorted({item for item, _ in history} | set(more)) for _, history, more in users]
    return Probe(
        text_of_item=np.array(text_of_item, np.int64),
        targets=np.array([target for target, _, _ in users], np.int64),
        history_offsets=np.cumsum([0, *map(len, histories)]).astype(np.int64),
        history_items=np.array([item for history in histories for item, _ in history], np.int64),
        history_weights=np.array([weight for history in histories for _, weight in history], np.float64),
        seen_offsets=np.cumsum([0, *map(len, seen)]).astype(np.int64),
        seen_items=np.array([item for items in seen for item in items], np.int64),
    )


def slow_ranks(vectors: np.ndarray, text_of_item: list[int], users: list[User]) -> list[int]:
    items = vectors[text_of_item].astype(np.float64)
    items -= items.mean(0)
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    ranks = []
    for target, history, more in users:
        query = sum(weight * items[item] for item, weight in history)
        gone = {item for item, _ in history} | set(more)
        # Rounded, so that what is equal but for the order of a sum is equal.
        order = sorted((-round(float(items[i] @ query), 9), i) for i in range(len(items)) if i not in gone)
        ranks.append(1 + [item for _, item in order].index(target))
    return ranks


@pytest.fixture
def world() -> tuple[np.ndarray, list[int], list[User]]:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(9, 4)).astype(np.float32) + 2
    text_of_item = [*range(9), *rng.integers(0, 9, 6).tolist()]
    users: list[User] = []
    for _ in range(12):
        items = rng.permutation(15)[:6].tolist()
        history = [(item, float(weight)) for item, weight in zip(items[1:4], rng.uniform(0.1, 3, 3), strict=True)]
        users.append((items[0], history, items[4:]))
    return vectors, text_of_item, users


@pytest.mark.parametrize("block_scores", [1, 15 * 5, 2**22])
def test_ranks_equal_a_plain_loop_for_any_block_size(
    world: tuple[np.ndarray, list[int], list[User]], block_scores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK_SCORES", block_scores)
    vectors, text_of_item, users = world
    expected = slow_ranks(vectors, text_of_item, users)
    assert len(set(expected)) > 4
    assert target_ranks(vectors, probe_of(text_of_item, users)).tolist() == expected


def test_items_of_one_text_are_ordered_by_id() -> None:
    vectors = np.array([[1, 0], [0.9, 0.1], [-1, 0.3]], np.float32)
    # Items 1, 2 and 3 have one text; the history is item 0.
    ranks = [target_ranks(vectors, probe_of([0, 1, 1, 1, 2], [(t, [(0, 1.0)], [])]))[0] for t in (1, 2, 3)]
    assert ranks == [1, 2, 3]


def test_a_seen_item_does_not_count_in_a_rank() -> None:
    vectors = np.array([[1, 0], [1, 0.1], [0.5, 1], [-1, 0]], np.float32)
    ranks = [target_ranks(vectors, probe_of([0, 1, 2, 3], [(2, [(0, 1.0)], seen)]))[0] for seen in ([], [1])]
    assert ranks == [2, 1]


def test_a_constant_in_every_vector_changes_nothing(world: tuple[np.ndarray, list[int], list[User]]) -> None:
    vectors, text_of_item, users = world
    probe = probe_of(text_of_item, users)
    assert target_ranks(vectors + 5, probe).tolist() == target_ranks(vectors, probe).tolist()


def test_the_heavier_item_of_a_history_decides() -> None:
    vectors = np.array([[1, 0], [0, 1], [1, 0.2], [0.2, 1]], np.float32)
    ranks = [target_ranks(vectors, probe_of([0, 1, 2, 3], [(2, [(0, w), (1, 1.0)], [])]))[0] for w in (2.0, 0.5)]
    assert ranks == [1, 2]
