"""A small clean shop: rows of the contract tables, the cells they have in a file, and the tables they become."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

Row = dict[str, Any]
RUN_DATE = "2024-04-01"
AS_OF = datetime(2024, 4, 1, tzinfo=UTC)
N_USERS, N_ITEMS, PER_USER = 40, 60, 10
COLOURS, KINDS = ("red", "blue", "green", "cotton", "wool"), ("light", "seat", "kitchen", "floor")
COLUMNS = {
    "behaviours": {"user_id": "user_id", "item_id": "item_id", "behaviour": "event", "ts": "ts", "value": "value"},
    "items": {
        "item_id": "item_id",
        "title": "title",
        "description": "description",
        "category": "category",
        "tags": "split(tags, '[|]')",
        "attributes": "map('brand', brand)",
    },
    "users": {"user_id": "user_id", "interest_tags": "split(tags, '[|]')"},
    "relations": {"user_id": "user_id", "friend_id": "friend_id", "weight": "weight"},
}
"""How a clean source is mapped: contract column = expression."""
TABLES = tuple(COLUMNS)
STORED = {"behaviours": "interactions", "items": "items", "users": "users", "relations": "relations"}


def clean_rows(table: str, prefix: str, seed: int) -> list[Row]:
    """Return the clean rows of a contract table; ids begin with ``prefix``."""
    rng = random.Random(f"{table} {seed}")
    return _MAKERS[table](prefix, rng)


def _behaviours(prefix: str, rng: random.Random) -> list[Row]:
    return [
        {
            "user_id": f"{prefix}u{user:03}",
            "item_id": f"{prefix}i{item:03}",
            "behaviour": rng.choice(("view", "buy")),
            "ts": AS_OF - timedelta(days=rng.randrange(1, 90), seconds=rng.randrange(86_400)),
            "value": float(rng.randrange(1, 10)),
        }
        for user in range(N_USERS)
        for item in rng.sample(range(N_ITEMS), PER_USER)
    ]


def _items(prefix: str, rng: random.Random) -> list[Row]:
    return [
        {
            "item_id": f"{prefix}i{n:03}",
            "title": f"{COLOURS[n % 5]} lamp {n}",
            "description": f"Made of {COLOURS[n % 5]}.",
            "category": KINDS[n % 4],
            "tags": [COLOURS[n % 5], KINDS[n % 4]],
            "attributes": {"brand": f"b{rng.randrange(3)}"},
            "available": True,
        }
        for n in range(N_ITEMS)
    ]


def _users(prefix: str, rng: random.Random) -> list[Row]:
    return [
        {"user_id": f"{prefix}u{n:03}", "interest_tags": sorted(rng.sample(COLOURS, 2)), "attributes": None}
        for n in range(N_USERS)
    ]


def _relations(prefix: str, rng: random.Random) -> list[Row]:
    pairs = [(n, (n + step) % N_USERS) for n in range(N_USERS) for step in (1, 3, 7)]
    return [
        {"user_id": f"{prefix}u{a:03}", "friend_id": f"{prefix}u{b:03}", "weight": float(rng.randrange(1, 5))}
        for a, b in pairs
    ]


_MAKERS = {"behaviours": _behaviours, "items": _items, "users": _users, "relations": _relations}


def cells(table: str, row: Row) -> dict[str, str | None]:
    """Return the cells of a row in a file, as text, by the column names that ``COLUMNS`` reads."""
    if table == "behaviours":
        ts = f"{row['ts']:%Y-%m-%d %H:%M:%S}"
        return {**_text(row, "user_id", "item_id"), "event": row["behaviour"], "ts": ts, **_text(row, "value")}
    if table == "items":
        tags, brand = "|".join(row["tags"]), row["attributes"]["brand"]
        return {**_text(row, "item_id", "title", "description", "category"), "tags": tags, "brand": brand}
    if table == "users":
        return {**_text(row, "user_id"), "tags": "|".join(row["interest_tags"])}
    return _text(row, "user_id", "friend_id", "weight")


def _text(row: Row, *names: str) -> dict[str, str | None]:
    return {name: None if row[name] is None else str(row[name]) for name in names}


def stored(accepted: Mapping[str, Iterable[Row]]) -> tuple[dict[str, Counter[str]], Counter[tuple[str, str]]]:
    """Return what ingest makes of accepted rows: the stored tables, and the behaviours on unknown items as
    (reason, user_id)."""
    known = {row["item_id"] for row in accepted["items"]}
    early = [row for row in accepted["behaviours"] if row["ts"] < AS_OF]
    unknown = Counter(("unknown_item", row["user_id"]) for row in early if row["item_id"] not in known)
    kept = {**accepted, "behaviours": [row for row in early if row["item_id"] in known]}
    tables = {STORED[name]: Counter(dict.fromkeys(map(plain, kept[name]), 1)) for name in TABLES}
    return tables, unknown


def plain(row: Mapping[str, Any]) -> str:
    """Return a row as text for comparisons: the same for the same content, whatever wrote it."""
    return repr([(name, _plain(row[name])) for name in sorted(row)])


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).isoformat() if value.tzinfo is None else value.astimezone(UTC).isoformat()
    if isinstance(value, Mapping):
        return sorted(value.items())
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return sorted(value)
    return value
