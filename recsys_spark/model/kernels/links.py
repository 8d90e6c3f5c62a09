"""Links between items that were chosen together, at full rank: they tell apart what a product of 64 numbers cannot.

The evidence for item j in a history S is the score of EASE^R (Steck 2019, "Embarrassingly shallow autoencoders for
sparse data"):

    f_j = sum over k in S, k != j, of B_kj        B_kj = -P_kj / P_jj        P = (X'X + penalty I)^-1

X is the users x items matrix that is 1 where a user has chosen the item. Evidence of at least MIN_EVIDENCE enters the
logit as ``strength * log((f_j + floor) / (MIN_EVIDENCE + floor))``. Strength and floor are learned
(``tower.link_boosts``). Evidence below MIN_EVIDENCE counts as none. The model keeps the largest entries of each row of
B.

:mod:`recsys_spark.training.kernels.link_fit` fits P, and defines a user's evidence while the model learns.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys_spark.model.kernels.histories import Histories
from recsys_spark.numerics.arrays import F32, I32, I64, Bools

MIN_EVIDENCE = 0.008
"""Evidence below this counts as none. Two items that only one user chose give more than this at the default penalty."""
MAX_PER_USER = 200
"""In scoring a user keeps the strongest evidence for this many items. Evidence for the user's own items is kept in
addition: most lists leave these items out."""
MIN_REST = 0.05
"""1 - q is at least this, so that rounding cannot make it 0 and a user's evidence infinite."""


class Links(NamedTuple):
    """The largest entries of B over n items, row by row."""

    offsets: I64
    """[n + 1]"""
    items: I32
    """[nnz] other items, ascending in a row"""
    values: F32
    """[nnz] B_kj"""
    diagonal: F32
    """[n] P_jj, 0 for an item that is not linked"""

    def matrix(self) -> sp.csr_matrix:
        """Return B [n, n]."""
        n = len(self.offsets) - 1
        return sp.csr_matrix((self.values, self.items, self.offsets), shape=(n, n))


class Evidence(NamedTuple):
    """Sparse evidence: for ``item`` [nnz] in the history that ends at ``row`` [nnz], ascending."""

    row: I64
    item: I64
    value: F32
    """[nnz] f_j, at least MIN_EVIDENCE"""

    def where(self, chosen: Bools) -> Evidence:
        """Return the chosen entries."""
        return Evidence(self.row[chosen], self.item[chosen], self.value[chosen])


def chosen_of(histories: Histories, n_items: int) -> sp.csr_matrix:
    """Return X [n_users, n_items]: 1 where a user has the item, however often."""
    ones = np.ones(len(histories.items), np.float32)
    chosen = sp.csr_matrix(
        (ones, histories.items.astype(np.int32), histories.offsets), shape=(histories.n_users, n_items)
    )
    chosen.sum_duplicates()
    chosen.data[:] = 1.0
    return chosen


def evidence_for(links: Links, histories: Histories) -> Evidence:
    """Return the evidence in the whole history of each user; rows are users.

    Each user keeps the MAX_PER_USER strongest entries and all entries of own items. Scoring serves the users that the
    links were fitted to. As in training, each user's own row is left out. Here v is computed from f only: ``v_j = P_jj
    (1[j in S] - f_j)``. For a user who was not in the fit (thinned out, say), this trusts links of rare items too much.
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
    per_rest = (1.0 / np.maximum(1.0 - q, MIN_REST)).astype(np.float32)[row]
    below = diagonal + v * v * per_rest
    value = is_own - np.divide(v * per_rest, below, out=np.ones_like(v), where=below > 0)
    enough = value >= MIN_EVIDENCE
    found = Evidence(row[enough], item[enough], value[enough].astype(np.float32))
    return strongest(found, is_own[enough], histories.n_users)


def strongest(evidence: Evidence, is_own: Bools, n_rows: int) -> Evidence:
    """Return, for each row, the MAX_PER_USER strongest entries that are not ``is_own`` [nnz] and all entries that are;
    ties by item.

    Rows ascend, and so do the items within a row.
    """
    order = np.lexsort((evidence.item, -evidence.value, is_own, evidence.row))
    row = evidence.row[order]
    first = np.searchsorted(row, np.arange(n_rows))
    kept = order[(np.arange(len(row)) - first[row] < MAX_PER_USER) | is_own[order]]
    kept = kept[np.lexsort((evidence.item[kept], evidence.row[kept]))]
    return Evidence(evidence.row[kept], evidence.item[kept], evidence.value[kept])


def columns_of(links: npt.NDArray[np.integer]) -> I64:
    """Return the column of each link number among items with the numbers ``links`` (-1: none); -1 for a number that no
    item has.

    >>> columns_of(np.array([2, -1, 0], np.int32)).tolist()
    [2, -1, 0]
    """
    columns = np.full(int(links.max(initial=-1)) + 1, -1)
    known = np.flatnonzero(links >= 0)
    columns[links[known]] = known
    return columns
