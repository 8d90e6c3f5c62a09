"""A small generated world with all that a real one has: times, two behaviours, tags, friends, items that come late."""

from __future__ import annotations

import numpy as np

from benchmarks.encode.cases import MINILM
from benchmarks.quality.data import Described, Rows, Taggings, World
from recsys_spark.config.encoder import Encoder
from recsys_spark.config.sections import Behaviours, Profiles

TOPICS = ("red wool dress", "jazz album", "space game", "horror comedy", "green cotton course")
DAY = 86_400.0
TINY = "tiny"
N_DAYS = 200


def tiny_world(encoder: Encoder | None = None, n_users: int = 150, n_items: int = 60, seed: int = 0) -> World:
    """Return users with a favourite topic each, and items of a topic each, a fifth of which appear in the last tenth.

    What is to be learned is known: a list should hold items of the user's topic, new ones included.
    """
    rng = np.random.default_rng(seed)
    topic_of_item = np.arange(n_items) % len(TOPICS)
    topic_of_user = np.arange(n_users) % len(TOPICS)
    first_day = np.where(np.arange(n_items) % 5 == np.arange(n_items) // 5 % 5, 0.88 * N_DAYS, 0.0)
    liking = 1.0 / (1.0 + np.arange(n_items) // len(TOPICS))
    parts = []
    for person in range(n_users):
        for day in np.sort(rng.uniform(0, N_DAYS, rng.integers(4, 12))):
            weight = liking * np.where(topic_of_item == topic_of_user[person], 12.0, 1.0) * (first_day <= day)
            parts.append((person, rng.choice(n_items, p=weight / weight.sum()), day * DAY, rng.integers(2)))
    user, item, time, behaviour = map(np.array, zip(*parts, strict=True))
    # A tag put on three items, as people of that topic would.
    n_tagged = n_users // 2
    tagger = np.repeat(np.arange(n_tagged), 3)
    tagged = (topic_of_user[tagger] + len(TOPICS) * np.tile(np.arange(3), n_tagged)) % n_items
    names = np.array([TOPICS[topic].split()[-1] for topic in topic_of_user[tagger]], object)
    taggings = Taggings(tagger, tagged, np.zeros(len(tagger)), names)
    friend = (np.arange(n_users) + len(TOPICS)) % n_users
    return World(
        TINY,
        np.array([f"u{number:03}" for number in range(n_users)], object),
        np.array([f"i{number:03}" for number in range(n_items)], object),
        Rows(
            user.astype(np.int64),
            item.astype(np.int64),
            time.astype(np.float64),
            behaviour.astype(np.int64),
            np.where(behaviour == 0, 2.0, np.nan),
        ),
        ("play", "purchase"),
        [f"{TOPICS[topic]} {number}" for number, topic in enumerate(topic_of_item)],
        Described(
            Behaviours(weights={"play": 1.0, "purchase": 1.0}, value_transform="log1p", half_life_days=365.0),
            encoder or Encoder(model=MINILM, max_length=16),
            Profiles(item_template="{title}"),
        ),
        has_times=True,
        has_order=True,
        taggings=taggings,
        profile_taggings=taggings,
        friends=np.stack([np.arange(n_users), friend], axis=1),
        min_items_per_tag=3,
    )
