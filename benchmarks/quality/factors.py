"""Rivals that give a user and an item a vector each and score by the product: iALS, BPR, MLlib's ALS.

A user or an item without a row has a vector of zeros. All items are scored exactly, in numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.quality.data import World
from benchmarks.quality.methods import Fitted, Method, Settings, Train, has_history
from recsys_spark.numerics.arrays import F32

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ITERATIONS, ITERATIONS_OF_MLLIB = 15, 10
"""10 is MLlib's default; 15 overflow the stack of its tasks without a folder for checkpoints."""
N_BLOCKS = 2
"""MLlib draws the first factors of each block: a constant, so that figures do not change with the cores."""


def fit_ials(train: Train, settings: Settings) -> Fitted:
    """Implicit-feedback ALS (Hu, Koren and Volinsky 2008) by `implicit`; confidence 1 + alpha."""
    from implicit.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    # It brings threads of its own, and BLAS threads below them would fight over the cores.
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=settings["factors"],
            regularization=settings["regularization"],
            alpha=settings["alpha"],
            iterations=ITERATIONS,
            use_gpu=False,
            num_threads=train.n_threads,
            random_state=0,
        )
        model.fit(train.world.matrix, show_progress=False)
    return by_product(train.world, np.array(model.user_factors), np.array(model.item_factors))


def fit_bpr(train: Train, settings: Settings) -> Fitted:
    """Bayesian personalised ranking (Rendle et al. 2009) by `implicit`: pairs of an item and one that was not chosen.

    Its last factor is the item's bias. Several threads write at once there, so only one gives the same figures again.
    """
    from implicit.bpr import BayesianPersonalizedRanking

    model = BayesianPersonalizedRanking(
        factors=settings["factors"],
        learning_rate=settings["learning rate"],
        regularization=settings["regularization"],
        iterations=100,
        use_gpu=False,
        num_threads=1,
        random_state=0,
    )
    model.fit(train.world.matrix, show_progress=False)
    return by_product(train.world, np.array(model.user_factors), np.array(model.item_factors))


def fit_mllib(train: Train, settings: Settings) -> Fitted:
    """Fit iALS's objective by Spark's MLlib, with the penalty times the user's (or item's) number of rows.

    It runs in a local session of ``n_threads`` cores, started and stopped here, which counts in the time of a fit. A
    session that is there already is used and left.
    """
    from pyspark.sql import SparkSession

    from recsys_spark.spark.session import create_session

    is_borrowed = SparkSession.getActiveSession() is not None
    session = create_session(
        {"spark.master": f"local[{train.n_threads}]", "spark.driver.memory": "2g"}, "bench-quality"
    )
    try:
        return by_product(train.world, *mllib_factors(session, train.world, settings))
    finally:
        if not is_borrowed:
            session.stop()


def mllib_factors(session: SparkSession, world: World, settings: Settings) -> tuple[F32, F32]:
    """Return [n_users, factors] and [n_items, factors]."""
    import pyarrow as pa
    from pyspark.ml.recommendation import ALS

    pairs = world.matrix.tocoo()
    columns = {"user": pairs.row.astype(np.int32), "item": pairs.col.astype(np.int32), "rating": pairs.data}
    model = ALS(
        rank=settings["factors"],
        maxIter=ITERATIONS_OF_MLLIB,
        regParam=settings["regularization"],
        alpha=settings["alpha"],
        implicitPrefs=True,
        seed=0,
        numUserBlocks=N_BLOCKS,
        numItemBlocks=N_BLOCKS,
        userCol="user",
        itemCol="item",
        ratingCol="rating",
    ).fit(session.createDataFrame(pa.table(columns)))
    shapes = ((model.userFactors, world.n_users), (model.itemFactors, world.n_items))
    users, items = (collected(factors, n, settings["factors"]) for factors, n in shapes)
    return users, items


def collected(factors: DataFrame, n: int, width: int) -> F32:
    """Return [n, width] of rows (id, features); an id without a row has zeros."""
    table, found = factors.toArrow(), np.zeros((n, width), np.float32)
    ids = table["id"].to_numpy()
    found[ids] = table["features"].combine_chunks().flatten().to_numpy().reshape(len(ids), width)
    return found


def by_product(world: World, users: F32, items: F32) -> Fitted:
    """Return a method that scores by the products of the vectors; users without a row are not served."""
    return Fitted(lambda some: users[some] @ items.T, has_history(world))


FACTORS = (
    Method(
        "iALS",
        fit_ials,
        [
            {"factors": factors, "alpha": alpha, "regularization": penalty}
            for factors in (64, 128)
            for alpha in (1.0, 5.0, 20.0)
            for penalty in (0.01, 1.0, 10.0)
        ],
    ),
    Method(
        "BPR",
        fit_bpr,
        [
            {"factors": factors, "learning rate": rate, "regularization": penalty}
            for factors in (64, 128)
            for rate in (0.01, 0.03, 0.1)
            for penalty in (0.001, 0.01, 0.1)
        ],
    ),
    # A fit takes minutes of a core, and iALS shows what a wider grid is worth. The first settings are those of
    # evaluation/baselines/als.py.
    Method(
        "MLlib ALS",
        fit_mllib,
        [
            {"factors": 64, "alpha": alpha, "regularization": penalty}
            for alpha, penalty in ((10.0, 0.3), (10.0, 0.1), (2.0, 0.1), (40.0, 0.3))
        ],
    ),
)
