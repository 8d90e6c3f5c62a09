"""The Spark side of re-ranking: the rules over the candidates, the final ranks, and the reasons of each item."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.config.sections import Config
from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.model.kernels.histories import INPUT_COLUMNS, Positions, from_arrow
from recsys_spark.model.kernels.recommender import ItemMatrix, Recommender
from recsys_spark.reranking.reasons import Reasons
from recsys_spark.reranking.rules import RULES, apply_rules
from recsys_spark.reranking.rules.rule import RULE_COLUMNS, Rule
from recsys_spark.scoring.kernels.rank import Rank
from recsys_spark.worker.cache import Shared, cached, freeze_imports
from recsys_spark.worker.threads import limit_threads

LISTED = ("rank", "item_id", "score", "cosine", "log_prob", "source")


def choose(candidates: DataFrame, item_profiles: DataFrame, cfg: Config, rules: Sequence[Rule] = RULES) -> DataFrame:
    """Return CANDIDATES after the rules, in their order, with `labels`: the item's category and tags."""
    labels = F.filter(
        F.concat(F.array(F.lower("category")), F.coalesce(F.transform("tags", F.lower), F.array())), F.isnotnull
    )
    items = item_profiles.select("item_id", "category", labels.alias("labels"))
    rows = apply_rules(candidates.join(items, "item_id", "left").select(*RULE_COLUMNS), cfg, rules)
    return rows.select("user_id", *LISTED, "labels")


def build_recommendations(
    chosen: DataFrame,
    user_inputs: DataFrame,
    user_profiles: DataFrame,
    model: Shared[Artifact],
    items: Shared[ItemMatrix],
    cfg: Config,
    *,
    model_id: str,
    n_threads: int,
) -> DataFrame:
    """Return RECOMMENDATIONS: the chosen lists with reasons, the strongest first.

    ``chosen`` is the result of :func:`choose`, and ``user_inputs`` has the rows of ``model.inputs.user_inputs``. A
    list of source `popular` needs no profile.
    """
    lists = chosen.groupBy("user_id").agg(F.sort_array(F.collect_list(F.struct(*LISTED, "labels"))).alias("listed"))
    known = user_profiles.select(
        "user_id",
        F.filter("interest_tags", lambda t: t["origin"] == "given")["tag"].alias("tags"),
        F.col("social_items.friend_id").alias("friends"),
    )
    rows = lists.join(user_inputs, "user_id", "left").join(known, "user_id", "left")
    explained = rows.select("listed", "tags", "friends", *INPUT_COLUMNS).mapInArrow(
        _explainer(model, items, cfg, model_id, n_threads),
        f"user_id string, listed {_type_of(rows, 'listed')}, reasons array<array<string>>",
    )
    pairs = explained.select("user_id", F.explode(F.arrays_zip("listed", "reasons")).alias("pair"))
    return pairs.select("user_id", *[F.col(f"pair.listed.{name}") for name in LISTED], F.col("pair.reasons"))


def _type_of(df: DataFrame, column: str) -> str:
    return df.schema[column].dataType.simpleString()


def _explainer(
    model: Shared[Artifact], items: Shared[ItemMatrix], cfg: Config, model_id: str, n_threads: int
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    n_reasons, rank = cfg.rerank.n_reasons, Rank.of(cfg.score)

    def explain(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        limit_threads(n_threads)
        recommender = cached(("recommender", model_id), lambda: Recommender(model.value))
        positions = cached(("positions", items.value.fingerprint), lambda: Positions(items.value.ids))
        for batch in batches:
            columns = {name: batch.column(name).to_pylist() for name in ("user_id", "listed", "tags", "friends")}
            reasons: list[list[list[str]]] = [[[] for _ in listed] for listed in columns["listed"]]
            if n_reasons:
                histories = from_arrow(
                    batch.select(INPUT_COLUMNS), positions, recommender.behaviours, recommender.shape.text_width
                )
                said = Reasons(histories, items.value, positions, recommender, rank, n_reasons)
                for row, listed in enumerate(columns["listed"]):
                    reasons[row] = said.of(row, listed, columns["tags"][row] or [], columns["friends"][row] or [])
            yield pa.RecordBatch.from_arrays(
                [
                    batch.column("user_id"),
                    batch.column("listed"),
                    pa.array(reasons, pa.list_(pa.list_(pa.string()))),
                ],
                names=["user_id", "listed", "reasons"],
            )
        freeze_imports()

    return explain
