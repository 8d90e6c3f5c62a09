"""First products: the smallest inputs for which scoring, encoding and training call each of their compiled functions.

The types of the arguments are those of a job. So running all products compiles what a job runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch

from recsys_spark.encoding.kernels import passes
from recsys_spark.encoding.kernels.attention import attend
from recsys_spark.encoding.kernels.int8 import Int8Weights, Rows, quantised
from recsys_spark.encoding.kernels.scratch import Scratch
from recsys_spark.model.kernels.histories import Histories
from recsys_spark.numerics.arrays import F32
from recsys_spark.scoring.kernels.blocks import ItemBlock, UserBlock, item_block, user_block
from recsys_spark.scoring.kernels.boosted import UserBoosts, fold_boosted
from recsys_spark.scoring.kernels.precision import HALF, SINGLE
from recsys_spark.scoring.kernels.rank import Rank
from recsys_spark.scoring.kernels.topn import empty_state, fold
from recsys_spark.training.kernels.link_fit import Fitted, evidence_without_self

WIDTH = 64
N_USERS = 40
N_ITEMS, GUESSED = 2_560, 32
"""From that many items, lists of GUESSED start from a guess."""


def bits(*arrays: Any) -> str:
    """Return a hash of the bits of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def normal(*shape: int) -> F32:
    """Return random numbers, the same for the same shape."""
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def _items() -> ItemBlock:
    y, theta, links = normal(N_ITEMS, WIDTH), normal(N_ITEMS, WIDTH), np.arange(N_ITEMS, dtype=np.int32)
    return item_block(0, y, theta, np.zeros(N_ITEMS, np.float32), np.ones(N_ITEMS, bool), links)


def _users() -> UserBlock:
    return user_block(
        normal(N_USERS, WIDTH), np.arange(N_USERS + 1) * 2, np.tile(np.array([3, 900], np.int32), N_USERS)
    )


def lists() -> str:
    """Return the bits of lists of 10, as a job computes them by default."""
    state = fold(empty_state(N_USERS, 10), _users(), _items(), Rank())
    return bits(state.position, state.cosine, state.logit, state.raw, state.log_sum)


def score() -> str:
    """Return the bits of lists: with boosts and without, with log Z and without, in each precision."""
    users, items = _users(), _items()
    chosen = np.tile(np.arange(5, dtype=np.int32) * 7, N_USERS)
    boosts = UserBoosts(np.arange(N_USERS + 1) * 5, chosen, np.abs(normal(len(chosen))))
    found = []
    for screen, log_z in product((SINGLE, HALF), (True, False)):
        folded, rank = partial(fold, screen=screen), Rank(log_z=log_z)
        for state in (
            folded(empty_state(N_USERS, GUESSED), users, items, rank),
            fold_boosted(folded, empty_state(N_USERS, 4), users, boosts, items, rank),
        ):
            found += [state.position, state.cosine, state.logit, state.raw, state.log_sum]
    return bits(*found)


def _attended(t: int, h: int) -> F32:
    return attend(normal(t, 3 * h), np.array([0, 5, 25, t]), 12, np.empty((t, h), np.float32))


def encode_float32(t: int = 50, h: int = 384) -> str:
    """Return the bits of a layer's passes in float32."""
    wide, x, narrow = normal(t, 4 * h), _attended(t, h), normal(t, h)
    bias, gain, shift, epsilon = normal(h), normal(h + 1)[1:], normal(h), np.float32(1e-12)
    passes.bias_gelu_rows(wide, normal(4 * h), 0, t)
    passes.bias_norm_rows(narrow, bias, gain, shift, epsilon, x, 0, t)
    return bits(wide, x)


def encode_int8(t: int = 50, h: int = 384) -> str:
    """Return the bits of a layer's passes in int8."""
    weights = [Int8Weights.of(_linear(*shape)) for shape in ((h, 4 * h), (4 * h, h))]
    scratch, x, wide = Scratch(), _attended(t, h), Rows.empty(t, 4 * h)
    out = weights[0].applied(quantised(x), np.empty((t, 4 * h), np.float32), scratch)
    passes.gelu_rows(*weights[0].product(quantised(x), scratch), *wide, 0, t)
    terms = (normal(h), normal(h), np.float32(1e-12))
    passes.norm_rows(*weights[1].product(wide, scratch), *terms, x, 0, t)
    return bits(out, wide.q, x)


def _linear(k: int, n: int) -> torch.nn.Linear:
    linear = torch.nn.Linear(k, n)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(normal(n, k)))
        linear.bias.copy_(torch.from_numpy(normal(n)))
    return linear


def train(n: int = 30) -> str:
    """Return the bits of the evidence that training gets from links."""
    root = 0.01 * normal(n, n)
    fitted = Fitted((root @ root.T + 0.02 * np.eye(n)).astype(np.float32), np.arange(n), np.arange(n))
    none = np.zeros(0, np.int64)
    histories = Histories(
        offsets=np.array([0, 4, 8]),
        user_ids=np.array(["a", "b"], object),
        items=np.arange(8),
        behaviours=none,
        times=np.zeros(0),
        weights=np.zeros(0, np.float32),
        social_offsets=np.zeros(3, np.int64),
        social_items=none,
        social_weights=np.zeros(0, np.float32),
        texts=np.zeros((2, 1), np.float32),
        has_text=np.zeros(2, bool),
    )
    found = evidence_without_self(fitted, histories, np.array([0, 0, 1]), np.array([1, 3, 2]))
    return bits(found.row, found.item, found.value)


PRODUCTS: dict[str, Callable[[], str]] = {
    "lists": lists,
    "lists of each kind": score,
    "encode in float32": encode_float32,
    "encode in int8": encode_int8,
    "train": train,
}
