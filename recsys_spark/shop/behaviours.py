"""The behaviours table: sessions of visits, where a visit is a browse, then perhaps a cart, then perhaps a purchase.

Row k belongs to block ``k div 14``, and a block is three sessions with nine visits. So rows are made independently of
each other, and their number is exact. Everything else is drawn by hash: the user, time and topic of a session, and the
item that a visit picks among a few popular items of the topic.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd

from recsys_spark.numerics.arrays import F64, I64, Bools
from recsys_spark.shop import catalogue, people
from recsys_spark.shop.draws import integers, pick, uniform, zipf_rank

BEHAVIOURS_SCHEMA = "customer string, sku string, event string, at_ms bigint, quantity double"
EVENTS = ("browse", "cart", "purchase")

# One line per row of a block: session, visit, step of the funnel.
_FUNNEL = np.array([
    (0, 0, 0), (0, 1, 0), (0, 1, 1), (0, 2, 0),
    (1, 3, 0), (1, 4, 0), (1, 4, 1), (1, 4, 2),
    (2, 5, 0), (2, 6, 0), (2, 7, 0), (2, 7, 1), (2, 7, 2), (2, 8, 0),
])  # fmt: skip
_SESSIONS, _VISITS = 3, 9
_FIRST_VISIT = np.array([0, 3, 5])
_DAY_MS = 86_400_000
_TASTE_SHARE = 0.8  # the rest of the sessions follow the crowd
_N_CONSIDERED = 6
_TIER_PULL, _FAMILY_PULL = 1.0, 3.0
_DIRT_PER_THOUSAND = {
    "exact_duplicate": 10,
    "null_user": 1,
    "empty_item": 1,
    "unknown_item": 3,
    "future": 1,
    "null_time": 1,
    "negative": 1,
}


@dataclass(frozen=True)
class World:
    """The size and seed of a shop."""

    n_users: int
    n_items: int
    n_behaviours: int
    seed: int
    end: date


def dirt_counts(n_behaviours: int) -> dict[str, int]:
    """Return how many dirty rows of each kind come on top of the ``n_behaviours`` clean ones."""
    return {kind: n_behaviours * share // 1000 for kind, share in _DIRT_PER_THOUSAND.items()}


def behaviour_rows(ids: I64, world: World) -> pd.DataFrame:
    """Return rows 0 .. n_behaviours + sum(dirt_counts) - 1, columns of BEHAVIOURS_SCHEMA.

    Rows from ``n_behaviours`` on are copies of clean rows. All of them but the exact duplicates have one spoilt field.
    """
    kinds = dirt_counts(world.n_behaviours)
    place = ids - world.n_behaviours
    kind = np.searchsorted(np.cumsum([0, *kinds.values()]), place, side="right")  # 0: clean, n: the nth kind
    kind = np.where(place < 0, 0, kind)
    # Copies are spread evenly, so that no row is copied twice.
    stride = max(1, world.n_behaviours // max(1, sum(kinds.values())))
    frame = _clean_rows(np.where(kind > 0, place * stride, ids), world)
    for number, name in enumerate(kinds, start=1):
        chosen = kind == number
        if chosen.any():
            _spoil(frame, name, chosen, ids)
    return frame


def _spoil(frame: pd.DataFrame, kind: str, chosen: Bools, ids: I64) -> None:
    if kind == "null_user":
        frame.loc[chosen, "customer"] = None
    elif kind == "empty_item":
        frame.loc[chosen, "sku"] = ""
    elif kind == "unknown_item":
        frame.loc[chosen, "sku"] = [f"retired-{i % 97:03d}" for i in ids[chosen].tolist()]
    elif kind == "future":
        frame.loc[chosen, "at_ms"] = _milliseconds(date(2999, 1, 1))
    elif kind == "null_time":
        frame.loc[chosen, "at_ms"] = pd.NA
    elif kind == "negative":
        frame.loc[chosen, "quantity"] = -1.0


def _clean_rows(rows: I64, world: World) -> pd.DataFrame:
    block, (session_in_block, visit_in_block, step) = rows // len(_FUNNEL), _FUNNEL[rows % len(_FUNNEL)].T
    session, visit = block * _SESSIONS + session_in_block, block * _VISITS + visit_in_block
    seed = world.seed
    user = people.by_activity(uniform(seed, "session user", session), world.n_users)
    likes = people.tastes(seed, user)
    day = _session_day(seed, session, likes.join_day)
    item = _choose_items(session, visit, day, likes, world)
    minutes = 6 * (visit_in_block - _FIRST_VISIT[session_in_block]) + 2 * step
    jitter_ms = integers(seed, "seconds", rows, 90_000)
    second = (uniform(seed, "hour 1", session) + uniform(seed, "hour 2", session)) / 2 * 82_800
    start_ms = _milliseconds(world.end) - people.HISTORY_DAYS * _DAY_MS
    at_ms = start_ms + day * _DAY_MS + (second * 1000).astype(np.int64) + minutes * 60_000 + jitter_ms
    several = 1 + zipf_rank(uniform(seed, "quantity", visit), 4, exponent=3.0, shift=1.0)
    quantity = np.where(catalogue.department_of(item) == catalogue.COURSE, 1, several).astype(np.float64)
    return pd.DataFrame(
        {
            "customer": pd.Series(people.user_ids(user, world.n_users), dtype=object),
            "sku": pd.Series(catalogue.item_ids(item, world.n_items), dtype=object),
            "event": pd.Series(pick(EVENTS, step), dtype=object),
            "at_ms": pd.Series(at_ms, dtype="Int64"),
            "quantity": np.where(step == 0, np.nan, quantity),
        }
    )


def _session_day(seed: int, session: I64, join_day: I64) -> I64:
    """Return a day between joining and the end. Later days are a little busier."""
    share = uniform(seed, "session day", session) ** 0.8
    return join_day + np.floor(share * (people.HISTORY_DAYS - join_day)).astype(np.int64)


def _session_topics(session: I64, day: I64, likes: people.Tastes, seed: int) -> I64:
    """Return the topic of each session: mostly a taste of the user, otherwise a topic that is popular with everyone."""
    u = uniform(seed, "which taste", session)
    nth = (u >= likes.weights[:, 0]).astype(np.int64) + (u >= likes.weights[:, :2].sum(axis=1))
    nth = np.where((day >= likes.drift_day) & (nth < 2) & (likes.weights[:, 1] > 0), 1 - nth, nth)
    taste = np.take_along_axis(likes.topics, nth[:, None], axis=1)[:, 0]
    crowd = zipf_rank(uniform(seed, "crowd topic", session), catalogue.N_TOPICS, exponent=0.8, shift=1.0)
    return np.where(uniform(seed, "own taste", session) < _TASTE_SHARE, taste, crowd)


def _choose_items(session: I64, visit: I64, day: I64, likes: people.Tastes, world: World) -> I64:
    """Return the item of each visit: of a few items drawn by popularity, the one with the highest utility.

    The utility adds the match with the user's tier, the match with the session's family of things, and Gumbel noise.
    """
    seed = world.seed
    topic = _session_topics(session, day, likes, seed)
    department = np.where(
        uniform(seed, "visit department", visit) < likes.course_share, catalogue.COURSE, catalogue.SHOP
    )
    n = catalogue.counts(world.n_items)[topic, department]
    intent = integers(seed, "session family", session, catalogue.N_FAMILIES)
    days_before_end = people.HISTORY_DAYS - day
    chosen = catalogue.index_of(topic, department, np.zeros_like(n))
    best: F64 = np.full(len(visit), -10.0)  # the best-seller, if nothing else was on sale yet
    for nth in range(_N_CONSIDERED):
        u = uniform(seed, f"considered {nth}", visit)
        item = catalogue.index_of(topic, department, zipf_rank(u, n, exponent=0.7, shift=1.0))
        utility = -np.log(-np.log(np.clip(uniform(seed, f"gumbel {nth}", visit), 1e-12, 1 - 1e-12)))
        utility += _TIER_PULL * (catalogue.tier_of(seed, item) == likes.tier)
        utility += _FAMILY_PULL * (catalogue.family_of(catalogue.thing_of(seed, item)) == intent)
        utility = np.where(catalogue.launch_days_before_end(seed, item) >= days_before_end, utility, -np.inf)
        better = utility > best
        chosen, best = np.where(better, item, chosen), np.where(better, utility, best)
    return chosen


def _milliseconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
