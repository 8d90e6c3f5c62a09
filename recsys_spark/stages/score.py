"""Score the whole catalogue for every user: user blocks x broadcast item blocks, then a window keeps the best.

    score = w_cos * cosine + w_ce * log P        log P = logit - log Z, Z over the whole catalogue

Nothing here is proportional to users x items: a row of the cross join is a block of users beside a block of items, and
what is shuffled is at most users x item blocks x N.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys_spark.config import Config, Score
from recsys_spark.tables import CANDIDATES
from recsys_spark.weights import exact

ITEM_BLOCKS = "start long, item_ids array<string>, y binary, theta binary, bias binary, available binary"
USER_BLOCKS = "block long, user_ids array<string>, sources array<string>, x binary, offsets binary, excluded binary"
SCORED = (
    "user_id string, source string, item_id string, cosine double, logit double, raw double, log_sum double, "
    "first boolean"
)
PRIOR = 1e-6
"""Added to every item's popularity, in units of behaviour weight, so that an item nobody touched has a finite log."""
Batches = Iterator[pa.RecordBatch]


def build_exclusions(interactions: DataFrame, cfg: Config) -> DataFrame:
    """Pairs (user_id, item_id), distinct, that must not be recommended, after ``cfg.score.exclude_seen``."""
    seen = cfg.score.exclude_seen
    if isinstance(seen, list):
        interactions = interactions.where(F.col("behaviour").isin(seen))
    elif not seen:
        interactions = interactions.where(F.lit(False))
    return interactions.select("user_id", "item_id").distinct()


def build_candidates(
    user_vectors: DataFrame, item_vectors: DataFrame, exclusions: DataFrame, score_cfg: Score, *, n: int
) -> DataFrame:
    """The ``n`` best items per user as CANDIDATES; fewer only where fewer are allowed.

    ``user_vectors``: USER_VECTORS; ``item_vectors``: ITEM_VECTORS; ``exclusions``: user_id, item_id.
    Its tasks raise DataError, naming ids, for vectors that are missing, ragged, not finite or there twice.
    """
    max_bytes = score_cfg.max_block_bytes
    columns = item_vectors.select("item_id", "y", "theta", "bias", "available")
    # One task packs the catalogue: it goes through the driver for the broadcast anyway.
    item_blocks = columns.repartition(1).sortWithinPartitions("item_id").mapInArrow(item_packer(max_bytes), ITEM_BLOCKS)

    excluded = exclusions.join(F.broadcast(_positions(item_vectors)), "item_id", "inner")
    user_rows = user_vectors.select("user_id", "x", "source", F.lit(None).cast("int").alias("position"))
    rows = user_rows.unionByName(excluded.select("user_id", "position"), allowMissingColumns=True)
    user_blocks = (
        rows.repartition("user_id")
        .sortWithinPartitions("user_id", F.col("position").asc_nulls_first())
        .mapInArrow(user_packer(max_bytes), USER_BLOCKS)
    )
    pairs = user_blocks.crossJoin(F.broadcast(item_blocks))
    scored = pairs.mapInArrow(scorer(score_cfg.w_cos, score_cfg.w_ce, n), SCORED)
    return _best(scored, score_cfg, n)


def _positions(item_vectors: DataFrame) -> DataFrame:
    """item_id -> its place from 0 in the catalogue ordered by item_id, the order in which items are packed."""
    place = F.row_number().over(Window.orderBy("item_id")) - 1
    return item_vectors.select("item_id", place.alias("position"))


def _best(scored: DataFrame, score_cfg: Score, n: int) -> DataFrame:
    """Add up log Z over a user's parts and keep the best ``n`` of all of them."""
    partials = F.collect_list(F.when(F.col("first"), F.col("log_sum"))).over(Window.partitionBy("user_id"))
    ranked = (
        scored.withColumn("partials", partials)
        .withColumn("log_z", _log_sum_exp(F.array_sort("partials")))
        .withColumn("log_prob", F.col("logit") - F.col("log_z"))
        .withColumn("score", F.col("raw") - F.lit(score_cfg.w_ce) * F.col("log_z"))
        .withColumn(
            "rank", F.row_number().over(Window.partitionBy("user_id").orderBy(F.desc_nulls_last("score"), "item_id"))
        )
    )
    return CANDIDATES.conform(ranked.where((F.col("rank") <= n) & F.col("item_id").isNotNull()))


def _log_sum_exp(values: Column) -> Column:
    top = F.array_max(values)
    return top + F.log(F.aggregate(values, F.lit(0.0), lambda total, value: total + F.exp(value - top)))


