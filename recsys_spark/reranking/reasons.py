"""The sentences that say why an item is in a list.

To add a reason, write a method of ``Reasons`` that returns a strength and a sentence for each listed item. Then name
the method in ``KINDS``. A strength is a combined rank (see ``strengths``), so that reasons of all kinds can be
compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys_spark.model.kernels.histories import Histories, Positions
from recsys_spark.model.kernels.recommender import ItemMatrix, Recommender
from recsys_spark.numerics.arrays import I64
from recsys_spark.reranking.strengths import best_rows, cosines, part_vectors, strengths
from recsys_spark.scoring.kernels.rank import Rank

POPULAR = "popular recently"
Said = tuple[float, str]
"""A strength and a sentence."""


@dataclass(frozen=True)
class Listed:
    """One user of a batch and the items of the user's list."""

    row: int
    """Number of the user in the batch."""
    items: Sequence[Mapping[str, Any]]
    """The list, best first: `item_id`, `source`, `labels` and more."""
    at: I64
    """[n] positions of the items in the catalogue."""
    tags: Sequence[str]
    """Interest tags that the user gave."""
    friends: Sequence[str]
    """Friends, one for each of the user's social items."""


class Reasons:
    """The reasons of a batch of users, whose part vectors are computed once."""

    def __init__(
        self,
        histories: Histories,
        items: ItemMatrix,
        positions: Positions,
        recommender: Recommender,
        rank: Rank,
        n_reasons: int,
    ) -> None:
        self.histories, self.items, self.positions = histories, items, positions
        self.recommender, self.behaviours = recommender, [*recommender.behaviours, "behaviour"]
        self.rank, self.n_reasons = rank, n_reasons
        self.found = part_vectors(recommender, histories, items.tokens)

    def of(
        self, row: int, items: Sequence[Mapping[str, Any]], tags: Sequence[str], friends: Sequence[str]
    ) -> list[list[str]]:
        """Return the reasons for each item of one user's list, strongest first, at most ``n_reasons``."""
        if items[0]["source"] == "popular":
            return [[POPULAR] for _ in items]
        at = self.positions.of(np.array([item["item_id"] for item in items], dtype=object))
        listed = Listed(row, items, at, tags, friends)
        kinds = [kind(self, listed) for kind in KINDS]
        said = [[one for kind in kinds for one in kind[column]] for column in range(len(items))]
        # Of equal strengths the kind that is named first comes first.
        return [[words for _, words in sorted(one, key=lambda s: -s[0])][: self.n_reasons] for one in said]

    def behaviour(self, listed: Listed) -> list[list[Said]]:
        """Return the behaviours that speak most for each item, at most ``n_reasons`` of them."""
        h = self.histories
        mine = slice(int(h.offsets[listed.row]), int(h.offsets[listed.row + 1]))
        y, theta = self.items.y[listed.at], self.items.theta[listed.at]
        alone = strengths(self.found.history[mine], y, theta, self.rank) + self.found.history_prior[mine, None]
        linked = self.recommender.pair_boosts(self.items.link[h.items[mine]], self.items.link[listed.at])
        alone += self.rank.w_product * linked
        best = best_rows(alone, h.items[mine], self.n_reasons)

        def because_of(flat: int) -> str:
            return f'because of "{self.items.titles[h.items[flat]]}" ({self.behaviours[h.behaviours[flat]]})'

        return [
            [(alone[k, column], because_of(mine.start + int(k))) for k in best[column] if k >= 0]
            for column in range(len(listed.items))
        ]

    def tag(self, listed: Listed) -> list[list[Said]]:
        """Return the first interest tag that each item carries, or the first of all; without tags nothing."""
        if not self.histories.has_text[listed.row] or not listed.tags:
            return [[] for _ in listed.items]
        y, theta = self.items.y[listed.at], self.items.theta[listed.at]
        strength = strengths(self.found.text[[listed.row]], y, theta, self.rank)[0]
        carried = [
            [tag for tag in listed.tags if tag.lower() in (item["labels"] or [])] or listed.tags
            for item in listed.items
        ]
        return [
            [(of_item, f"because of your interest in {tags[0]}")]
            for of_item, tags in zip(strength, carried, strict=True)
        ]

    def friend(self, listed: Listed) -> list[list[Said]]:
        """Return the friend whose item is most like each item; nothing for a user without friends."""
        h = self.histories
        if not h.has_social[listed.row] or not listed.friends:
            return [[] for _ in listed.items]
        y, theta = self.items.y[listed.at], self.items.theta[listed.at]
        strength = strengths(self.found.social[[listed.row]], y, theta, self.rank)[0]
        mine = slice(int(h.social_offsets[listed.row]), int(h.social_offsets[listed.row + 1]))
        theirs = h.social_items[mine]

        def because_of(item: int) -> str:
            alike = cosines(self.items.y[theirs], self.items.y[[item]]).astype(np.float64)[:, 0]
            k = int(np.argmax(alike * h.social_weights[mine]))
            return f'because friend {listed.friends[k]} chose "{self.items.titles[theirs[k]]}"'

        return [[(of_item, because_of(int(item)))] for of_item, item in zip(strength, listed.at, strict=True)]


KINDS: tuple[Callable[[Reasons, Listed], list[list[Said]]], ...] = (Reasons.behaviour, Reasons.tag, Reasons.friend)
"""The kinds of reasons: each returns, for each listed item, none or more sentences with their strengths."""
