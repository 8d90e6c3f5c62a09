"""Metrics of a model on held-out behaviours: ranks in the whole catalogue, ndcg, recall and -log P."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace

import numpy as np

from recsys_spark.evaluation.kernels.metrics import METRICS, user_metrics
from recsys_spark.model.kernels.choices import TEMPERATURES
from recsys_spark.model.kernels.epochs import Found, K
from recsys_spark.model.kernels.histories import Histories, kept
from recsys_spark.model.kernels.links import Evidence, columns_of
from recsys_spark.model.kernels.recommender import Recommender
from recsys_spark.numerics.arrays import F32, F64, I64
from recsys_spark.numerics.unit_rows import unit_rows
from recsys_spark.training.kernels.data import Catalogue
from recsys_spark.training.kernels.held_out import MIN_USERS, HeldOut

USERS_AT_ONCE = 256
BLOCK_SCORES = 1e7
AT_ONE = int(np.abs(TEMPERATURES - 1).argmin())


class Asked:
    """The held-out users and all items as a model sees them; ``catalogue`` is the catalogue at the moment of the
    cut."""

    def __init__(self, held: HeldOut, recommender: Recommender, catalogue: Catalogue) -> None:
        self.held, self.cold, self._recommender = held, catalogue.popularity.total <= 0, recommender
        items = recommender.item_vectors(catalogue.ids, catalogue.vectors, catalogue.has_vector, catalogue.popularity)
        self.token, self.theta, self.bias = items.token, items.theta, items.bias
        self.x = recommender.user_vectors(held.asked, items.token)
        self.x_unit, self.y_unit = unit_rows(self.x), unit_rows(items.y)
        boosts, column = recommender.user_boosts(held.asked, items.link), columns_of(items.link)
        self.boosts = boosts._replace(item=column[boosts.item])

    def by_profile(self) -> Asked | None:
        """Return the users who have tags, as if nothing else were known of them; None if they are fewer than
        MIN_USERS."""
        rows = np.flatnonzero(self.held.asked.has_text)
        if len(rows) < MIN_USERS:
            return None
        users = self.held.asked.take(rows)
        row = np.full(self.held.asked.n_users, -1)
        row[rows] = np.arange(len(rows))
        row = row[self.held.truth_row]
        other = copy(self)
        other.held = replace(self.held, asked=users, truth_row=row[row >= 0], truth_item=self.held.truth_item[row >= 0])
        other.x = self._recommender.user_vectors(kept(users, np.zeros(len(users.items), bool)), self.token)
        other.x_unit = unit_rows(other.x)
        other.boosts = self.boosts.where(np.zeros(len(self.boosts.row), bool))
        return other

    def blocks(self, link_strength: float) -> Iterator[AskedBlock]:
        """Yield some users at a time; boosts are multiplied by ``link_strength``."""
        held, n_items = self.held, len(self.theta)
        step = max(1, min(USERS_AT_ONCE, int(BLOCK_SCORES / n_items)))
        for start in range(0, held.asked.n_users, step):
            stop = min(held.asked.n_users, start + step)
            part = slice(*np.searchsorted(held.truth_row, [start, stop]))
            own = slice(*np.searchsorted(self.boosts.row, [start, stop]))
            boosts = Evidence(self.boosts.row[own] - start, self.boosts.item[own], self.boosts.value[own])
            block = AskedBlock(
                asked=held.asked.take(np.arange(start, stop)),
                logits=self.x[start:stop] @ self.theta.T + self.bias,
                cosines=self.x_unit[start:stop] @ self.y_unit.T,
                boosts=boosts,
                part=part,
                row=held.truth_row[part] - start,
                item=held.truth_item[part],
            )
            block.add_boosts(link_strength)
            yield block

    def ndcg(self, rank: I64) -> F64:
        """Return ndcg at K of each user, [n]; ``rank`` has the rank of each truth."""
        return self._metric("ndcg", rank)

    def recall(self, rank: I64) -> F64:
        """Return recall at K of each user, [n]."""
        return self._metric("recall", rank)

    def _metric(self, name: str, rank: I64) -> F64:
        n_truth = np.bincount(self.held.truth_row, minlength=self.held.asked.n_users)
        values: F64 = user_metrics(self.held.truth_row, rank, n_truth, [K], [METRICS[name]])[:, 0, 0]
        return values


@dataclass(frozen=True)
class AskedBlock:
    """The logits of some of the asked users."""

    asked: Histories
    logits: F32
    """[n_asked, n_items]"""
    cosines: F32
    """[n_asked, n_items]"""
    boosts: Evidence
    """`item` is a column of `logits`"""
    part: slice
    """their place in the truth of all asked users"""
    row: I64
    """[n_truth] index into `asked`"""
    item: I64
    """[n_truth]"""

    def add_boosts(self, times: float) -> None:
        """Add ``times`` the boosts to the logits."""
        self.logits[self.boosts.row, self.boosts.item] += np.float32(times) * self.boosts.value

    def add_cosine(self, times: float) -> None:
        """Add ``times`` the cosine to the logits. After that they are good for ranks only."""
        if times:
            self.logits[:] += np.float32(times) * self.cosines

    def leave_out_seen(self) -> None:
        """Give items that a user has seen the logit -inf, for lists without repeats."""
        self.logits[np.repeat(np.arange(self.asked.n_users), self.asked.lengths), self.asked.items] = -np.inf

    def ranks(self) -> I64:
        """Return ranks from 1, [n_truth]; an item ranks behind all items with the same score.

        Cold items without a text have equal scores, and so have all items of a model of NaNs.
        """
        found = np.empty(len(self.row), np.int64)
        step = max(1, int(BLOCK_SCORES / self.logits.shape[1]))
        for start in range(0, len(self.row), step):
            row, item = self.row[start : start + step], self.item[start : start + step]
            found[start : start + step] = (~(self.logits[row] < self.logits[row, item, None])).sum(1)
        return found


def measure(asked: Asked, link_strength: float, cosine: float) -> tuple[Found, F64]:
    """Return metrics over the truth, and the ndcg of each user [n]; lists are by the logit plus ``cosine`` times the
    cosine."""
    rank, nll = np.empty(len(asked.held.truth_row), np.int64), np.zeros(len(TEMPERATURES))
    for block in asked.blocks(link_strength):
        nll += _nll(block.logits, block.row, block.logits[block.row, block.item])
        block.add_cosine(cosine)
        if not asked.held.repeats:
            block.leave_out_seen()
        rank[block.part] = block.ranks()
    ndcg, recall = asked.ndcg(rank), asked.recall(rank)
    best = int(nll.argmin()) if np.isfinite(nll).all() else AT_ONE
    return Found(
        float(ndcg.mean()), float(recall.mean()), float(nll[best] / len(rank)), float(TEMPERATURES[best])
    ), ndcg


def _nll(logits: F32, row: I64, own: F32) -> F64:
    """Return the sum over the pairs of log sum exp(logits / T) - own / T, [n_temperatures]."""
    largest = logits.max(1, keepdims=True)
    shifted = logits - largest
    sums = np.stack([np.log(np.exp(shifted / t).sum(1, dtype=np.float64)) for t in TEMPERATURES], 1)
    gap = (largest[row, 0] - own).astype(np.float64)
    total: F64 = (sums[row] + gap[:, None] / TEMPERATURES).sum(0)
    return total
