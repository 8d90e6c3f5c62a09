"""Every table: columns, key and meaning. ``docs/tables.md`` is generated from here."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, BooleanType, DataType, FloatType, MapType, StructField, StructType

from recsys_spark.schema import DOUBLE, FLOATS, INT, INTS, LONG, STRING, STRINGS, TIME, Col, Table

__all__ = ["FLOATS", "Col", "Table"]  # defined in schema.py, and imported from here beside the tables


def _struct(**fields: DataType) -> StructType:
    return StructType([StructField(name, kind) for name, kind in fields.items()])


# Input contract ------------------------------------------------------------------------------------------------

BEHAVIOURS = Table(
    "behaviours",
    "Raw events, as the sources give them.",
    (),
    (
        Col("user_id", STRING, "User, any script, 1 to 512 bytes.", nullable=False),
        Col("item_id", STRING, "Item, any script, 1 to 512 bytes.", nullable=False),
        Col("behaviour", STRING, "Behaviour type, a key of `behaviours.weights`.", nullable=False),
        Col("ts", TIME, "When it happened.", nullable=False),
        Col("value", DOUBLE, "Hours, plays, stars: what `value_transform` is applied to."),
    ),
)
ITEMS = Table(
    "items",
    "The catalogue, one row per item.",
    ("item_id",),
    (
        Col("item_id", STRING, "Item, any script, 1 to 512 bytes.", nullable=False),
        Col("title", STRING, "Readable name; null or empty where there is none."),
        Col("description", STRING, "Long text."),
        Col("category", STRING, "One category."),
        Col("tags", STRINGS, "Free tags."),
        Col("attributes", MapType(STRING, STRING), "Named attributes such as brand or level."),
        Col("available", BooleanType(), "False: known, learned from, never recommended. Null counts as true."),
    ),
)
USERS = Table(
    "users",
    "What is known of users apart from behaviours, one row per user.",
    ("user_id",),
    (
        Col("user_id", STRING, "User, any script, 1 to 512 bytes.", nullable=False),
        Col("interest_tags", STRINGS, "Interests the user gave."),
        Col("attributes", MapType(STRING, STRING), "Named attributes."),
    ),
)
RELATIONS = Table(
    "relations",
    "Social relations, directed: user_id follows or is a friend of friend_id.",
    ("user_id", "friend_id"),
    (
        Col("user_id", STRING, "User.", nullable=False),
        Col("friend_id", STRING, "The friend.", nullable=False),
        Col("weight", DOUBLE, "Closeness, positive; 1 where the source gives none."),
    ),
)
ALLOW_LIST = Table(
    "allow_list",
    "A campaign: where this table is configured, only its items are recommended, and of them only available ones.",
    ("item_id",),
    (Col("item_id", STRING, "Item of the catalogue.", nullable=False),),
)
DENY_LIST = Table(
    "deny_list",
    "Pairs that are never recommended, beside what `score.exclude_seen` leaves out.",
    ("user_id", "item_id"),
    (
        Col("user_id", STRING, "User.", nullable=False),
        Col("item_id", STRING, "Item of the catalogue.", nullable=False),
    ),
)
SELECTED_USERS = Table(
    "selected_users",
    "Where this table is configured, only its users are scored; one who is in no other table gets popular items.",
    ("user_id",),
    (Col("user_id", STRING, "User.", nullable=False),),
)
# Inside the store ----------------------------------------------------------------------------------------------

INTERACTIONS = Table(
    "interactions",
    "Validated behaviours before `as_of`, exact duplicates merged.",
    ("user_id", "item_id", "behaviour", "ts", "value"),
    BEHAVIOURS.columns,
)
REJECTED_ROWS = Table(
    "rejected_rows",
    "Input rows that were not used, and why.",
    (),
    (
        Col("table", STRING, "Contract table the row was meant for.", nullable=False),
        Col(
            "reason",
            STRING,
            "Why: null_id, empty_id, id_too_long, bad_ts, future_ts, bad_value, unknown_item, duplicate_item, ...",
            nullable=False,
        ),
        Col("row", STRING, "The row as JSON.", nullable=False),
    ),
)


@dataclass(frozen=True)
class Input:
    """A table that ``[sources]`` maps the user's tables onto, and how ingest treats it."""

    table: Table
    """Columns of the contract; the section `[sources.NAME]` has the table's name."""
    stored: Table
    """What ingest writes of it."""
    required: bool = False
    """Whether a job needs a source for it."""
    is_list: bool = False
    """Says whom or what to serve. An empty list differs from a list that is not given, so ingest records which are given."""
    tonight: bool = False
    """Holds for one night and not for the model, so a backtest does not read it."""


