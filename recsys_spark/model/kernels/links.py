"""Links between items that were chosen together, at full rank: what a product of 64 numbers cannot tell apart.

The evidence for item j in a history S is that of EASE^R (Steck 2019, "Embarrassingly shallow autoencoders for sparse data"):

    f_j = sum over k in S, k != j, of B_kj        B_kj = -P_kj / P_jj        P = (X'X + penalty I)^-1

with X the users x items matrix of what was chosen at all. From LEAST on it enters the logit as
``strength * log((f_j + floor) / (LEAST + floor))``, both learned (``model.link_boosts``). B is fitted to the very histories that
the model then learns from, so there a user's evidence is that of a B without this user: by Sherman and Morrison, with v = P x and q = x'v of the user's own row x,

    P~ = P + v v' / (1 - q)

so that the model learns how far links are to be trusted on what they have not seen. The model keeps the largest entries of
each row of B; evidence below LEAST is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.linalg import lapack

from recsys_spark.errors import TrainingError
from recsys_spark.model.kernels.histories import Histories
from recsys_spark.numerics.arrays import F32, I64, Number
from recsys_spark.numerics.machine_code import REORDERED, compiled
from recsys_spark.worker.process_group import ALONE, Group

KEPT_PER_ITEM = 256
"""Entries of a row of B."""
LEAST = 0.008
"""Evidence below this is none: it is less than what one user says who alone chose two items, at the default penalty."""
MOST_PER_USER = 200
"""Items that a served user's links lead to, the strongest ones; the user's own items, which most lists leave out, come on top."""
ROOM_PER_ROW = 256
"""Evidence for so many items of a prefix is made room for at first."""
LEAST_REST = 0.05
"""1 - q is at least this: rounding must not divide a user's evidence by nothing."""
LEAST_PENALTY = 1e-6
"""Less than so much of the largest count is lost in float32's rounding."""
ROWS_AT_ONCE = 1_024
Flags = npt.NDArray[np.bool_]


class Links(NamedTuple):
    """The largest entries of B over n items, row by row."""

    offsets: I64
    """[n + 1]"""
    items: npt.NDArray[np.int32]
    """[nnz] other items, ascending in a row"""
    values: F32
    """[nnz] B_kj"""
    diagonal: F32
    """[n] P_jj, 0 for an item that is not linked"""

    def matrix(self) -> sp.csr_matrix:
        """B [n, n]."""
        n = len(self.offsets) - 1
        return sp.csr_matrix((self.values, self.items, self.offsets), shape=(n, n))


class Evidence(NamedTuple):
    """Sparse evidence: of ``item`` [nnz] in the history that ends at ``row`` [nnz], ascending."""

    row: I64
    item: I64
    value: F32
    """[nnz] f_j, at least LEAST"""

    def where(self, chosen: Flags) -> Evidence:
        """Some of it."""
        return Evidence(self.row[chosen], self.item[chosen], self.value[chosen])


@dataclass(frozen=True)
class Fitted:
    """P of the linked ones of n items, as training wants it."""

    inverse: F32
    """[n_linked, n_linked]"""
    linked: I64
    """[n_linked] items, ascending"""
    place: I64
    """[n] row of each item in `inverse`, -1 for one that is not linked"""

    def links(self) -> Links:
        """What the model keeps."""
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
    """P of the ``most_items`` items that most users chose, of ``histories`` and of those that others of the ``group`` have.

    Takes 4 bytes for each pair of linked items (1 GiB for 16,384), about 24 for each behaviour, and as many multiplications
    as the cube of the number of linked items.
    """
    chosen = chosen_of(histories, n_items)
    counts = group.add_up(np.bincount(chosen.indices, minlength=n_items))
    linked = np.sort(np.argsort(-counts, kind="stable")[: min(most_items, int((counts > 0).sum()))])
    place = np.full(n_items, -1)
    place[linked] = np.arange(len(linked))
    return Fitted(inverse(chosen[:, linked], penalty, group), linked, place)


def chosen_of(histories: Histories, n_items: int) -> sp.csr_matrix:
    """X [n_users, n_items]: 1 where a user has the item, however often."""
    ones = np.ones(len(histories.items), np.float32)
    chosen = sp.csr_matrix(
        (ones, histories.items.astype(np.int32), histories.offsets), shape=(histories.n_users, n_items)
    )
    chosen.sum_duplicates()
    chosen.data[:] = 1.0
    return chosen


