"""Score the whole catalogue for every user: user blocks x broadcast item blocks, then a window keeps the best.

    score = w_cos * cosine + w_ce * log P        log P = logit - log Z, Z over the whole catalogue

Nothing here is proportional to users x items: a row of the cross join is a block of users beside a block of items, and
what is shuffled is at most users x item blocks x N. Where one item block holds the catalogue, a worker's lists are final
and nothing is shuffled after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
from pyspark import TaskContext
from pyspark.resource import ResourceProfile
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from recsys_spark.config.sections import Config, Score
from recsys_spark.errors import ConfigError
from recsys_spark.numerics.arrays import DEFAULT_BLOCK_BYTES
from recsys_spark.scoring.kernels.packing import USERS_PER_BLOCK
from recsys_spark.scoring.kernels.packing_items import rows_per_block
from recsys_spark.spark.task_gpus import assigned_gpus
from recsys_spark.tables import CANDIDATES, ITEM_VECTORS, SEGMENT, USER_VECTORS, with_boost_columns

ITEM_BLOCKS = (
    "start long, segment string, item_ids array<string>, y binary, theta binary, bias binary, available binary, "
    "links binary"
)
USER_BLOCKS = (
    "block long, user_ids array<string>, sources array<string>, x binary, offsets binary, excluded binary, "
    "link_offsets binary, linked binary, boosts binary"
)
PARTS = (
    "user_id string, source string, item_id string, segment string, cosine double, logit double, raw double, "
    "log_sum double, first boolean"
)
LISTS = "user_id string, source string, item_id string, rank int, cosine double, log_prob double, score double"
Batches = Iterator[pa.RecordBatch]


USERS_PER_TASK = 512
"""At least so many, where there are enough: every task is sent the whole catalogue."""


@dataclass(frozen=True)
class CatalogueSize:
    """What is known of the item vectors before they are read: their number and width."""

    n_items: int
    width: int


def build_exclusions(interactions: DataFrame, cfg: Config, deny_list: DataFrame | None = None) -> DataFrame:
    """Pairs (user_id, item_id), distinct, that must not be recommended: seen after ``cfg.score.exclude_seen``, or denied."""
    seen = cfg.score.exclude_seen
    if isinstance(seen, list):
        interactions = interactions.where(F.col("behaviour").isin(seen))
    elif not seen:
        interactions = interactions.where(F.lit(False))
    pairs = interactions.select("user_id", "item_id")
    if deny_list is not None:
        pairs = pairs.unionByName(deny_list.select("user_id", "item_id"))
    return pairs.distinct()


def restrict_items(item_vectors: DataFrame, allow_list: DataFrame, score_cfg: Score) -> DataFrame:
    """Item vectors of which only those of ``allow_list`` (item_id) may be recommended.

    The others count in log Z all the same, unless `score.normalise` is `allowed`: then they are left out.
    """
    allowed = allow_list.select("item_id").distinct()
    if score_cfg.normalise == "allowed":
        return item_vectors.join(allowed, "item_id", "left_semi")
    marked = item_vectors.join(allowed.withColumn("allowed", F.lit(True)), "item_id", "left")
    return marked.withColumn("available", F.col("available") & F.coalesce("allowed", F.lit(False))).drop("allowed")


def build_candidates(
    user_vectors: DataFrame,
    item_vectors: DataFrame,
    exclusions: DataFrame | None,
    score_cfg: Score,
    *,
    n: int,
    catalogue: CatalogueSize | None = None,
    n_tasks: int | None = None,
    profile: ResourceProfile | None = None,
) -> DataFrame:
    """The ``n`` best items per user as CANDIDATES; fewer only where fewer are allowed.

    ``user_vectors``: USER_VECTORS; ``item_vectors``: ITEM_VECTORS (in both, what boosts need may be absent), with a column `segment` where the ``n`` best of each
    segment are wanted (the rank is over all of a user's rows); ``exclusions``: user_id, item_id. ``catalogue``, where it
    is known, saves a shuffle of the lists if one item block can hold the catalogue; ``n_tasks``: see :func:`user_tasks`;
    ``profile`` gives a scoring task its GPU. Raises ConfigError for ``n`` below 1 and for blocks that cannot hold a row.
    Its tasks raise DataError, naming ids, for vectors that are missing, ragged, not finite or there twice (items: in one segment).
    """
    if n < 1:
        raise ConfigError("N must be at least 1", where="n", found=n, expected="1 or more")
    max_bytes = score_cfg.max_block_bytes or DEFAULT_BLOCK_BYTES
    by_segment = SEGMENT in item_vectors.columns
    whole = not by_segment and catalogue is not None and catalogue.n_items <= rows_per_block(catalogue.width, max_bytes)
    segment = F.coalesce(SEGMENT, F.lit("")) if by_segment else F.lit("")
    items = with_boost_columns(item_vectors, ITEM_VECTORS).select(
        "item_id", segment.alias(SEGMENT), "y", "theta", "bias", "available", "link"
    )
    rows = with_boost_columns(user_vectors, USER_VECTORS).select(
        "user_id", "x", "linked", "boosts", "source", F.lit(None).cast("int").alias("position")
    )
    if exclusions is not None:
        excluded = exclusions.join(F.broadcast(_positions(items)), "item_id", "inner")
        rows = rows.unionByName(excluded.select("user_id", "position"), allowMissingColumns=True)
    item_blocks = pack_catalogue(items, max_bytes, one_block=whole)
    pairs = pack_by_user(rows, max_bytes, n, n_tasks).crossJoin(F.broadcast(item_blocks))
    scored = pairs.mapInArrow(scorer(score_cfg, n, whole=whole), LISTS if whole else PARTS, profile=profile)
    return CANDIDATES.conform(scored if whole else _best(scored, score_cfg, n))


def pack_catalogue(items: DataFrame, max_bytes: int, *, one_block: bool) -> DataFrame:
    """item_id, segment, y, theta, bias, available, link -> ITEM_BLOCKS, in one task, which reads, sorts and packs.

    The catalogue goes through the driver for the broadcast anyway, and a shuffle before it took as long as reading.
    """
    ordered = items.coalesce(1).sortWithinPartitions(SEGMENT, "item_id")
    return ordered.mapInArrow(item_packer(max_bytes, one_block=one_block), ITEM_BLOCKS)


def pack_by_user(rows: DataFrame, max_bytes: int, n: int, n_tasks: int | None) -> DataFrame:
    """user_id, x, linked, boosts, source, position (null: the user, else an excluded item) -> USER_BLOCKS."""
    by_user = ("user_id",) if n_tasks is None else (n_tasks, "user_id")
    ordered = rows.repartition(*by_user).sortWithinPartitions("user_id", F.col("position").asc_nulls_first())
    return ordered.mapInArrow(user_packer(max_bytes, n), USER_BLOCKS)


def user_tasks(n_users: int, slots: int) -> int:
    """How many tasks score ``n_users`` where ``slots`` run at once: whole rounds, none with more than a block's users.

    >>> user_tasks(100, 8), user_tasks(20_000, 8), user_tasks(1_000_000, 8)
    (1, 8, 64)
    """
    wanted = max(1, min(slots, n_users // USERS_PER_TASK))
    least = -(-n_users // USERS_PER_BLOCK)
    return wanted if least <= wanted else -(-least // slots) * slots


def _positions(items: DataFrame) -> DataFrame:
    """item_id -> its place from 0 in the order in which items are packed."""
    place = F.row_number().over(Window.orderBy(SEGMENT, "item_id")) - 1
    return items.select("item_id", place.alias("position"))


def _best(parts: DataFrame, score_cfg: Score, n: int) -> DataFrame:
    """Add up log Z over a user's parts and keep the best ``n`` of each segment.

    Chosen by ``raw``, as the fold chooses, and ranked by score: taking log Z off may round two raw scores to one, and
    equal scores go by item_id.
    """
    partials = F.collect_list(F.when(F.col("first"), F.col("log_sum"))).over(Window.partitionBy("user_id"))
    log_z = _log_sum_exp(F.array_sort("partials")) if score_cfg.normalise != "none" else F.lit(None).cast("double")
    chosen = F.row_number().over(
        Window.partitionBy("user_id", SEGMENT).orderBy(F.desc_nulls_last("raw"), F.col("item_id"))
    )
    rank = F.row_number().over(Window.partitionBy("user_id").orderBy(F.desc("score"), F.col("item_id")))
    return (
        parts.withColumn("partials", partials)
        .withColumn("log_z", log_z)
        .withColumn("log_prob", F.col("logit") - F.col("log_z"))
        .withColumn("score", F.col("raw") - F.lit(score_cfg.w_ce) * F.coalesce("log_z", F.lit(0.0)))
        .withColumn("chosen", chosen)
        .where((F.col("chosen") <= n) & F.col("item_id").isNotNull())
        .withColumn("rank", rank)
    )


def _log_sum_exp(values: Column) -> Column:
    top = F.array_max(values)
    return top + F.log(F.aggregate(values, F.lit(0.0), lambda total, value: total + F.exp(value - top)))


# The kernels are imported inside the tasks, so that the driver plans without torch.


def item_packer(max_block_bytes: int, *, one_block: bool) -> Callable[[Batches], Batches]:
    """The task that packs sorted item rows into blocks."""

    def pack(batches: Batches) -> Batches:
        from recsys_spark.scoring.kernels.packing_items import pack_items
        from recsys_spark.worker.cache import freeze_imports

        yield from pack_items(batches, max_block_bytes, one_block=one_block)
        freeze_imports()

    return pack


def user_packer(max_block_bytes: int, n: int) -> Callable[[Batches], Batches]:
    """The task that packs sorted user rows into blocks; block numbers are unique over the partitions."""

    def pack(batches: Batches) -> Batches:
        from recsys_spark.scoring.kernels.packing import pack_users, users_per_block
        from recsys_spark.worker.cache import freeze_imports

        context = TaskContext.get()
        first = (context.partitionId() if context else 0) << 32
        yield from pack_users(batches, max_block_bytes, first, users_per_block(max_block_bytes, n))
        freeze_imports()

    return pack


def scorer(score_cfg: Score, n: int, *, whole: bool) -> Callable[[Batches], Batches]:
    """The task that folds item blocks into each user block's state and emits the best ``n`` per user."""
    cosine, ce, temperature = score_cfg.cosine_weight, score_cfg.w_ce, score_cfg.temperature
    log_z = score_cfg.normalise != "none"
    device, dtype = score_cfg.device, score_cfg.dtype

    def score(batches: Batches) -> Batches:
        from recsys_spark.scoring.kernels.folds import fold_of
        from recsys_spark.scoring.kernels.prepared import Weights
        from recsys_spark.scoring.kernels.stream import score_pairs
        from recsys_spark.worker.cache import freeze_imports
        from recsys_spark.worker.devices import task_device
        from recsys_spark.worker.threads import limit_threads

        context = TaskContext.get()
        # The fold shares its users out to threads, each of which calls a BLAS of one thread.
        limit_threads(1)
        threads = context.cpus() if context else 1
        with task_device(device, assigned_gpus(), setting="score.device", error=ConfigError) as place:
            fold = fold_of(place, dtype, n_threads=threads)
            yield from score_pairs(batches, Weights(cosine, ce, temperature, log_z), n, fold, whole=whole)
        freeze_imports()

    return score
