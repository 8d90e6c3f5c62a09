"""The contract: the tables that ``[sources]`` maps the user's tables onto, and what ingest does with each.

``docs/tables.md`` is generated from this file and from ``tables.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql.types import BooleanType, MapType

from recsys_spark.schema import DOUBLE, STRING, STRINGS, TIME, Col, Table

BEHAVIOURS = Table(
    "behaviours",
    "Raw events, as the sources give them.",
    (),
    (
        Col("user_id", STRING, "User id, in any script, 1 to 512 bytes.", nullable=False),
        Col("item_id", STRING, "Item id, in any script, 1 to 512 bytes.", nullable=False),
        Col("behaviour", STRING, "Behaviour type: a key of `behaviours.weights`.", nullable=False),
        Col("ts", TIME, "When it happened.", nullable=False),
        Col("value", DOUBLE, "Hours, plays or stars: the number that `behaviours.value_transform` is applied to."),
    ),
)
ITEMS = Table(
    "items",
    "The catalogue, one row per item.",
    ("item_id",),
    (
        Col("item_id", STRING, "Item id, in any script, 1 to 512 bytes.", nullable=False),
        Col("title", STRING, "Readable name; null or empty where there is none."),
        Col("description", STRING, "Long text."),
        Col("category", STRING, "The category; an item has one."),
        Col("tags", STRINGS, "Free tags."),
        Col("attributes", MapType(STRING, STRING), "Named attributes, such as brand or level."),
        Col(
            "available",
            BooleanType(),
            "False: the item is known and learned from, but never recommended. Null counts as true.",
        ),
    ),
)
USERS = Table(
    "users",
    "What is known of users besides their behaviours, one row per user.",
    ("user_id",),
    (
        Col("user_id", STRING, "User id, in any script, 1 to 512 bytes.", nullable=False),
        Col("interest_tags", STRINGS, "Interests that the user gave."),
        Col("attributes", MapType(STRING, STRING), "Named attributes."),
    ),
)
RELATIONS = Table(
    "relations",
    "Directed social relations: user_id follows friend_id, or is a friend of friend_id.",
    ("user_id", "friend_id"),
    (
        Col("user_id", STRING, "User.", nullable=False),
        Col("friend_id", STRING, "The friend.", nullable=False),
        Col("weight", DOUBLE, "Closeness, above 0; 1 where the source gives none."),
    ),
)
ALLOW_LIST = Table(
    "allow_list",
    "A campaign. Where this table is configured, only its items are recommended, if they are available.",
    ("item_id",),
    (Col("item_id", STRING, "Item of the catalogue.", nullable=False),),
)
DENY_LIST = Table(
    "deny_list",
    "Pairs that are never recommended, in addition to those that `score.exclude_seen` leaves out.",
    ("user_id", "item_id"),
    (
        Col("user_id", STRING, "User.", nullable=False),
        Col("item_id", STRING, "Item of the catalogue.", nullable=False),
    ),
)
SELECTED_USERS = Table(
    "selected_users",
    "Users to serve. Where this table is configured, only its users get a list. A user who is in no other table gets "
    "popular items.",
    ("user_id",),
    (Col("user_id", STRING, "User.", nullable=False),),
)
INTERACTIONS = Table(
    "interactions",
    "Accepted behaviours before `as_of`, with exact duplicates merged.",
    ("user_id", "item_id", "behaviour", "ts", "value"),
    BEHAVIOURS.columns,
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
    """Says whom or what to serve. An empty list differs from a list that is not given, so ingest records which are
    given."""
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
