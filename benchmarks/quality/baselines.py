"""The rivals, each with the grid it is tuned over on the validation slice.

Here: popularity, recent popularity, ItemKNN, EASE, text nearest neighbours of the frozen encoder. factors.py has iALS,
BPR and MLlib's ALS, sequences.py SASRec and BERT4Rec. Id-only methods see each (user, item) once, whatever the
behaviour.

To add a rival, write `fit(train, settings) -> Fitted` and add a Method to the registry of its module.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack

from benchmarks.quality.data import World
from benchmarks.quality.factors import FACTORS
from benchmarks.quality.methods import Fitted, Method, Settings, Train, has_history, popularity
from benchmarks.quality.sequences import SEQUENCES
from recsys_spark.numerics.arrays import F32, I64, Bools
from recsys_spark.numerics.unit_rows import unit_rows

BLOCK_ROWS = 1_024
TEXT_NEIGHBOURS = "text neighbours"


def fit_popularity(train: Train, _: Settings) -> Fitted:
    """Score by the users who did anything with the item; the same list for everyone."""
    counts = popularity(train.world)
    return Fitted(lambda users: np.broadcast_to(counts, (len(users), len(counts))), np.ones(train.world.n_users, bool))


def fit_recent(train: Train, settings: Settings) -> Fitted:
    """Score by the users of the last `share` of all rows by time; equal items by all-time popularity."""
    world, rows = train.world, train.world.rows
    cut = np.quantile(rows.time, 1.0 - settings["share"])
    late = np.unique((rows.user * world.n_items + rows.item)[rows.time >= cut]) % world.n_items
    counts = np.bincount(late, minlength=world.n_items) + popularity(world) / (1.0 + world.n_users)
    return Fitted(lambda users: np.broadcast_to(counts, (len(users), len(counts))), np.ones(world.n_users, bool))


def fit_item_knn(train: Train, settings: Settings) -> Fitted:
    """Score by the cosine of item columns, `neighbours` per item of the history, summed (Deshpande and Karypis 2004).

    cos(i, j) = n_ij / (sqrt(n_i n_j) + shrink), ties by item id.
    """
    x = train.world.matrix
    similar = nearest_items(x, settings["neighbours"], settings["shrink"])
    return Fitted(lambda users: (x[users] @ similar).toarray(), has_history(train.world))


def nearest_items(x: sp.csr_matrix, n_neighbours: int, shrink: float) -> sp.csr_matrix:
    """Return [n_items, n_items]: of each row's item its most similar others.

    >>> nearest_items(sp.csr_matrix(np.array([[1, 1, 0], [1, 0, 1], [1, 1, 0]])), 1, 0.0).toarray().round(3).tolist()
    [[0.0, 0.816, 0.0], [0.816, 0.0, 0.0], [0.577, 0.0, 0.0]]
    """
    x = x.astype(np.float64)
    norms = np.sqrt(np.asarray(x.sum(0)).ravel())
    columns, kept = x.T.tocsr(), []
    for start in range(0, columns.shape[0], BLOCK_ROWS):
        together = (columns[start : start + BLOCK_ROWS] @ x).tocoo()
        row, column = together.row, together.col
        value = together.data / (norms[start + row] * norms[column] + shrink)
        value[column == start + row] = 0.0
        order = np.lexsort((column, -value, row))
        row, column, value = row[order], column[order], value[order]
        first = np.searchsorted(row, np.arange(together.shape[0]))
        near = (np.arange(len(row)) - first[row] < n_neighbours) & (value > 0)
        kept.append(sp.csr_matrix((value[near], (row[near], column[near])), shape=together.shape))
    return sp.vstack(kept, format="csr")


def fit_ease(train: Train, settings: Settings) -> Fitted:
    """Score by X B, B = -P / diag(P) off the diagonal and 0 on it, P = (X'X + lambda I)^-1 (Steck 2019, EASE^R)."""
    world = train.world
    warm = np.flatnonzero(popularity(world) > 0)
    x = world.matrix[:, warm].tocsr()
    weights = ease_weights(x, settings["lambda"])

    def score(users: I64) -> F32:
        # An item without a row has weights of zero.
        scores = np.zeros((len(users), world.n_items), np.float32)
        scores[:, warm] = x[users] @ weights
        return scores

    return Fitted(score, has_history(world))


def ease_weights(x: sp.csr_matrix, penalty: float) -> F32:
    """Return B [n, n] float32 of x [n_users, n].

    Inverted in place in double precision by Cholesky: 20,000 items take 3.2 GB, and 1.6 GB more for the result.
    """
    gram = np.asfortranarray((x.T @ x).toarray(order="F"), np.float64)
    n = len(gram)
    gram[np.diag_indices(n)] += penalty
    factor, failed = lapack.dpotrf(gram, lower=0, clean=0, overwrite_a=1)
    inverse, failed_too = lapack.dpotri(factor, lower=0, overwrite_c=1)
    if failed or failed_too:
        raise np.linalg.LinAlgError(f"X'X + {penalty} I of {n} items is not positive definite")
    scale, weights = -1.0 / inverse.diagonal(), np.empty((n, n), np.float32)
    # Only the upper triangle is there.
    for low in range(0, n, BLOCK_ROWS):
        high = min(low + BLOCK_ROWS, n)
        upper = np.triu(inverse[low:high, low:high])
        weights[low:high, :low] = inverse[:low, low:high].T * scale[:low]
        weights[low:high, low:high] = (upper + np.triu(upper, 1).T) * scale[low:high]
        weights[low:high, high:] = inverse[low:high, high:] * scale[high:]
    weights[np.diag_indices(n)] = 0.0
    return weights


def fit_text(train: Train, settings: Settings) -> Fitted:
    """Score by the cosine of an item's text with the mean of the last `n_last` items' texts.

    Vectors are centred on the catalogue's mean. A user without such an item is represented by the text of the interest
    tags, centred on the mean of all users.
    """
    texts, world = train.texts(), train.world
    unit, last = centred(texts.items, texts.has_item), last_items(world, settings["n_last"])
    by_history = np.asarray(last @ texts.has_item.astype(np.float32)) > 0
    mean_of_last = np.asarray(last @ unit, np.float32)
    queries = unit_rows(np.where(by_history[:, None], mean_of_last, centred(texts.users, texts.has_user)))
    return Fitted(lambda users: queries[users] @ unit.T, by_history | texts.has_user)


def centred(vectors: F32, present: Bools) -> F32:
    """Return rows minus their mean, at length 1; absent rows are zero."""
    mean = vectors[present].mean(0) if present.any() else 0.0
    return unit_rows(((vectors - mean) * present[:, None]).astype(np.float32))


def last_items(world: World, n_last: int) -> sp.csr_matrix:
    """Return [n_users, n_items]: how often an item is among a user's last ``n_last`` rows; equal times by item id."""
    rows = world.rows
    order = np.lexsort((rows.item, -rows.time, rows.user))
    user, item = rows.user[order], rows.item[order]
    first = np.searchsorted(user, np.arange(world.n_users))
    recent = np.arange(len(user)) - first[user] < n_last
    ones = np.ones(int(recent.sum()), np.float32)
    return sp.csr_matrix((ones, (user[recent], item[recent])), shape=(world.n_users, world.n_items))


BASELINES: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method("popularity", fit_popularity, serves_cold_users=True),
        Method(
            "recent popularity",
            fit_recent,
            [{"share": share} for share in (0.05, 0.01, 0.02, 0.1, 0.2, 0.5)],
            lambda world: world.has_times,
            serves_cold_users=True,
        ),
        Method(
            "ItemKNN",
            fit_item_knn,
            [
                {"neighbours": n, "shrink": shrink}
                for n in (200, 50, 1_000, 5_000)
                for shrink in (0.0, 10.0, 50.0, 200.0)
            ],
        ),
        Method(
            "EASE", fit_ease, [{"lambda": penalty} for penalty in (200.0, 5.0, 20.0, 50.0, 500.0, 1_000.0, 3_000.0)]
        ),
        *FACTORS,
        *SEQUENCES,
        Method(TEXT_NEIGHBOURS, fit_text, [{"n_last": n} for n in (20, 5, 1_000)], serves_cold_users=True),
    )
}
