"""Behaviours that a trial run is not shown: how long to train and the scale of P are decided by those and by nothing else.

The held-out part is the newest slice of time, as a list is for the days that come. Data without times give up the last item
of every tenth user instead. Friends say nothing in a trial.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys_spark.kernels.boosted import columns_of
from recsys_spark.kernels.histories import Histories, kept, shuffled_ties, without_friends
from recsys_spark.kernels.metrics import METRICS, user_metrics
from recsys_spark.kernels.objective import Catalogue
from recsys_spark.kernels.popularity import slice_borders
from recsys_spark.kernels.recommender import Recommender

K = 10
SHARE_OF_USERS = 0.1
USERS_AT_ONCE = 256
MIN_USERS = 20
MAX_HIDDEN = 0.3
MAX_SCORES = 1e8
BLOCK_SCORES = 1e7
BOOSTS = np.arange(0.0, 6.01, 0.25)
TEMPERATURES = np.exp(np.linspace(-1.2, 1.2, 25)).astype(np.float32)

Longs = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class HeldOut:
    """What training may see, and what it is asked for."""

    train: Histories
    """Users with what they did before"""
    moment: float
    """Popularity is that of this moment, in seconds"""
    asked: Histories
    """[n] users as they were known before"""
    truth_row: Longs
    """[n_truth] index into `asked`, ascending"""
    truth_item: Longs
    """[n_truth] distinct per user"""
    repeats: bool
    """Whether they may be items that the user had touched"""


@dataclass(frozen=True)
class Found:
    """How a model did on held-out behaviours."""

    ndcg: float
    """at K, over the whole catalogue, without what the user has touched unless repeats are asked for"""
    recall: float
    nll: float
    """mean -log P(item) of a held-out behaviour, P over the whole catalogue"""
    temperature: float
    """T that makes -log P least"""


def hold_out(histories: Histories, n_items: int, repeats: bool, rng: np.random.Generator) -> HeldOut | None:
    """Cut off the newest slice, or more, until MIN_USERS can be asked; where that hides too much, the last item of some users.

    None where even that asks too few. With ``repeats``, items that a user had touched are asked for as well.
    """
    for moment in reversed(slice_borders(histories.times)):
        hidden = histories.times >= moment
        if hidden.mean() > MAX_HIDDEN:
            break
        held = _hide(histories, hidden, float(moment), n_items, repeats, rng)
        if held:
            return held
    end = float(histories.times.max(initial=0.0)) + 1.0
    return _hide(histories, _last_items(histories, rng), end, n_items, repeats, rng)


def _last_items(histories: Histories, rng: np.random.Generator) -> Mask:
    """[total] the behaviours with the last item of some users; of those of one moment any, as their order means nothing."""
    user = np.repeat(np.arange(histories.n_users), histories.lengths)
    items = shuffled_ties(histories, rng).items
    ends = histories.offsets[1:][histories.lengths > 0] - 1
    last = np.full(histories.n_users, -1)
    last[histories.lengths > 0] = items[ends]
    drawn = rng.random(histories.n_users) < SHARE_OF_USERS
    chosen: Mask = drawn[user] & (histories.items == last[user])
    return chosen


def _hide(
    histories: Histories, hidden: Mask, moment: float, n_items: int, repeats: bool, rng: np.random.Generator
) -> HeldOut | None:
    user = np.repeat(np.arange(histories.n_users), histories.lengths)
    keys = user * n_items + histories.items
    pairs = np.unique(keys[hidden])
    if not repeats:
        pairs = np.setdiff1d(pairs, keys[~hidden])
    # What friends like is known as of the end of the data: it would tell of the held-out part.
    train = without_friends(kept(histories, ~hidden))
    pairs = pairs[train.lengths[pairs // n_items] > 0]
    users = np.unique(pairs // n_items)
    if len(users) < MIN_USERS:
        return None
    users = np.sort(rng.permutation(users)[: max(MIN_USERS, int(MAX_SCORES / n_items))])
    pairs = pairs[np.isin(pairs // n_items, users)]
    row = np.searchsorted(users, pairs // n_items)
    return HeldOut(train, moment, train.take(users), row, pairs % n_items, repeats)


def measure(held: HeldOut, recommender: Recommender, catalogue: Catalogue) -> Found:
    """Metrics over the truth; ``catalogue`` as it was at the moment of the cut."""
    rank, nll = np.empty(len(held.truth_row), np.int64), np.zeros(len(TEMPERATURES))
    for block in _blocks(held, recommender, catalogue):
        nll += _nll(block.logits, block.row, block.logits[block.row, block.item])
        if not held.repeats:
            block.leave_out_seen()
        rank[block.part] = block.ranks()
    recall, ndcg = _means(held, rank)
    return Found(ndcg, recall, float(nll[len(nll) // 2] / len(rank)), float(TEMPERATURES[int(nll.argmin())]))


def cold_item_boost(held: HeldOut, recommender: Recommender, catalogue: Catalogue, cost: float) -> float:
    """The largest of BOOSTS that may be added to the logits of items without a behaviour.

    The logits alone say what is likely next, and an item that only its text is known of is seldom likelier than the best
    of those that many have touched: a list of the likeliest would hide cold items until someone finds them elsewhere.
    With a larger boost, ndcg on held-out behaviours (cold items among them) falls by more than ``cost`` of its best.
    """
    cold = catalogue.popularity.total <= 0
    new = np.flatnonzero(cold)
    if not cold[held.truth_item].any():
        return 0.0
    rank = np.empty((len(BOOSTS), len(held.truth_row)), np.int64)
    for block in _blocks(held, recommender, catalogue):
        if not held.repeats:
            block.leave_out_seen()
        for k, step in enumerate(np.diff(BOOSTS, prepend=0.0)):
            block.logits[:, new] += np.float32(step)
            rank[k, block.part] = block.ranks()
    ndcg = np.array([_means(held, one)[1] for one in rank])
    if ndcg.max() <= 0:
        return 0.0
    return float(BOOSTS[np.flatnonzero(ndcg >= (1 - cost) * ndcg.max())[-1]])


@dataclass(frozen=True)
class _Block:
    """The logits of some of the asked users."""

    asked: Histories
    logits: npt.NDArray[np.float32]
    """[n_asked, n_items]"""
    part: slice
    """where their truth is"""
    row: Longs
    """[n_truth] index into `asked`"""
    item: Longs
    """[n_truth]"""

    def leave_out_seen(self) -> None:
        self.logits[np.repeat(np.arange(self.asked.n_users), self.asked.lengths), self.asked.items] = -np.inf

    def ranks(self) -> Longs:
        """[n_truth] from 1, behind all that score the same: cold items without a text do, and so does a model of NaNs."""
        found = np.empty(len(self.row), np.int64)
        step = max(1, int(BLOCK_SCORES / self.logits.shape[1]))
        for start in range(0, len(self.row), step):
            row, item = self.row[start : start + step], self.item[start : start + step]
            found[start : start + step] = (~(self.logits[row] < self.logits[row, item, None])).sum(1)
        return found


def _blocks(held: HeldOut, recommender: Recommender, catalogue: Catalogue) -> Iterator[_Block]:
    vectors = recommender.item_vectors(catalogue.ids, catalogue.vectors, catalogue.has_vector, catalogue.popularity)
    position = columns_of(vectors.link)
    step = max(1, min(USERS_AT_ONCE, int(BLOCK_SCORES / len(catalogue.ids))))
    for start in range(0, held.asked.n_users, step):
        users = np.arange(start, min(held.asked.n_users, start + step))
        asked = held.asked.take(users)
        logits = recommender.user_vectors(asked, vectors.token) @ vectors.theta.T + vectors.bias
        boosts = recommender.user_boosts(asked, vectors.link)
        logits[boosts.row, position[boosts.item]] += boosts.value
        part = slice(*np.searchsorted(held.truth_row, [start, start + len(users)]))
        yield _Block(asked, logits, part, held.truth_row[part] - start, held.truth_item[part])


def _means(held: HeldOut, rank: Longs) -> tuple[float, float]:
    """Recall and ndcg at K."""
    n_truth = np.bincount(held.truth_row, minlength=held.asked.n_users)
    values = user_metrics(held.truth_row, rank, n_truth, [K])[:, 0].mean(0)
    return float(values[METRICS.index("recall")]), float(values[METRICS.index("ndcg")])


def _nll(logits: npt.NDArray[np.float32], row: Longs, own: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """[n_temperatures] sum over the pairs of log sum exp(logits / T) - own / T."""
    largest = logits.max(1, keepdims=True)
    shifted = logits - largest
    sums = np.stack([np.log(np.exp(shifted / t).sum(1, dtype=np.float64)) for t in TEMPERATURES], 1)
    gap = (largest[row, 0] - own).astype(np.float64)
    total: npt.NDArray[np.float64] = (sums[row] + gap[:, None] / TEMPERATURES).sum(0)
    return total
