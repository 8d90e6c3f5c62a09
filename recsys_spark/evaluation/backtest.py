"""The backtest: where to cut time, what counts as truth, and the metrics of several models' lists with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from itertools import accumulate

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.sections import Config
from recsys_spark.errors import ConfigError, DataError
from recsys_spark.evaluation.kernels.bootstrap import SCALE, poisson_weights, replicate_sums
from recsys_spark.evaluation.kernels.metrics import Metric, of_users, user_metrics
from recsys_spark.numerics.arrays import I64
from recsys_spark.profiles.users import UNKNOWN
from recsys_spark.tables import METRICS as METRICS_TABLE

OURS = "recsys-spark"
"""Name of this project's own model next to the baselines."""
ALL_SEGMENT = "all"
INTERVAL = (0.025, 0.975)
SECONDS_PER_DAY = 86_400
MAX_USERS = 512  # users whose bootstrap weights are in memory at once

Batches = Iterator[pa.RecordBatch]


def choose_cut(interactions: DataFrame, cfg: Config) -> datetime:
    """Return the earlier as_of, in whole seconds UTC: `evaluate.cut`, or the time quantile `1 - holdout_share`.

    The quantile is the second of the interaction at that share in time order. All interactions of that second belong to
    the truth. It is exact: two small histograms (days, then the seconds of one day) give it.
    Raises ConfigError where `evaluate.cut` is not a date, and DataError where one side of the cut has no interactions.
    """
    given = None if cfg.evaluate.cut is None else _parse_cut(cfg.evaluate.cut)
    seconds = interactions.select(F.unix_seconds("ts").alias("second"))
    [(first, last)] = seconds.agg(F.min("second"), F.max("second")).collect()
    if first is None:
        raise DataError(
            "There are no interactions to cut in two",
            where="evaluate",
            found="0 interactions",
            expected="interactions before and after the cut",
            action="Check sources.behaviours.",
        )
    cut = given or datetime.fromtimestamp(_quantile_second(seconds, 1 - cfg.evaluate.holdout_share), UTC)
    if not first < cut.timestamp() <= last:
        raise DataError(
            "The cut leaves no interactions on one side",
            where="evaluate.cut" if given else "evaluate.holdout_share",
            found=cut.isoformat(),
            expected=f"after {datetime.fromtimestamp(first, UTC).isoformat()}, "
            f"at most {datetime.fromtimestamp(last, UTC).isoformat()}",
            action="Choose another evaluate.cut; for data without usable times, evaluate.protocol = 'leave_out'.",
        )
    return cut


def _parse_cut(text: str) -> datetime:
    try:
        cut = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            "`evaluate.cut` is not a date",
            where="evaluate.cut",
            found=text,
            expected="a date or timestamp such as 2026-01-31 or 2026-01-31T12:00:00Z, UTC where no zone is given",
            action="Correct it, or leave it out for the time quantile.",
        ) from error
    return (cut.replace(tzinfo=UTC) if cut.tzinfo is None else cut.astimezone(UTC)).replace(microsecond=0)


def _quantile_second(seconds: DataFrame, share: float) -> int:
    """Return the value of column `second` at position floor(share x n) of the sorted rows, from 0."""
    days = seconds.withColumn("day", F.floor(F.col("second") / F.lit(SECONDS_PER_DAY)))
    by_day = sorted((row["day"], row["count"]) for row in days.groupBy("day").count().collect())
    position = min(int(share * sum(n for _, n in by_day)), sum(n for _, n in by_day) - 1)
    day, before = _at_position(by_day, position)
    within = days.where(F.col("day") == F.lit(day)).groupBy("second").count().collect()
    second, _ = _at_position(sorted((row["second"], row["count"]) for row in within), position - before)
    return second


def _at_position(counts: Sequence[tuple[int, int]], position: int) -> tuple[int, int]:
    """Return the value at a position of (value, count) pairs in order, and the number of rows before that value."""
    ends = list(accumulate(n for _, n in counts))
    index = next(i for i, end in enumerate(ends) if position < end)
    return counts[index][0], ends[index] - counts[index][1]


