"""Fits the links between items, and gives training the evidence of links without the user's own row.

B of :mod:`recsys_spark.model.kernels.links` is fitted to the same histories that the model then learns from. So in
training a user's evidence comes from a B that was fitted without this user. Then the model learns how far links can be
trusted on behaviours that they have not seen. By Sherman and Morrison, with v = P x and q = x'v of the user's own row
x:

    P~ = P + v v' / (1 - q)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack

from recsys_spark.errors import TrainingError
from recsys_spark.model.kernels.histories import Histories
from recsys_spark.model.kernels.links import MIN_EVIDENCE, MIN_REST, Evidence, Links, chosen_of
from recsys_spark.numerics.arrays import F32, I64, Bools, Number
from recsys_spark.numerics.machine_code import REORDERED, compiled, inlined
from recsys_spark.worker.process_group import ALONE, Group

KEPT_PER_ITEM = 256
"""The number of entries of a row of B that the model keeps, the largest ones."""
ROOM_PER_ROW = 256
"""The first guess of the number of items with evidence per prefix."""
MIN_PENALTY = 1e-6
"""A smaller penalty, as a share of the largest count, is lost in float32's rounding."""
ROWS_AT_ONCE = 1_024


@dataclass(frozen=True)
class Fitted:
    """P of the linked items among n items, as training uses it."""

    inverse: F32
    """[n_linked, n_linked]"""
    linked: I64
    """[n_linked] items, ascending"""
    place: I64
    """[n] row of each item in `inverse`, -1 for an item that is not linked"""

    def links(self) -> Links:
        """Return the links that the model keeps."""
        n, lengths = len(self.linked), np.zeros(len(self.place), np.int64)
        n_kept = max(min(KEPT_PER_ITEM, n - 1), 0)
        lengths[self.linked] = n_kept
        items, values = [np.empty(0, np.int32)], [np.empty(0, np.float32)]
        for low in range(0, n if n_kept else 0, ROWS_AT_ONCE):
            high = min(low + ROWS_AT_ONCE, n)
            weights = self.inverse[low:high] / -self.inverse.diagonal()
            weights[np.arange(high - low), np.arange(low, high)] = 0.0
            columns = np.sort(np.argpartition(-np.abs(weights), n_kept - 1, axis=1)[:, :n_kept], axis=1)
            items.append(self.linked[columns].astype(np.int32).ravel())
            values.append(np.take_along_axis(weights, columns, axis=1).ravel())
        diagonal = np.zeros(len(self.place), np.float32)
        diagonal[self.linked] = self.inverse.diagonal()
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return Links(offsets, np.concatenate(items), np.concatenate(values), diagonal)


def fit_links(histories: Histories, n_items: int, *, most_items: int, penalty: float, group: Group = ALONE) -> Fitted:
    """Return P of the ``most_items`` items that most users chose, in the histories of the whole ``group``.

    Takes 4 bytes for each pair of linked items (1 GiB for 16,384) and about 24 bytes for each behaviour. The number of
    multiplications is the cube of the number of linked items.
    """
    chosen = chosen_of(histories, n_items)
    counts = group.add_up(np.bincount(chosen.indices, minlength=n_items))
    linked = np.sort(np.argsort(-counts, kind="stable")[: min(most_items, int((counts > 0).sum()))])
    place = np.full(n_items, -1)
    place[linked] = np.arange(len(linked))
    return Fitted(inverse(chosen[:, linked], penalty, group), linked, place)


def inverse(chosen: sp.csr_matrix, penalty: float, group: Group = ALONE) -> F32:
    """Return (X'X + penalty I)^-1, float32 [n, n], of X [n_users, n] with the users of the whole ``group``.

    Raises TrainingError if there is no inverse in float32.
    """
    n, items = chosen.shape[1], chosen.T.tocsr()
    if not n:
        return np.empty((0, 0), np.float32)
    gram = np.empty((n, n), np.float32, order="F")
    for low in range(0, n, ROWS_AT_ONCE):
        # The matrix is symmetric, so rows may be written as columns, which are contiguous in memory.
        gram[:, low : low + ROWS_AT_ONCE] = (items[low : low + ROWS_AT_ONCE] @ chosen).toarray().T
    gram = group.add_up(gram)
    largest = gram.diagonal().max()
    gram[np.diag_indices(n)] += np.float32(penalty)
    factor, failed = lapack.spotrf(gram, lower=0, clean=0, overwrite_a=1)
    upper, failed_too = lapack.spotri(factor, lower=0, overwrite_c=1)
    if failed or failed_too or penalty < largest * MIN_PENALTY:
        raise TrainingError(
            "The links between items cannot be computed",
            where="model.link_penalty",
            found=f"{penalty:g}, which is lost in rounding: up to {int(largest)} users chose one item",
            expected=f"a penalty that rounding does not lose, at least {largest * MIN_PENALTY:g}",
            action="Raise model.link_penalty, or set model.linked_items = 0.",
        )
    # It lies column by column in memory, so its transpose lies row by row and lacks the upper triangle.
    found: F32 = upper.T
    for low in range(0, n, ROWS_AT_ONCE):
        high = min(low + ROWS_AT_ONCE, n)
        square = np.tril(found[low:high, low:high])
        found[low:high, low:high] = square + np.tril(square, -1).T
        found[low:high, high:] = found[high:, low:high].T
    return found


