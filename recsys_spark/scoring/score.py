"""Scores the whole catalogue for every user: user blocks x broadcast item blocks, then a window keeps the best.

    score = w_cos * cosine + w_ce * log P        log P = logit - log Z, Z over the whole catalogue

No number of rows is proportional to users x items. A row of the cross join is a block of users and a block of items,
and at most users x item blocks x N rows are shuffled. Where one item block holds the catalogue, the lists of a worker
are final and nothing is shuffled after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
from pyspark import TaskContext
from pyspark.resource import ResourceProfile
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from recsys_spark.config.sections import Config, Score
from recsys_spark.errors import ConfigError
from recsys_spark.scoring.boost_columns import with_boost_columns
from recsys_spark.scoring.kernels.packing import USERS_PER_BLOCK
from recsys_spark.scoring.kernels.packing_items import rows_per_block
from recsys_spark.scoring.kernels.rank import Rank
from recsys_spark.scoring.kernels.sizes import DEFAULT_BLOCK_BYTES
from recsys_spark.scoring.rank import log_sum_exp, score_of_raw
from recsys_spark.spark.task_gpus import assigned_gpus
from recsys_spark.tables import CANDIDATES, ITEM_VECTORS, LIST_CATEGORY, USER_VECTORS

ITEM_BLOCKS = (
    "start long, category string, item_ids array<string>, y binary, theta binary, bias binary, available binary, "
    "links binary"
)
USER_BLOCKS = (
    "block long, user_ids array<string>, sources array<string>, x binary, offsets binary, excluded binary, "
    "link_offsets binary, linked binary, boosts binary"
)
PARTS = (
    "user_id string, source string, item_id string, category string, cosine double, logit double, raw double, "
    "log_sum double, first boolean"
)
LISTS = "user_id string, source string, item_id string, rank int, cosine double, log_prob double, score double"
Batches = Iterator[pa.RecordBatch]


USERS_PER_TASK = 512
"""Least number of users of a task, if there are enough, because every task is sent the whole catalogue."""


@dataclass(frozen=True)
class CatalogueSize:
    """What is known of the item vectors before they are read: their number and width."""

    n_items: int
    width: int


def build_exclusions(interactions: DataFrame, cfg: Config, deny_list: DataFrame | None = None) -> DataFrame:
    """Return the distinct pairs (user_id, item_id) that must not be recommended.

    They are the pairs that `score.exclude_seen` counts as seen, and the pairs of ``deny_list``.
    """
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
    """Return the item vectors, of which only the items of ``allow_list`` (item_id) may be recommended.

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
    """Return the ``n`` best items per user as CANDIDATES; fewer only where fewer are allowed.

    - ``user_vectors``: USER_VECTORS; ``item_vectors``: ITEM_VECTORS. The columns of boosts may be absent.
    - With a column `list_category` of ``item_vectors``, a user gets the ``n`` best of each category.
    - ``exclusions``: user_id, item_id.
    - ``catalogue``, if known, saves a shuffle of the lists where one item block can hold the catalogue.
    - ``n_tasks``: see :func:`user_tasks`; ``profile`` gives a scoring task its GPU.

    Raises ConfigError for ``n`` below 1 and for blocks that cannot hold a row. Its tasks raise DataError with the ids
    of vectors that are missing, ragged, not finite or there twice (items: twice in one category).
    """
    if n < 1:
        raise ConfigError(
            "N must be at least 1",
            where="n",
            found=n,
            expected="1 or more",
            action="Ask for at least one item per list.",
        )
    max_bytes = score_cfg.max_block_bytes or DEFAULT_BLOCK_BYTES
    by_category = LIST_CATEGORY in item_vectors.columns
    whole = (
        not by_category and catalogue is not None and catalogue.n_items <= rows_per_block(catalogue.width, max_bytes)
    )
    category = F.coalesce(LIST_CATEGORY, F.lit("")) if by_category else F.lit("")
    items = with_boost_columns(item_vectors, ITEM_VECTORS).select(
        "item_id", category.alias("category"), "y", "theta", "bias", "available", "link"
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
    return CANDIDATES.conform(scored if whole else _best(scored, Rank.of(score_cfg), n))


def pack_catalogue(items: DataFrame, max_bytes: int, *, one_block: bool) -> DataFrame:
    """Pack item_id, category, y, theta, bias, available, link into ITEM_BLOCKS: one task reads, sorts and packs.

    The catalogue goes through the driver for the broadcast anyway, and a shuffle before that takes as long as reading
    it.
    """
    ordered = items.coalesce(1).sortWithinPartitions("category", "item_id")
    return ordered.mapInArrow(item_packer(max_bytes, one_block=one_block), ITEM_BLOCKS)


def pack_by_user(rows: DataFrame, max_bytes: int, n: int, n_tasks: int | None) -> DataFrame:
    """Pack user_id, x, linked, boosts, source, position (null: the user, else an excluded item) into USER_BLOCKS."""
    by_user = ("user_id",) if n_tasks is None else (n_tasks, "user_id")
    ordered = rows.repartition(*by_user).sortWithinPartitions("user_id", F.col("position").asc_nulls_first())
    return ordered.mapInArrow(user_packer(max_bytes, n), USER_BLOCKS)


def user_tasks(n_users: int, slots: int) -> int:
    """Return how many tasks score ``n_users`` where ``slots`` run at once.

    Tasks fill whole rounds, and no task has more users than a block.

    >>> user_tasks(100, 8), user_tasks(20_000, 8), user_tasks(1_000_000, 8)
    (1, 8, 64)
    """
    wanted = max(1, min(slots, n_users // USERS_PER_TASK))
    least = -(-n_users // USERS_PER_BLOCK)
    return wanted if least <= wanted else -(-least // slots) * slots


def _positions(items: DataFrame) -> DataFrame:
    """Return item_id and its place, from 0, in the order in which items are packed."""
    place = F.row_number().over(Window.orderBy("category", "item_id")) - 1
    return items.select("item_id", place.alias("position"))


def _best(parts: DataFrame, rank: Rank, n: int) -> DataFrame:
    """Add up log Z over the parts of a user and keep the best ``n`` of each category.

    Rows are chosen by ``raw``, as the fold chooses, and ranked by score. Two raw scores may round to one score when
    log Z is subtracted, and equal scores are ordered by item_id.
    """
    partials = F.collect_list(F.when(F.col("first"), F.col("log_sum"))).over(Window.partitionBy("user_id"))
    log_z = log_sum_exp(F.array_sort("partials")) if rank.log_z else F.lit(None).cast("double")
    chosen = F.row_number().over(
        Window.partitionBy("user_id", "category").orderBy(F.desc_nulls_last("raw"), F.col("item_id"))
    )
    place = F.row_number().over(Window.partitionBy("user_id").orderBy(F.desc("score"), F.col("item_id")))
    return (
        parts.withColumn("partials", partials)
        .withColumn("log_z", log_z)
        .withColumn("log_prob", F.col("logit") - F.col("log_z"))
        .withColumn("score", score_of_raw(F.col("raw"), F.col("log_z"), rank))
        .withColumn("chosen", chosen)
        .where((F.col("chosen") <= n) & F.col("item_id").isNotNull())
        .withColumn("rank", place)
    )


# The kernels are imported inside the tasks, so that the driver plans without torch.


def item_packer(max_block_bytes: int, *, one_block: bool) -> Callable[[Batches], Batches]:
    """Return the task that packs sorted item rows into blocks."""

    def pack(batches: Batches) -> Batches:
        from recsys_spark.scoring.kernels.packing_items import pack_items
        from recsys_spark.worker.cache import freeze_imports

        yield from pack_items(batches, max_block_bytes, one_block=one_block)
        freeze_imports()

    return pack


def user_packer(max_block_bytes: int, n: int) -> Callable[[Batches], Batches]:
    """Return the task that packs sorted user rows into blocks, whose numbers are unique over the partitions."""

    def pack(batches: Batches) -> Batches:
        from recsys_spark.scoring.kernels.packing import pack_users, users_per_block
        from recsys_spark.worker.cache import freeze_imports

        context = TaskContext.get()
        first = (context.partitionId() if context else 0) << 32
        yield from pack_users(batches, max_block_bytes, first, users_per_block(max_block_bytes, n))
        freeze_imports()

    return pack


def scorer(score_cfg: Score, n: int, *, whole: bool) -> Callable[[Batches], Batches]:
    """Return the task that folds item blocks into the state of each user block and emits the best ``n`` per user."""
    rank, device, dtype = Rank.of(score_cfg), score_cfg.device, score_cfg.dtype

    def score(batches: Batches) -> Batches:
        from recsys_spark.scoring.kernels.folds import fold_of
        from recsys_spark.scoring.kernels.stream import score_pairs
        from recsys_spark.worker.cache import freeze_imports
        from recsys_spark.worker.devices import task_device
        from recsys_spark.worker.threads import limit_threads

        context = TaskContext.get()
        # Threads of the fold share the users, and each calls a BLAS of one thread.
        limit_threads(1)
        threads = context.cpus() if context else 1
        with task_device(device, assigned_gpus(), setting="score.device", error=ConfigError) as place:
            fold = fold_of(place, dtype, n_threads=threads)
            yield from score_pairs(batches, rank, n, fold, whole=whole)
        freeze_imports()

    return score