CONTRACT = {
    entry.table.name: entry
    for entry in (
        Input(BEHAVIOURS, stored=INTERACTIONS, required=True),
        Input(ITEMS, stored=ITEMS, required=True),
        Input(USERS, stored=USERS),
        Input(RELATIONS, stored=RELATIONS),
        Input(ALLOW_LIST, stored=ALLOW_LIST, is_list=True, tonight=True),
        Input(DENY_LIST, stored=DENY_LIST, is_list=True),
        Input(SELECTED_USERS, stored=SELECTED_USERS, is_list=True, tonight=True),
    )
}
"""The contract tables by name. To add one: an entry here, and a field of its name in ``config.sources.Sources``."""


def inputs_read(*, backtest: bool) -> list[Input]:
    """Return the contract tables that ingest reads tonight or for a backtest."""
    return [entry for entry in CONTRACT.values() if not (backtest and entry.tonight)]


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
            "The most recent L behaviours, newest first; weight = behaviour weight x value transform x decay.",
        ),
        Col(
            "interest_tags",
            ArrayType(_struct(tag=STRING, weight=DOUBLE, origin=STRING)),
            "Tags, given before derived, then by (weight desc, tag); origin `given` or `derived`; derived weights have maximum 1.",
        ),
        Col("neighbours", ArrayType(_struct(user_id=STRING, weight=DOUBLE)), "Social neighbours, the closest first."),
        Col(
            "social_items",
            ArrayType(_struct(item_id=STRING, weight=DOUBLE, friend_id=STRING)),
            "Items of the neighbours' histories by (weight desc, item_id), each with the neighbour who weighs most.",
        ),
        Col("text", STRING, "Deterministic text of the given tags; null where there are none."),
        Col("content_hash", STRING, "Hash of prefix and text, the key into `embeddings`; null where text is null."),
        Col("n_behaviours", LONG, "Interactions before as_of, all of them."),
        Col("n_items", LONG, "Distinct items among them."),
        Col("last_ts", TIME, "Latest interaction."),
        Col(
            "segment",
            STRING,
            "`heavy` (20 interactions or more), `regular` (5 to 19), `light` (1 to 4), `profile` (tags or neighbours with items only), `unknown`.",
        ),
    ),
)
ITEM_PROFILES = Table(
    "item_profiles",
    "One row per item.",
    ("item_id",),
    (
        Col("item_id", STRING, "Item.", nullable=False),
        Col("title", STRING, "Cleaned title, the item id where there is none."),
        Col("category", STRING, "Cleaned category."),
        Col("tags", STRINGS, "Cleaned tags, distinct, sorted."),
        Col("available", BooleanType(), "Whether it may be recommended."),
        Col("text", STRING, "Text given to the encoder; null where the item has no text."),
        Col("content_hash", STRING, "Hash of prefix and text; null where text is null."),
        Col("n_behaviours", LONG, "Interactions before as_of."),
        Col("n_users", LONG, "Distinct users among them."),
        Col("popularity", DOUBLE, "Sum of behaviour weight x decay with `rerank.popular_half_life_days`."),
        Col("is_cold", BooleanType(), "No interaction before as_of."),
    ),
)
EMBEDDINGS = Table(
    "embeddings",
    "Text vectors by content; append-only, shared by all runs.",
    ("content_hash", "encoder_id"),
    (
        Col("content_hash", STRING, "Hash of prefix and text.", nullable=False),
        Col("encoder_id", STRING, "Fingerprint of the weights and the settings vectors depend on.", nullable=False),
        Col("vector", FLOATS, "[h] float32, of length 1 unless `encoder.normalise` is false."),
    ),
)
ENCODED = Table(
    "encoded", "What the encoder made of each text: a vector, or why there is none.", EMBEDDINGS.key,
    (*EMBEDDINGS.columns, Col("reason", STRING, "Why there is no vector; null where there is one.")),
)  # fmt: skip
SEGMENT = "segment"
"""Optional column of item tables given to scoring: the best of each segment are wanted, not of the whole."""
ITEM_VECTORS = Table(
    "item_vectors",
    "Model output per item.",
    ("item_id",),
    (
        Col("item_id", STRING, "Item.", nullable=False),
        Col("y", FLOATS, "[d] y_j, the cosine side."),
        Col("theta", FLOATS, "[d] theta_j, the softmax side."),
        Col("token", FLOATS, "[d] what a history is made of: W_in e_j + delta_j."),
        Col("bias", FloatType(), "b_j."),
        Col("available", BooleanType(), "Whether it may be recommended."),
        Col(
            "link",
            INT,
            "The number by which boosts of users name it; null for an item that the model was not trained on.",
        ),
    ),
)
USER_VECTORS = Table(
    "user_vectors",
    "Model output per user who is known by something.",
    ("user_id",),
    (
        Col("user_id", STRING, "User.", nullable=False),
        Col("x", FLOATS, "[d] x_i."),
        Col("linked", INTS, "Items, by `item_vectors.link`, that links of the history lead to; ascending."),
        Col("boosts", FLOATS, "What the links add to the logit of each of them, positive."),
        Col("source", STRING, "`history` or `profile`."),
    ),
)
CANDIDATES = Table(
    "candidates",
    "The best items per user, exclusions applied: top_n, `oversample x top_n` where rerank has rules, or top_n of each category with `score.top_n_per`.",
    ("user_id", "rank"),
    (
        Col("user_id", STRING, "User.", nullable=False),
        Col("rank", INT, "From 1, by (score desc, item_id asc).", nullable=False),
        Col("item_id", STRING, "Item.", nullable=False),
        Col(
            "score",
            DOUBLE,
            "w_cos * cosine + w_ce * log_prob; the bare logit in place of log_prob with `score.normalise = none`.",
        ),
        Col("cosine", DOUBLE, "cos(x_i, y_j)."),
        Col(
            "log_prob",
            DOUBLE,
            "log P(j|i) over the whole catalogue, or over the allow list with `score.normalise = allowed`; null with `none`.",
        ),
        Col("source", STRING, "`history`, `profile` or `popular`."),
    ),
)
RECOMMENDATIONS = Table(
    "recommendations",
    "The lists, one partition per run_date.",
    ("user_id", "rank"),
    (*CANDIDATES.columns, Col("reasons", STRINGS, "Why, most important first; readable sentences.")),
)
METRICS = Table(
    "metrics",
    "The backtest: each model and segment, with bootstrap intervals.",
    ("model", "segment", "metric", "k"),
    (
        Col("model", STRING, "`recsys-spark`, `popularity`, `als`.", nullable=False),
        Col("segment", STRING, "`all`, or a user segment of user_profiles at the cut.", nullable=False),
        Col("metric", STRING, "recall, ndcg, mrr, hit_rate, coverage.", nullable=False),
        Col("k", INT, "Cut-off.", nullable=False),
        Col("value", DOUBLE, "Mean over users; coverage: share of the catalogue that appears in a list."),
        Col("ci_low", DOUBLE, "2.5% bootstrap quantile; null for coverage."),
        Col("ci_high", DOUBLE, "97.5% bootstrap quantile; null for coverage."),
        Col("n_users", LONG, "Users with truth in the segment."),
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
OF_BOOSTS = ("link", "linked", "boosts")


def with_boost_columns(vectors: DataFrame, table: Table) -> DataFrame:
    """USER_VECTORS or ITEM_VECTORS of a model without links: with null columns where those of boosts are absent."""
    absent = [name for name in OF_BOOSTS if name in table.names and name not in vectors.columns]
    return vectors.withColumns({name: F.lit(None).cast(table.column(name).type) for name in absent})