def build_truth(interactions_later: DataFrame, excluded: DataFrame) -> DataFrame:
    """Return the distinct (user_id, item_id) at or after the cut that are not in ``excluded`` (user_id, item_id).

    No list has an excluded pair (score.build_exclusions at the cut), so no model could hit one. Interactions name items
    of the catalogue only, because ingest rejects the others.
    """
    pairs = interactions_later.select("user_id", "item_id").distinct()
    return pairs.join(excluded.select("user_id", "item_id"), on=["user_id", "item_id"], how="left_anti")


def build_held_out(interactions: DataFrame, cfg: Config) -> DataFrame:
    """Return one (user_id, item_id) of every user with two items or more: the truth of the `leave_out` protocol.

    Training must not see any interaction of that pair. `last` takes the item with the latest interaction, and of
    several the greater item_id. `hash` takes the smallest xxhash64(user_id, item_id, seed).
    """
    pairs = interactions.groupBy("user_id", "item_id").agg(F.max("ts").alias("last_ts"))
    if cfg.evaluate.leave_out_order == "last":
        chosen = F.max(F.struct("last_ts", "item_id"))
    else:
        chosen = F.min(F.struct(F.xxhash64("user_id", "item_id", F.lit(cfg.run.seed)), "item_id"))
    per_user = pairs.groupBy("user_id").agg(F.count("item_id").alias("n_items"), chosen.alias("chosen"))
    return per_user.where(F.col("n_items") >= 2).select("user_id", F.col("chosen.item_id").alias("item_id"))


def build_metrics(
    lists: Mapping[str, DataFrame], truth: DataFrame, user_segments: DataFrame, n_items: int, cfg: Config
) -> DataFrame:
    """Return METRICS of each model's lists, over all users and by segment.

    ``lists``: model name -> (user_id, rank, item_id), unique by (user_id, rank) and by (user_id, item_id). ``truth``:
    distinct (user_id, item_id). Every user in it counts, with 0 where a model has no list for the user.
    ``user_segments``: (user_id, segment). A user without a segment is `unknown`. ``n_items``: recommendable items,
    the denominator of coverage. Its numerator counts all lists of the segment, including those of users without
    truth.

    The intervals are percentiles of a Poisson bootstrap over users, paired between models. No memory grows with the
    number of users: each partition keeps one sum per model, segment, metric and replicate. The result is empty where
    the truth is empty.
    """
    models, ks = sorted(lists), sorted(set(cfg.evaluate.k))
    ranked = [
        lists[model]
        .where(F.col("rank") <= max(ks))
        .select(F.lit(position).alias("model"), "user_id", F.col("rank").cast("int").alias("rank"), "item_id")
        for position, model in enumerate(models)
    ]
    shown = reduce(DataFrame.unionByName, ranked)
    users = _users_with_hits(shown, truth, user_segments, cfg.run.seed)
    metrics = of_users()
    names = [f"{metric.name}_{k}" for k in ks for metric in metrics]
    schema = "model string, segment string, replicate int, n long, " + ", ".join(f"{name} long" for name in names)
    partial = users.mapInArrow(_summing(models, ks, cfg.evaluate.n_bootstrap, metrics), schema)
    total = partial.groupBy("model", "segment", "replicate").agg(*(F.sum(name).alias(name) for name in ["n", *names]))
    accuracy = total.where("n > 0").select(
        "model",
        "segment",
        "replicate",
        "n",
        F.explode(
            F.array(*(_value(m.name, k, F.col(f"{m.name}_{k}") / F.col("n") / SCALE) for k in ks for m in metrics))
        ),
    )
    # A model without a list in a segment still gets its row of coverage, 0.
    no_coverage = total.where("replicate = 0").select(
        "model", "segment", "replicate", "n", F.explode(F.array(*(_value("coverage", k, F.lit(0.0)) for k in ks)))
    )
    values = accuracy.unionByName(no_coverage).unionByName(_coverage(shown, user_segments, models, ks, n_items))
    is_sample = F.col("replicate") == 0
    interval = F.percentile(F.when(~is_sample, F.col("col.value")), list(INTERVAL))
    result = values.groupBy("model", "segment", F.col("col.metric").alias("metric"), F.col("col.k").alias("k")).agg(
        F.sum(F.when(is_sample, F.col("col.value"))).alias("value"),
        interval.alias("interval"),
        F.max(F.when(is_sample, F.col("n"))).alias("n_users"),
    )
    bounds = {"ci_low": F.col("interval")[0], "ci_high": F.col("interval")[1]}
    return result.where("n_users is not null").withColumns(bounds).select(*METRICS_TABLE.names)