def evidence_without_self(fitted: Fitted, histories: Histories, row: I64, column: I64) -> Evidence:
    """Return the evidence at behaviours (row, column) of ``histories``, by links without the user's own row.

    The links were fitted to these histories. The evidence is of the items up to the behaviour. It is given user by
    user, columns ascending.
    """
    capacity = ROOM_PER_ROW * len(row) + 1
    places = fitted.place[histories.items]
    while True:
        found = Evidence(np.empty(capacity, np.int64), np.empty(capacity, np.int64), np.empty(capacity, np.float32))
        needed = _gather(found, fitted.inverse, fitted.inverse.diagonal(), histories.offsets, places, row, column)
        if needed <= capacity:
            return Evidence(found.row[:needed], fitted.linked[found.item[:needed]], found.value[:needed])
        capacity = needed


@compiled(REORDERED)
def _gather(found: Evidence, inverse: F32, diagonal: F32, offsets: I64, places: I64, row: I64, column: I64) -> int:
    """Fill ``found`` as far as it has room, and return how much evidence there is."""
    n = len(inverse)
    own, prefix, evidence = np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.float32)
    per_diagonal, in_prefix, is_counted = np.empty(n, np.float32), np.zeros(n, np.float32), np.zeros(n, np.bool_)
    size, k = 0, 0
    while k < len(row):
        user = row[k]
        low, high = offsets[user], offsets[user + 1]
        per_rest = _own_row(own, inverse, places[low:high], is_counted)
        for j in range(n):
            per_diagonal[j] = np.float32(-1.0) / (diagonal[j] + own[j] * own[j] * per_rest)
        prefix[:] = 0.0
        together, at = np.float32(0.0), low
        while k < len(row) and row[k] == user:
            while at <= low + column[k]:
                i = places[at]
                at += 1
                if i >= 0 and in_prefix[i] == 0.0:
                    in_prefix[i] = 1.0
                    together += own[i]
                    for j in range(n):
                        prefix[j] += inverse[i, j]
            factor = together * per_rest
            for j in range(n):
                # An item's own weight would be -1.
                evidence[j] = (prefix[j] + factor * own[j]) * per_diagonal[j] + in_prefix[j]
            size = _keep(found, size, k, evidence)
            k += 1
        for i in places[low:at]:
            if i >= 0:
                in_prefix[i] = 0.0
    return size


@inlined()
def _keep(found: Evidence, size: int, row: int, evidence: F32) -> int:
    """Append evidence of at least MIN_EVIDENCE to ``found`` as far as it has room, and return the size needed so
    far."""
    for j in range(len(evidence)):
        if evidence[j] >= MIN_EVIDENCE:
            if size < len(found.row):
                found.row[size], found.item[size], found.value[size] = row, j, evidence[j]
            size += 1
    return size


@inlined()
def _own_row(own: F32, inverse: F32, places: I64, is_counted: Bools) -> Number:
    """Set ``own`` to v = P x of the user with items at ``places`` and return 1 / (1 - x'v).

    ``is_counted`` is all false before and after.
    """
    own[:] = 0.0
    for i in places:
        if i >= 0 and not is_counted[i]:
            is_counted[i] = True
            for j in range(len(own)):
                own[j] += inverse[i, j]
    q = np.float32(0.0)
    for i in places:
        if i >= 0 and is_counted[i]:
            is_counted[i] = False
            q += own[i]
    return np.float32(1.0) / max(np.float32(1.0) - q, np.float32(MIN_REST))
