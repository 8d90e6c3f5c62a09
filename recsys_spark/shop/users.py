"""The users table: who the users are and, if they told the shop, what interests them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from recsys_spark.numerics.arrays import I64
from recsys_spark.shop import people, words
from recsys_spark.shop.behaviours import World
from recsys_spark.shop.draws import integers, pick, uniform
from recsys_spark.shop.topics import TOPICS

USERS_SCHEMA = "id string, interests array<string>, city string, newsletter boolean"
_MAX_TAGS = 4
_TAG_NOISE = 0.15


def n_dirty_users(n_users: int) -> int:
    """Return the number of additional rows: the first users once more, and one row without an id."""
    return max(1, n_users // 100) + 1


def user_rows(ids: I64, world: World) -> pd.DataFrame:
    """Return rows 0 .. n_users + n_dirty_users - 1, columns of USERS_SCHEMA. Every user has one, cold users
    included."""
    seed, n_users = world.seed, world.n_users
    index = ids % n_users
    known = people.has_tags(seed, index, n_users).tolist()
    interests = [tags if known[n] else None for n, tags in enumerate(_interests(seed, index))]
    names = people.user_ids(index, n_users)
    last = n_users + n_dirty_users(n_users) - 1
    return pd.DataFrame(
        {
            "id": [None if number == last else name for number, name in zip(ids.tolist(), names, strict=True)],
            "interests": pd.Series(interests, dtype=object),
            "city": pick(words.CITIES, integers(seed, "city", index, len(words.CITIES))),
            "newsletter": uniform(seed, "newsletter", index) < 0.4,
        }
    )


def _interests(seed: int, index: I64) -> list[list[str]]:
    """Return two to four tags of the user's tastes, some of them wrong."""
    likes = people.tastes(seed, index)
    wanted = (2 + integers(seed, "number of tags", index, _MAX_TAGS - 1)).tolist()
    columns = []
    for nth in range(_MAX_TAGS):
        u = uniform(seed, f"tag taste {nth}", index)
        taste = (u >= likes.weights[:, 0]).astype(np.int64) + (u >= likes.weights[:, :2].sum(axis=1))
        topic = np.take_along_axis(likes.topics, taste[:, None], axis=1)[:, 0]
        wrong = uniform(seed, f"tag wrong {nth}", index) < _TAG_NOISE
        topic = np.where(wrong & (nth > 0), integers(seed, f"tag topic {nth}", index, len(TOPICS)), topic)
        word = integers(seed, f"tag word {nth}", index, len(TOPICS[0].tags)).tolist()
        columns.append([TOPICS[t].tags[w] for t, w in zip(topic.tolist(), word, strict=True)])
    return [list(dict.fromkeys(tags[:n])) for tags, n in zip(zip(*columns, strict=True), wanted, strict=True)]
