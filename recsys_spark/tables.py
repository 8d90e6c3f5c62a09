"""The tables of the stages: columns, key and meaning.

The tables of the user are in ``contract.py``. ``docs/tables.md`` is generated from both files.
"""

from __future__ import annotations

from pyspark.sql.types import ArrayType, BooleanType, DataType, FloatType, StructField, StructType

from recsys_spark.contract import CONTRACT
from recsys_spark.evaluation.kernels.metrics import METRICS as MEASURED
from recsys_spark.schema import DOUBLE, FLOATS, INT, INTS, LONG, STRING, STRINGS, TIME, Col, Table


def _struct(**fields: DataType) -> StructType:
    return StructType([StructField(name, kind) for name, kind in fields.items()])


REASONS = {
    "bad_row": "the row has not the form of its file, such as another number of fields; `row` is its text",
    "bad_where": "the condition `where` raises an error on the row",
    "bad_id": "the expression of an id raises an error on the row",
    "null_id": "an id is null",
    "empty_id": "an id is empty or blank",
    "id_too_long": "an id is longer than 512 bytes",
    "bad_encoding": "an id holds U+FFFD or invalid UTF-8: the file has another encoding than the source says",
    "self_relation": "`user_id` and `friend_id` are equal",
    "bad_ts": "the time is missing or cannot be read",
    "future_ts": "the time is in the future",
    "null_behaviour": "the behaviour type is missing or blank",
    "bad_value": "`value`, `weight` or `available` cannot be read or is not allowed, or an expression raises an error",
    "unknown_item": "the item is not in the catalogue",
    "duplicate_item": "another row of the same item is used",
    "duplicate_user": "another row of the same user is used",
    "not_finite": "the vector of the text is not finite",
    "out_of_memory": "the text alone does not fit into the memory of the GPU",
    "no_vector": "the model gives no vector",
    "vector_not_finite": "the vector of the model is not finite",
}
"""Reason why a row is rejected -> its meaning."""
REJECTED_ROWS = Table(
    "rejected_rows",
    "Input rows that were not used, with the reason.",
    (),
    (
        Col("table", STRING, "Table that the row was meant for.", nullable=False),
        Col(
            "reason",
            STRING,
            "Why the row was not used: one of the reasons below.",
            nullable=False,
        ),
        Col("row", STRING, "The row as JSON; its text where the reason is `bad_row`.", nullable=False),
    ),
)
HISTORY = ArrayType(_struct(item_id=STRING, behaviour=STRING, ts=TIME, weight=DOUBLE))
USER_PROFILES = Table(
    "user_profiles",
    "One row per user known from behaviours, users or relations.",
    ("user_id",),
    (
        Col("user_id", STRING, "User.", nullable=False),
        Col(
            "history",
            HISTORY,
            "The most recent L behaviours, newest first. weight = behaviour weight x value transform x decay.",
        ),
        Col(
            "interest_tags",
            ArrayType(_struct(tag=STRING, weight=DOUBLE, origin=STRING)),
            "Tags: given before derived, then by (weight desc, tag). origin is `given` or `derived`. The largest "
            "derived weight is 1.",
        ),
        Col("neighbours", ArrayType(_struct(user_id=STRING, weight=DOUBLE)), "Social neighbours, the closest first."),
        Col(
            "social_items",
            ArrayType(_struct(item_id=STRING, weight=DOUBLE, friend_id=STRING)),
            "Items of the neighbours' histories by (weight desc, item_id), each with the neighbour who adds most.",
        ),
        Col("text", STRING, "Text of the given tags, the same for the same tags; null where there are none."),
        Col("content_hash", STRING, "Hash of prefix and text: the key into `embeddings`. Null where text is null."),
        Col("n_behaviours", LONG, "Number of all interactions before as_of."),
        Col("n_items", LONG, "Number of distinct items among them."),
        Col("last_ts", TIME, "Latest interaction."),
        Col(
            "segment",
            STRING,
            "Activity group: `heavy` (20 interactions or more), `regular` (5 to 19), `light` (1 to 4), `profile` "
            "(none, but tags or neighbours with items), `unknown`.",
        ),
    ),
)
ITEM_PROFILES = Table(
    "item_profiles",
    "One row per item.",
    ("item_id",),
    (
        Col("item_id", STRING, "Item.", nullable=False),
        Col("title", STRING, "Cleaned title; the item id where there is none."),
        Col("category", STRING, "Cleaned category."),
        Col("tags", STRINGS, "Cleaned tags, distinct and sorted."),
        Col("available", BooleanType(), "Whether the item may be recommended."),
        Col("text", STRING, "Text that the encoder reads; null where the item has none."),
        Col("content_hash", STRING, "Hash of prefix and text; null where text is null."),
        Col("n_behaviours", LONG, "Number of interactions before as_of."),
        Col("n_users", LONG, "Number of distinct users among them."),
        Col("popularity", DOUBLE, "Sum of behaviour weight x decay with `rerank.popular_half_life_days`."),
        Col("is_cold", BooleanType(), "Whether the item has no interaction before as_of."),
    ),
)
EMBEDDINGS = Table(
    "embeddings",
    "Text vectors by content. The table is append-only, and all runs share it.",
    ("content_hash", "encoder_id"),
    (
        Col("content_hash", STRING, "Hash of prefix and text.", nullable=False),
        Col(
            "encoder_id",
            STRING,
            "Fingerprint of the model's weights and of the settings on which vectors depend.",
            nullable=False,
        ),
        Col("vector", FLOATS, "[h] float32, of length 1 unless `encoder.normalise` is false."),
    ),
)
ENCODED = Table(
    "encoded",
    "The result of the encoder for each text: a vector, or the reason why there is none.",
    EMBEDDINGS.key,
    (*EMBEDDINGS.columns, Col("reason", STRING, "Reason why there is no vector; null where there is one.")),
)
LIST_CATEGORY = "list_category"
"""Optional column of the item tables that scoring reads: lists hold the best items of each of its values."""
ITEM_VECTORS = Table(
    "item_vectors",
    "What the model computes for each item.",
    ("item_id",),
    (
        Col("item_id", STRING, "Item.", nullable=False),
        Col("y", FLOATS, "[d] y_j, for the cosine."),
        Col("theta", FLOATS, "[d] theta_j, for the softmax."),
        Col("token", FLOATS, "[d] The item as part of a history: W_in e_j + delta_j."),
        Col("bias", FloatType(), "b_j."),
        Col("available", BooleanType(), "Whether the item may be recommended."),
        Col(
            "link",
            INT,
            "Number by which boosts of users name the item; null for an item that the model was not trained on.",
        ),
    ),
)
USER_VECTORS = Table(
    "user_vectors",
    "What the model computes for each user about whom something is known.",
    ("user_id",),
    (
        Col("user_id", STRING, "User.", nullable=False),
        Col("x", FLOATS, "[d] x_i."),
        Col("linked", INTS, "Items to which links of the history lead, by `item_vectors.link`, ascending."),
        Col("boosts", FLOATS, "What the links add to the logit of each of these items; above 0."),
        Col("source", STRING, "What the vector is made of: `history` or `profile`."),
    ),
)
CANDIDATES = Table(
    "candidates",
    "The best items of each user, without excluded ones: top_n of them, `oversample x top_n` where rerank has rules, "
    "or top_n of each category with `score.top_n_per`.",
    ("user_id", "rank"),
    (
        Col("user_id", STRING, "User.", nullable=False),
        Col("rank", INT, "From 1, by (score desc, item_id asc).", nullable=False),
        Col("item_id", STRING, "Item.", nullable=False),
        Col(
            "score",
            DOUBLE,
            "w_cos * cosine + w_ce * log_prob. With `score.normalise = none` the bare logit stands for log_prob.",
        ),
        Col("cosine", DOUBLE, "cos(x_i, y_j)."),
        Col(
            "log_prob",
            DOUBLE,
            "log P(j|i) over the catalogue; over the allow list with `score.normalise = allowed`; null with `none`.",
        ),
        Col("source", STRING, "How the user was served: `history`, `profile` or `popular`."),
    ),
)
RECOMMENDATIONS = Table(
    "recommendations",
    "The lists, in one partition per run_date.",
    ("user_id", "rank"),
    (
        *CANDIDATES.columns,
        Col("reasons", STRINGS, "Why the item is in the list: readable sentences, the most important first."),
    ),
)
METRICS = Table(
    "metrics",
    "Results of the backtest by model and segment, with bootstrap intervals.",
    ("model", "segment", "metric", "k"),
    (
        Col("model", STRING, "`recsys-spark`, or a name of `evaluate.baselines`.", nullable=False),
        Col("segment", STRING, "`all`, or a segment of user_profiles at the cut.", nullable=False),
        Col("metric", STRING, f"One of {', '.join(MEASURED)}.", nullable=False),
        Col("k", INT, "Cut-off.", nullable=False),
        Col("value", DOUBLE, "Mean over users. For coverage: share of the catalogue that appears in a list."),
        Col("ci_low", DOUBLE, "2.5% bootstrap quantile; null for coverage."),
        Col("ci_high", DOUBLE, "97.5% bootstrap quantile; null for coverage."),
        Col("n_users", LONG, "Number of users of the segment with truth."),
    ),
)
STORED = (
    *(entry.stored for entry in CONTRACT.values()),
    REJECTED_ROWS,
    USER_PROFILES,
    ITEM_PROFILES,
    EMBEDDINGS,
    ENCODED,
    ITEM_VECTORS,
    USER_VECTORS,
    CANDIDATES,
    RECOMMENDATIONS,
    METRICS,
)
"""Every table that a stage writes, in the order of the pipeline."""
