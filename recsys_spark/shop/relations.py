"""The relations table: who follows whom, and how closely."""

from __future__ import annotations

import pandas as pd

from recsys_spark.numerics.arrays import I64
from recsys_spark.shop import people
from recsys_spark.shop.behaviours import World
from recsys_spark.shop.draws import integers, uniform

RELATIONS_SCHEMA = "follower string, followee string, closeness string"
_BROKEN_SHARE = 0.01
_DOUBTS: dict[int, str | None] = {0: None, 1: "close"}  # of 50


def relation_rows(index: I64, world: World) -> pd.DataFrame:
    """Return the friend rows of these users, columns of RELATIONS_SCHEMA.

    Dirt: one row in 100 has no followee, some have a closeness that is empty or not a number.
    """
    seed, n_users = world.seed, world.n_users
    n_friends = people.n_friends(seed, index, n_users)
    frames = []
    for nth in range(int(n_friends.max(initial=0))):
        followers = index[n_friends > nth]
        friends = people.friends(seed, followers, nth, n_users)
        closeness = (0.2 + 0.8 * uniform(seed, f"closeness {nth}", followers)).round(2).tolist()
        doubt = integers(seed, f"closeness dirt {nth}", followers, 50).tolist()
        broken = (uniform(seed, f"broken {nth}", followers) < _BROKEN_SHARE).tolist()
        names = people.user_ids(friends, n_users)
        frames.append(
            pd.DataFrame(
                {
                    "follower": people.user_ids(followers, n_users),
                    "followee": [None if broken[n] else name for n, name in enumerate(names)],
                    "closeness": [_DOUBTS.get(d, str(value)) for d, value in zip(doubt, closeness, strict=True)],
                }
            )
        )
    if not frames:
        return pd.DataFrame({"follower": [], "followee": [], "closeness": []}, dtype=object)
    return pd.concat(frames, ignore_index=True)
