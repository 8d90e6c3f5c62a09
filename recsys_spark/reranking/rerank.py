"""rerank: business rules over the candidates, the final ranks, and the reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from recsys_spark.config.sections import Config, Score
from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.model.kernels.histories import INPUT_COLUMNS, Histories, Positions, from_arrow
from recsys_spark.model.kernels.recommender import ItemMatrix, Recommender
from recsys_spark.reranking.evidence import Evidence, best_rows, evidence, strengths
from recsys_spark.worker.cache import Shared, cached, freeze_imports
from recsys_spark.worker.threads import limit_threads

LISTED = ("rank", "item_id", "score", "cosine", "log_prob", "source")
POPULAR = "popular recently"


def choose(candidates: DataFrame, item_profiles: DataFrame, cfg: Config) -> DataFrame:
    """CANDIDATES cut to top_n after the category rule, ranks from 1, with `labels`: the item's category and tags.

    With `rerank.max_per_category` = c, the first c items of each category come before all others; the others follow in
    score order, so that a list is never shorter than without the rule.
    """
    labels = F.filter(
        F.concat(F.array(F.lower("category")), F.coalesce(F.transform("tags", F.lower), F.array())), F.isnotnull
    )
    items = item_profiles.select("item_id", "category", labels.alias("labels"))
    rows = candidates.join(items, "item_id", "left")
    if cfg.rerank.max_per_category:
        within = Window.partitionBy("user_id", F.coalesce("category", "item_id")).orderBy("rank")
        beyond = F.row_number().over(within) > cfg.rerank.max_per_category
        order = Window.partitionBy("user_id").orderBy(beyond, F.col("rank"))
        rows = rows.withColumn("rank", F.row_number().over(order))
    if not cfg.score.top_n_per:  # else the n best of each category are all wanted
        rows = rows.where(F.col("rank") <= cfg.run.top_n)
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
    """RECOMMENDATIONS: the chosen lists with reasons, most important first.

    ``chosen`` is :func:`choose`'s result, ``user_inputs`` model_inputs.user_inputs; `popular` lists need no profile.
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
    n_reasons, score = cfg.rerank.n_reasons, cfg.score

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
                found = evidence(recommender, histories, items.value.tokens)
                words = _Words(histories, found, items.value, positions, recommender, score, n_reasons)
                for row, listed in enumerate(columns["listed"]):
                    reasons[row] = words.of(row, listed, columns["tags"][row] or [], columns["friends"][row] or [])
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


class _Words:
    """Puts a batch's evidence into sentences."""

    def __init__(
        self,
        histories: Histories,
        found: Evidence,
        items: ItemMatrix,
        positions: Positions,
        recommender: Recommender,
        score: Score,
        n_reasons: int,
    ) -> None:
        self.histories, self.found, self.items, self.positions = histories, found, items, positions
        self.recommender, self.behaviours = recommender, [*recommender.behaviours, "behaviour"]
        self.weights = {"w_cos": score.cosine_weight, "w_ce": score.w_ce / score.temperature}
        self.n_reasons = n_reasons

    def of(self, row: int, listed: list[dict[str, Any]], tags: list[str], friends: list[str]) -> list[list[str]]:
        """Reasons per listed item of one user."""
        if listed[0]["source"] == "popular":
            return [[POPULAR] for _ in listed]
        h = self.histories
        mine = slice(int(h.offsets[row]), int(h.offsets[row + 1]))
        at = self.positions.of(np.array([r["item_id"] for r in listed], dtype=object))
        y, theta = self.items.y[at], self.items.theta[at]
        alone = strengths(self.found.history[mine], y, theta, **self.weights) + self.found.history_prior[mine, None]
        linked = self.recommender.pair_boosts(self.items.link[h.items[mine]], self.items.link[at])
        alone += self.weights["w_ce"] * linked
        others = {
            "tag": strengths(self.found.text[[row]], y, theta, **self.weights)[0] if h.has_text[row] else None,
            "friend": strengths(self.found.social[[row]], y, theta, **self.weights)[0] if h.has_social[row] else None,
        }
        best = best_rows(alone, h.items[mine], self.n_reasons)
        out = []
        for column, item in enumerate(listed):
            said = [(alone[k, column], self._behaviour(mine.start + int(k))) for k in best[column] if k >= 0]
            if others["tag"] is not None and tags:
                said.append((others["tag"][column], _tag(tags, item["labels"] or [])))
            if others["friend"] is not None and friends:
                said.append((others["friend"][column], self._friend(row, int(at[column]), friends)))
            out.append([words for _, words in sorted(said, key=lambda pair: -pair[0])][: self.n_reasons])
        return out

    def _behaviour(self, flat: int) -> str:
        h = self.histories
        return f'because of "{self.items.titles[h.items[flat]]}" ({self.behaviours[h.behaviours[flat]]})'

    def _friend(self, row: int, item: int, friends: list[str]) -> str:
        """The friend whose item is most like the recommended one."""
        h = self.histories
        mine = slice(int(h.social_offsets[row]), int(h.social_offsets[row + 1]))
        theirs = h.social_items[mine]
        alike = strengths(self.items.y[theirs], self.items.y[[item]], self.items.y[[item]], w_cos=1.0, w_ce=0.0)[:, 0]
        k = int(np.argmax(alike * h.social_weights[mine]))
        return f'because friend {friends[k]} chose "{self.items.titles[theirs[k]]}"'


def _tag(tags: list[str], labels: list[str]) -> str:
    """The first interest tag that the item carries, else the first of all."""
    carried = [tag for tag in tags if tag.lower() in labels]
    return f"because of your interest in {(carried or tags)[0]}"
