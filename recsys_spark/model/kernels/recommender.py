"""A trained model in use: item vectors from text vectors, user vectors from histories."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.model.kernels.histories import Histories, Positions, kept
from recsys_spark.model.kernels.links import Evidence, Links, chosen_of, evidence_for
from recsys_spark.model.kernels.popularity import Popularity
from recsys_spark.model.kernels.tower import UserTower, friend_boosts, last_outputs, link_boosts, tokens_of
from recsys_spark.numerics.arrays import F32, I64, Bools

USERS_PER_PASS = 256
ITEMS_PER_PASS = 512
LIKE_PER_PASS = 32
"""Users of one length of history. More would be computed for nothing where a batch has few of them."""


class ItemVectors(NamedTuple):
    """The vectors of n items that scoring and histories need."""

    token: F32
    """[n, d] W_in e_j + delta_j, the tokens of histories"""
    y: F32
    """[n, d] the cosine side"""
    theta: F32
    """[n, d] the softmax side"""
    bias: F32
    """[n]"""
    link: I64
    """[n] the number of the item in boosts, -1 for an item without one"""


@dataclass(frozen=True)
class ItemMatrix:
    """The catalogue of n items as workers hold it, sorted by id."""

    fingerprint: str
    """Changes with the ids, so that what workers keep by position is not used for other items"""
    ids: npt.NDArray[np.object_]
    """[n]"""
    titles: npt.NDArray[np.object_]
    """[n] display titles"""
    tokens: F32
    """[n, d]"""
    y: F32
    """[n, d]"""
    theta: F32
    """[n, d]"""
    link: I64
    """[n] link numbers, -1 for an item without one"""


class Recommender:
    """The forward passes of a trained artifact; loaded once per worker."""

    def __init__(self, artifact: Artifact) -> None:
        self.shape = artifact.facts.shape
        self.behaviours = {name: k for k, name in enumerate(artifact.facts.behaviours)}
        self._warm = Positions(artifact.facts.warm_item_ids)
        self._tensors = {name: torch.from_numpy(np.array(value)) for name, value in artifact.tensors.items()}
        self._tower = UserTower(self.shape)
        self._links = Links(**{name: self._tensors[f"links.{name}"].numpy() for name in Links._fields})
        self._weights = self._links.matrix()
        own = {name.removeprefix("tower."): t for name, t in self._tensors.items() if name.startswith("tower.")}
        self._tower.load_state_dict(own)
        self._tower.eval()

    @property
    def prior_strength(self) -> float:
        """Return the mean gamma of the attention: how much log(weight) counts compared with q.k."""
        gammas = [t.mean() for name, t in self._tensors.items() if name.endswith(".gamma")]
        return max(0.0, float(torch.stack(gammas).mean()))

    @torch.inference_mode()
    def item_vectors(
        self,
        ids: npt.NDArray[np.object_],
        vectors: F32,
        has_vector: Bools,
        popularity: Popularity,
    ) -> ItemVectors:
        """Return the vectors of n items from text vectors [n, h]; an item not seen in training has delta 0 and c 0.

        An item's vectors are the same to the last bit, whichever other items are in the batch.
        """
        parts = []
        for start in range(0, len(ids), ITEMS_PER_PASS):
            rows = np.arange(start, min(len(ids), start + ITEMS_PER_PASS))
            padded = np.resize(rows, ITEMS_PER_PASS)
            of_rows = Popularity(popularity.recent[padded], popularity.total[padded])
            part = self._item_vectors(ids[padded], vectors[padded], has_vector[padded], of_rows)
            parts.append(ItemVectors._make(values[: len(rows)] for values in part))
        if not parts:
            return self._item_vectors(ids, vectors, has_vector, popularity)
        return ItemVectors(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def _item_vectors(
        self, ids: npt.NDArray[np.object_], vectors: F32, has_vector: Bools, popularity: Popularity
    ) -> ItemVectors:
        t = self._tensors
        e = (torch.from_numpy(vectors) - t["text_mean"]) / t["text_scale"]
        e = e * torch.from_numpy(has_vector).unsqueeze(1)
        rows = self._warm.of(ids)
        warm = torch.from_numpy(rows >= 0)
        at = torch.from_numpy(np.maximum(rows, 0))
        delta = t["items.delta"][at] * warm.unsqueeze(1)
        # An item of the newest slice was a target only while it was cold: its delta is learned from histories.
        settled = t["items.settled"][at].unsqueeze(1)
        correction = t["items.correction"][at] * warm
        prior = torch.from_numpy(popularity.features(t["popularity_units"].numpy()))
        return ItemVectors(
            token=(e @ t["items.w_in.weight"].T + t["items.w_in.bias"] + delta).numpy(),
            y=(e @ t["items.w_y.weight"].T).numpy(),
            theta=((e @ t["items.w_theta.weight"].T + delta * settled) / t["temperature"]).numpy(),
            bias=((prior @ t["items.beta"] + correction) / t["temperature"]).numpy(),
            link=rows,
        )

    @torch.inference_mode()
    def user_boosts(self, histories: Histories, link_numbers: I64) -> Evidence:
        """Return the additions to logits: by links for each user with a history, by friends for each user without one.

        ``item`` is the link number, ``row`` the user. ``link_numbers`` [n_items] are indexed by the histories'
        positions.
        """
        friends = self._friend_boosts(histories, link_numbers)
        numbers = link_numbers[histories.items]
        known = replace(kept(histories, numbers >= 0), items=numbers[numbers >= 0])
        parts = []
        for start in range(0, known.n_users, USERS_PER_PASS):
            users = np.arange(start, min(known.n_users, start + USERS_PER_PASS))
            part = evidence_for(self._links, known.take(users))
            parts.append(part._replace(row=part.row + start))
        if not parts:
            return friends
        found = Evidence(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
        n_items = torch.from_numpy(np.diff(chosen_of(known, len(self._links.diagonal)).indptr)[found.row])
        boosts = link_boosts(torch.from_numpy(found.value), n_items, self._tensors["items.link"])
        value = (boosts / self._tensors["temperature"]).numpy()
        row, item = np.concatenate([found.row, friends.row]), np.concatenate([found.item, friends.item])
        order = np.lexsort((item, row))
        return Evidence(row[order], item[order], np.concatenate([value, friends.value])[order])

    def _friend_boosts(self, histories: Histories, link_numbers: I64) -> Evidence:
        """Return the boosts of users without a history."""
        n_social = np.diff(histories.social_offsets)
        # Shares among the warm items, as in training.
        row, item = np.repeat(np.arange(histories.n_users), n_social), link_numbers[histories.social_items]
        weight = np.where(item >= 0, histories.social_weights, 0.0).astype(np.float32)
        sums = np.bincount(row, weight, minlength=histories.n_users).astype(np.float32)
        share = weight / np.maximum(sums, 1e-12)[row]
        chosen = (histories.lengths == 0)[row] & (share > 0)
        row, item, share = row[chosen], item[chosen], share[chosen]
        order = np.lexsort((item, row))
        boosts = friend_boosts(torch.from_numpy(share[order]), self._tensors["items.friend"])
        return Evidence(row[order], item[order], (boosts / self._tensors["temperature"]).numpy())

    @torch.inference_mode()
    def pair_boosts(self, chosen: I64, items: I64) -> F32:
        """Return the additions [m, n] to the logit of each of ``items`` if only that item of ``chosen`` had been
        chosen.

        Both are link numbers, or -1. B is taken as it is: no user's own row is left out.
        """
        between = self._weights[np.maximum(chosen, 0)][:, np.maximum(items, 0)].toarray().clip(min=0)
        between *= (chosen >= 0)[:, None] & (items >= 0)
        boosts = link_boosts(torch.from_numpy(between), torch.ones(1), self._tensors["items.link"])
        return np.asarray((boosts / self._tensors["temperature"]).numpy(), np.float32)

    @torch.inference_mode()
    def user_vectors(self, histories: Histories, item_tokens: F32) -> F32:
        """Return x_i [n, d]; ``item_tokens`` [n_items, d] are indexed by the histories' positions.

        A user's vector is the same to the last bit, whoever else is in the batch. So each pass has as many rows as any
        other, all with histories of one length: products of other shapes may add in another order.
        """
        out = np.zeros((histories.n_users, self.shape.width), dtype=np.float32)
        table = torch.from_numpy(item_tokens)
        order = np.argsort(histories.lengths, kind="stable")
        for alike in np.split(order, np.flatnonzero(np.diff(histories.lengths[order])) + 1):
            for start in range(0, len(alike), LIKE_PER_PASS):
                rows = alike[start : start + LIKE_PER_PASS]
                tokens = tokens_of(histories.take(np.resize(rows, LIKE_PER_PASS)))
                vectors = last_outputs(self._tower(tokens, table), tokens.lengths).numpy()
                out[rows] = vectors[: len(rows)]
        return out