def inverse(chosen: sp.csr_matrix, penalty: float, group: Group = ALONE) -> F32:
    """(X'X + penalty I)^-1 of X [n_users, n], the users of all of the ``group``, float32 [n, n]. Raises TrainingError where it has none in float32."""
    n, items = chosen.shape[1], chosen.T.tocsr()
    if not n:
        return np.empty((0, 0), np.float32)
    gram = np.empty((n, n), np.float32, order="F")
    for low in range(0, n, ROWS_AT_ONCE):
        # Symmetric, so rows may be written as columns, which lie together.
        gram[:, low : low + ROWS_AT_ONCE] = (items[low : low + ROWS_AT_ONCE] @ chosen).toarray().T
    gram = group.add_up(gram)
    largest = gram.diagonal().max()
    gram[np.diag_indices(n)] += np.float32(penalty)
    factor, failed = lapack.spotrf(gram, lower=0, clean=0, overwrite_a=1)
    upper, failed_too = lapack.spotri(factor, lower=0, overwrite_c=1)
    if failed or failed_too or penalty < largest * LEAST_PENALTY:
        raise TrainingError(
            "The links between items cannot be computed",
            where="model.link_penalty",
            found=f"{penalty:g}, which rounding makes nothing of beside items that up to {int(largest)} users chose",
            action="Raise model.link_penalty, or set model.linked_items = 0.",
        )
    # Column by column in memory, so the transpose is row by row, and its upper triangle is what is missing.
    found: F32 = upper.T
    for low in range(0, n, ROWS_AT_ONCE):
        high = min(low + ROWS_AT_ONCE, n)
        square = np.tril(found[low:high, low:high])
        found[low:high, low:high] = square + np.tril(square, -1).T
        found[low:high, high:] = found[high:, low:high].T
    return found


def evidence_for(links: Links, histories: Histories) -> Evidence:
    """Evidence in the whole history of each user, rows are users: of each the MOST_PER_USER strongest and the user's own items.

    Served users are those the links were fitted to, and as in training each one's own row is left out. Here v follows from f
    alone: ``v_j = P_jj (1[j in S] - f_j)``. For a user who was not there (thinned out, say) that trusts links of rare items too much.
    """
    n = len(links.diagonal)
    chosen = chosen_of(histories, n)
    rest = (chosen - chosen @ links.matrix()).tocoo()
    row, item = rest.row.astype(np.int64), rest.col.astype(np.int64)
    keys, own_keys = (
        row * n + item,
        np.repeat(np.arange(histories.n_users), np.diff(chosen.indptr)) * n + chosen.indices,
    )
    is_own = np.isin(keys, own_keys)
    diagonal = links.diagonal[item]
    v = diagonal * rest.data
    q = np.bincount(row[is_own], v[is_own], minlength=histories.n_users)
    per_rest = (1.0 / np.maximum(1.0 - q, LEAST_REST)).astype(np.float32)[row]
    below = diagonal + v * v * per_rest
    value = is_own - np.divide(v * per_rest, below, out=np.ones_like(v), where=below > 0)
    enough = value >= LEAST
    found = Evidence(row[enough], item[enough], value[enough].astype(np.float32))
    return strongest(found, is_own[enough], histories.n_users)


def strongest(evidence: Evidence, is_own: Flags, n_rows: int) -> Evidence:
    """Of each row the MOST_PER_USER strongest that are not ``is_own`` [nnz], ties by item, and all that are.

    Rows ascend, and items within a row.
    """
    order = np.lexsort((evidence.item, -evidence.value, is_own, evidence.row))
    row = evidence.row[order]
    first = np.searchsorted(row, np.arange(n_rows))
    kept = order[(np.arange(len(row)) - first[row] < MOST_PER_USER) | is_own[order]]
    kept = kept[np.lexsort((evidence.item[kept], evidence.row[kept]))]
    return Evidence(evidence.row[kept], evidence.item[kept], evidence.value[kept])


def evidence_without_self(fitted: Fitted, histories: Histories, row: I64, column: I64) -> Evidence:
    """Evidence at behaviours (row, column) of histories that the links were fitted to, by links without the user's own.

    Of the items up to there; given user by user, columns ascending.
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
    """Fill ``found`` as far as it reaches; how much there is."""
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
                    prefix += inverse[i]
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


@compiled()
def _keep(found: Evidence, size: int, row: int, evidence: F32) -> int:
    """Append what is enough to ``found``, as far as it reaches; how much there is now."""
    for j in range(len(evidence)):
        if evidence[j] >= LEAST:
            if size < len(found.row):
                found.row[size], found.item[size], found.value[size] = row, j, evidence[j]
            size += 1
    return size


@compiled()
def _own_row(own: F32, inverse: F32, places: I64, is_counted: Flags) -> Number:
    """Make ``own`` v = P x of the user with items at ``places``; 1 / (1 - x'v). ``is_counted`` is all false, and is so again."""
    own[:] = 0.0
    for i in places:
        if i >= 0 and not is_counted[i]:
            is_counted[i] = True
            own += inverse[i]
    q = np.float32(0.0)
    for i in places:
        if i >= 0 and is_counted[i]:
            is_counted[i] = False
            q += own[i]
    return np.float32(1.0) / max(np.float32(1.0) - q, np.float32(LEAST_REST))


def columns_of(links: npt.NDArray[np.integer]) -> I64:
    """The column of each link number among items that have the numbers ``links`` (-1: none), -1 for one that is not there.

    >>> columns_of(np.array([2, -1, 0], np.int32)).tolist()
    [2, -1, 0]
    """
    columns = np.full(int(links.max(initial=-1)) + 1, -1)
    known = np.flatnonzero(links >= 0)
    columns[links[known]] = known
    return columns
