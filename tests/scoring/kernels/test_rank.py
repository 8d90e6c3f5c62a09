"""Each form of the combined rank against one oracle: float32, float64 and GPU here, SQL in the folder above."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.config.sections import Score
from recsys_spark.numerics.arrays import F32, F64
from recsys_spark.scoring.kernels.rank import Rank, combined, exact_raw, less_log_z
from recsys_spark.scoring.kernels.rank.float32 import offsets_of, scores_into
from recsys_spark.scoring.kernels.rank.float64 import exact_terms, pairs_of, with_boost
from recsys_spark.scoring.kernels.rank.gpu import logits_of, scores_of
from tests.scoring.rank_oracle import Terms, terms_of
from tests.scoring.score_worlds import World

RANKS = st.builds(
    Rank,
    st.sampled_from([0.0, 0.3, 1.0, 7.5]),
    st.sampled_from([0.0, 0.3, 1.0, 4.0]),
    st.sampled_from([0.2, 1.0, 3.7]),
)
DEVICES = [torch.device("cpu")] + [torch.device("cuda")] * torch.cuda.is_available()


def case(seed: int, rank: Rank) -> tuple[World, F32, Terms]:
    """A world with a zero user and a zero item, boosts [m, n] of one logit in three, and the oracle's terms."""
    world = World(5, 9, 6, seed=seed)
    world.x[1] = world.y[3] = 0
    rng = np.random.default_rng(seed)
    boost = np.where(rng.random((5, 9)) < 1 / 3, rng.gamma(1.0, 2.0, (5, 9)), 0.0).astype(np.float32)
    return world, boost, terms_of(world.x, world.y, world.theta, world.bias, rank, boost)


def unit(vectors: F32) -> F32:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), RANKS)
def test_float64_is_the_oracle_to_the_last_digits(seed: int, rank: Rank) -> None:
    world, boost, want = case(seed, rank)
    pairs = pairs_of(world.users(), world.block())
    found = np.empty((3, *boost.shape))
    for i, j in np.ndindex(boost.shape):
        cosine, logit = exact_terms(i, j, pairs, rank)
        logit = with_boost(logit, boost[i, j], rank)
        found[:, i, j] = cosine, logit, exact_raw(rank, cosine, logit)
    np.testing.assert_allclose(found, np.stack(want[:3]), rtol=1e-12, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), RANKS)
def test_the_definition_on_arrays_is_the_oracle(seed: int, rank: Rank) -> None:
    _, _, want = case(seed, rank)
    np.testing.assert_array_equal(combined(rank, want.cosine, want.logit), want.raw)
    score: F64 = less_log_z(rank, want.raw, want.log_z[:, None])
    np.testing.assert_allclose(score, want.score(rank), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(combined(rank, want.cosine, want.log_prob), want.score(rank))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), RANKS)
def test_float32_is_the_oracle_to_single_precision(seed: int, rank: Rank) -> None:
    world, _, _ = case(seed, rank)
    want = terms_of(world.x, world.y, world.theta, world.bias, rank)
    products, cosines = world.x @ world.theta.T, unit(world.x) @ unit(world.y).T
    offsets, found = offsets_of(world.block(), rank), np.empty_like(products)
    for row in range(len(found)):
        scores_into(found[row], products[row], cosines[row], offsets, rank)
    assert np.isneginf(found[:, ~world.available]).all()
    some = found[:, world.available]
    np.testing.assert_allclose(some, want.raw[:, world.available], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("on", DEVICES, ids=str)
@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), rank=RANKS)
def test_the_gpus_form_is_the_oracle_to_single_precision(on: torch.device, seed: int, rank: Rank) -> None:
    world, _, _ = case(seed, rank)
    want = terms_of(world.x, world.y, world.theta, world.bias, rank)

    def there(array: F32) -> torch.Tensor:
        return torch.from_numpy(np.array(array, np.float32)).to(on)

    x, closed = unit(world.x), np.where(world.available, 0, -np.inf)
    length = np.linalg.norm(world.x, axis=1) * rank.scale
    logits = logits_of(there(x @ world.theta.T), there(length), there(world.bias), rank)
    np.testing.assert_allclose(logits.cpu(), want.logit, rtol=1e-4, atol=1e-4)
    scores = scores_of(there(x @ unit(world.y).T), logits, there(closed), rank).cpu().numpy()
    assert np.isneginf(scores[:, ~world.available]).all()
    some = scores[:, world.available]
    np.testing.assert_allclose(some, want.raw[:, world.available], rtol=1e-4, atol=1e-4)


def test_a_configuration_says_the_weights() -> None:
    assert Rank.of(Score()) == Rank(1.0, 1.0, 1.0, True) == Rank()
    assert Rank.of(Score(w_cos=0.0, w_ce=2.0, temperature=4.0, normalise="none")) == Rank(0.0, 2.0, 0.25, False)
    assert Rank.of(Score().chosen(0.8)).w_cos == 0.8, "what the model chose"
    assert Rank.of(Score(w_ce=0.0).chosen(0.0)).w_cos == 1.0, "the cosine alone"
