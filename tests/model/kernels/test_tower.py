"""The towers: inputs that they must not read, and changes that must not alter their output."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys_spark.model.kernels.tower import TowerShape, UserTower, last_outputs, tokens_of
from tests.model.worlds import N_ITEMS, TEXT_WIDTH, histories

SHAPE = TowerShape(width=16, text_width=TEXT_WIDTH, n_behaviours=2, max_history=10, n_layers=2, n_heads=2, dropout=0.0)


@pytest.fixture(scope="module")
def tower() -> UserTower:
    torch.manual_seed(0)
    return UserTower(SHAPE).eval()


@pytest.fixture(scope="module")
def item_tokens() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(N_ITEMS, 16)).astype(np.float32))


def outputs(tower: UserTower, item_tokens: torch.Tensor, rows: list[list[int]], **parts: object) -> torch.Tensor:
    with torch.inference_mode():
        return tower(tokens_of(histories(rows, **parts)), item_tokens)  # type: ignore[arg-type]


def test_a_later_behaviour_does_not_change_earlier_outputs(tower: UserTower, item_tokens: torch.Tensor) -> None:
    short, long = outputs(tower, item_tokens, [[1, 2, 3]]), outputs(tower, item_tokens, [[1, 2, 3, 30]])
    torch.testing.assert_close(short[0, :5], long[0, :5])
    assert not torch.allclose(short[0, 4], long[0, 5])


def test_padding_next_to_a_longer_user_changes_nothing(tower: UserTower, item_tokens: torch.Tensor) -> None:
    alone = outputs(tower, item_tokens, [[1, 2]])
    beside = outputs(tower, item_tokens, [[1, 2], [3, 4, 5, 6, 7, 8]])
    torch.testing.assert_close(alone[0, :4], beside[0, :4])


def test_a_common_factor_of_the_weights_changes_nothing(tower: UserTower, item_tokens: torch.Tensor) -> None:
    """Exponential decay to a later night is such a factor."""
    one = outputs(tower, item_tokens, [[1, 2, 3]], weights=[[1.0, 2.0, 4.0]])
    later = outputs(tower, item_tokens, [[1, 2, 3]], weights=[[0.125, 0.25, 0.5]])
    torch.testing.assert_close(one, later)


@pytest.mark.parametrize("changed", [{"behaviours": [[1, 0, 0]]}, {"weights": [[9.0, 1.0, 1.0]]}, {"social": {0: [5]}}])
def test_behaviour_weight_and_friends_change_the_user(
    tower: UserTower, item_tokens: torch.Tensor, changed: dict[str, object]
) -> None:
    plain = outputs(tower, item_tokens, [[1, 2, 3]])
    assert not torch.allclose(plain[0, -1], outputs(tower, item_tokens, [[1, 2, 3]], **changed)[0, -1])


def test_a_missing_profile_text_is_not_read(tower: UserTower, item_tokens: torch.Tensor) -> None:
    tokens = tokens_of(histories([[1, 2]]))
    tokens.texts[:] = 7.0
    with torch.inference_mode():
        torch.testing.assert_close(tower(tokens, item_tokens)[:, 1:], outputs(tower, item_tokens, [[1, 2]])[:, 1:])


def test_last_output_of_a_user_without_history_is_the_start_token(tower: UserTower, item_tokens: torch.Tensor) -> None:
    given = outputs(tower, item_tokens, [[], [1, 2]], social={0: [4]})
    last = last_outputs(given, torch.tensor([0, 2]))
    torch.testing.assert_close(last, torch.stack([given[0, 1], given[1, 3]]))


def test_a_batch_of_users_without_any_history_works(tower: UserTower, item_tokens: torch.Tensor) -> None:
    assert torch.isfinite(outputs(tower, item_tokens, [[], []], texts={0: np.ones(TEXT_WIDTH)})).all()


def test_items_chosen_together_count_in_any_order(item_tokens: torch.Tensor) -> None:
    """Tests only the linear path: the transformer's own output is switched off."""
    torch.manual_seed(0)
    tower = UserTower(SHAPE).eval()
    torch.nn.init.normal_(tower.bag.weight)
    torch.nn.init.zeros_(tower.out.weight)
    one, other = outputs(tower, item_tokens, [[1, 2, 3]]), outputs(tower, item_tokens, [[3, 1, 2]])
    torch.testing.assert_close(one[0, -1], other[0, -1])
    assert not torch.allclose(one[0, -1], outputs(tower, item_tokens, [[1, 2, 4]])[0, -1])
    later = outputs(tower, item_tokens, [[1, 2, 3]], weights=[[0.125, 0.125, 0.125]])
    torch.testing.assert_close(one, later)
    beside = outputs(tower, item_tokens, [[1, 2, 3], [4, 5, 6, 7, 8]])
    torch.testing.assert_close(one[0], beside[0, :5])
    torch.testing.assert_close(one[0, :4], outputs(tower, item_tokens, [[1, 2]])[0])