# The kernels are imported inside the tasks, so that the driver plans without torch.


def item_packer(max_block_bytes: int) -> Callable[[Batches], Batches]:
    """The task that packs sorted item rows into blocks."""

    def pack(batches: Batches) -> Batches:
        from recsys_spark.kernels.packing import pack_items

        return pack_items(batches, max_block_bytes)

    return pack


def user_packer(max_block_bytes: int) -> Callable[[Batches], Batches]:
    """The task that packs sorted user rows into blocks; block numbers are unique over the partitions."""

    def pack(batches: Batches) -> Batches:
        from recsys_spark.kernels.packing import pack_users

        context = TaskContext.get()
        return pack_users(batches, max_block_bytes, first=(context.partitionId() if context else 0) << 32)

    return pack


def scorer(w_cos: float, w_ce: float, n: int) -> Callable[[Batches], Batches]:
    """The task that folds item blocks into each user block's state and emits the best ``n`` per user."""

    def score(batches: Batches) -> Batches:
        import torch

        from recsys_spark.kernels.scoring import score_pairs
        from recsys_spark.kernels.topn import Weights

        context = TaskContext.get()
        # Tasks on a machine x threads per task = its cores; torch would take all cores for each task.
        torch.set_num_threads(context.cpus() if context else 1)
        return score_pairs(batches, Weights(w_cos, w_ce), n)

    return score


def build_popular_candidates(
    user_ids: DataFrame, item_profiles: DataFrame, exclusions: DataFrame, score_cfg: Score, *, n: int
) -> DataFrame:
    """The ``n`` most popular available items for users known by nothing, as CANDIDATES with source `popular`.

    ``user_ids``: user_id, distinct; ``item_profiles``: ITEM_PROFILES; ``exclusions``: user_id, item_id, distinct.
    log_prob is the log of the item's share of the catalogue's popularity, cosine is 0. Ties, and items without
    popularity, follow by item_id, so that nobody gets fewer than ``n`` while the catalogue allows ``n``.
    """
    top = _popularity(item_profiles).where("available")
    top = top.withColumn("place", F.row_number().over(Window.orderBy(F.desc("log_prob"), "item_id")))
    taken = (
        exclusions.join(user_ids, "user_id", "left_semi")
        .join(F.broadcast(top.select("item_id", "place")), "item_id")
        .select("user_id", "place")
    )
    # The allowed items of a user are the gaps between the excluded places. At most n ranges of at most n places are
    # opened per user, however many items are excluded.
    by_place = Window.partitionBy("user_id").orderBy("place")
    gaps = (
        user_ids.select("user_id", F.lit(0).alias("place"))
        .unionByName(taken)
        .withColumn("before", F.col("place") - F.row_number().over(by_place) + 1)
        .withColumn("end", F.lead("place", 1, 2**31 - 1).over(by_place) - 1)
        .withColumn("last", F.least("end", F.col("place") + n - F.col("before")))
        .where(F.col("last") > F.col("place"))
    )
    opened = gaps.select(
        "user_id",
        (F.col("place") - F.col("before")).alias("shift"),
        F.explode(F.sequence(F.col("place") + 1, F.col("last"))).alias("place"),
    )
    listed = opened.join(F.broadcast(top), "place").select(
        "user_id",
        (F.col("place") - F.col("shift")).alias("rank"),
        "item_id",
        (F.lit(score_cfg.w_ce) * F.col("log_prob")).alias("score"),
        F.lit(0.0).alias("cosine"),
        "log_prob",
        F.lit("popular").alias("source"),
    )
    return CANDIDATES.conform(listed)


def _popularity(item_profiles: DataFrame) -> DataFrame:
    """item_id, available, log_prob: the log share of popularity; sum of exp(log_prob) over all items is 1."""
    popularity = F.greatest(F.coalesce(F.col("popularity"), F.lit(0.0)), F.lit(0.0)) + PRIOR
    weighed = item_profiles.select(
        "item_id", F.coalesce("available", F.lit(True)).alias("available"), popularity.alias("weight")
    )
    # In units of the largest, so that the exact sum keeps the small ones.
    largest = weighed.agg(F.max("weight").alias("largest"))
    shares = weighed.crossJoin(F.broadcast(largest))
    total = shares.groupBy("largest").agg(
        F.sum(exact(F.col("weight") / F.col("largest"))).cast("double").alias("total")
    )
    total = total.select((F.col("total") * F.col("largest")).alias("total"))
    return weighed.crossJoin(F.broadcast(total)).select(
        "item_id", "available", (F.log("weight") - F.log("total")).alias("log_prob")
    )