def _value(metric: str, k: int, value: Column) -> Column:
    return F.struct(F.lit(metric).alias("metric"), F.lit(k).alias("k"), value.alias("value"))


def _users_with_hits(shown: DataFrame, truth: DataFrame, user_segments: DataFrame, seed: int) -> DataFrame:
    """Return (user_hash, segment, n_truth, hits array<struct<model, rank>> or null), one row per user with truth."""
    hits = shown.join(truth, on=["user_id", "item_id"], how="inner").groupBy("user_id")
    return (
        truth.groupBy("user_id")
        .agg(F.count("item_id").alias("n_truth"))
        .join(hits.agg(F.collect_list(F.struct("model", "rank")).alias("hits")), on="user_id", how="left")
        .join(user_segments.select("user_id", "segment"), on="user_id", how="left")
        .select(
            F.xxhash64("user_id", F.lit(seed)).alias("user_hash"),
            F.coalesce("segment", F.lit(UNKNOWN)).alias("segment"),
            "n_truth",
            "hits",
        )
    )


def _summing(
    models: Sequence[str], ks: Sequence[int], n_bootstrap: int, metrics: Sequence[Metric]
) -> Callable[[Batches], Batches]:
    """Return the executor's part: users of a partition -> one row per model, segment and replicate (0 = the sample)."""

    def add(state: dict[tuple[str, str], I64], batch: pa.RecordBatch) -> None:
        hashes = batch.column("user_hash").to_numpy().view(np.uint64)
        segments = batch.column("segment").dictionary_encode()
        n_truth = batch.column("n_truth").to_numpy()
        hits = batch.column("hits")
        user = np.repeat(np.arange(batch.num_rows), hits.value_lengths().fill_null(0).to_numpy(zero_copy_only=False))
        model, rank = (hits.flatten().field(name).to_numpy() for name in ("model", "rank"))
        weights = poisson_weights(hashes, n_bootstrap)
        codes = segments.indices.to_numpy()
        for position, name in enumerate(models):
            mine = model == position
            values = user_metrics(user[mine], rank[mine], n_truth, ks, metrics).reshape(batch.num_rows, -1)
            for code, segment in enumerate(segments.dictionary.to_pylist()):
                sums = replicate_sums(values[codes == code], weights[codes == code])
                for key in ((name, segment), (name, ALL_SEGMENT)):
                    state[key] = state[key] + sums if key in state else sums

    def summing(batches: Batches) -> Batches:
        state: dict[tuple[str, str], I64] = {}
        for batch in batches:
            for start in range(0, batch.num_rows, MAX_USERS):
                add(state, batch.slice(start, MAX_USERS))
        names = ["n", *(f"{metric.name}_{k}" for k in ks for metric in metrics)]
        for (model, segment), sums in state.items():
            n = len(sums)
            columns = {"model": [model] * n, "segment": [segment] * n, "replicate": np.arange(n, dtype=np.int32)}
            yield pa.RecordBatch.from_pydict({**columns, **dict(zip(names, sums.T.copy(), strict=True))})

    return summing


def _coverage(
    shown: DataFrame, user_segments: DataFrame, models: Sequence[str], ks: Sequence[int], n_items: int
) -> DataFrame:
    """Return (model, segment, replicate 0, n null, col): the share of the catalogue within rank k of any list."""
    segment = F.coalesce("segment", F.lit(UNKNOWN))
    best = (
        shown.join(user_segments.select("user_id", "segment"), on="user_id", how="left")
        .select("model", "item_id", "rank", F.explode(F.array(F.lit(ALL_SEGMENT), segment)).alias("segment"))
        .groupBy("model", "segment", "item_id")
        .agg(F.min("rank").alias("rank"))
    )
    shares = [_value("coverage", k, F.count_if(F.col("rank") <= k) / F.lit(max(n_items, 1))) for k in ks]
    return (
        best.groupBy("model", "segment")
        .agg(F.array(*shares).alias("shares"))
        .select(
            F.get(F.array(*map(F.lit, models)), F.col("model")).alias("model"),
            "segment",
            F.lit(0).alias("replicate"),
            F.lit(None).cast("long").alias("n"),
            F.explode("shares"),
        )
    )
