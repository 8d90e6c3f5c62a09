"""A small shop in CSV files and its configuration, for tests that run the pipeline."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from recsys_spark.config.file import load_config
from recsys_spark.config.sections import Config
from tests.tiny_encoder import tiny_encoder

RUN_DATE = "2026-01-01"
N_USERS, N_ITEMS, TOP_N = 24, 20, 5
KINDS = ("jazz", "game")


def write_csv(file: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([header, *rows])


def events(n_users: int = N_USERS, *, per_user: int = 8) -> list[tuple[str, str, str, str]]:
    """Users of even number like jazz, the others games; item 19 is touched by nobody."""
    rng, rows = random.Random(7), []
    for u in range(n_users):
        liked = [n for n in range(N_ITEMS - 1) if n % 2 == u % 2]
        for n in rng.sample(liked, per_user):
            when = datetime(2025, 12, 31, tzinfo=UTC) - timedelta(days=rng.randrange(60), seconds=rng.randrange(86_400))
            rows.append(
                (f"u{u:02}", f"i{n:02}", rng.choice(["browse", "purchase"]), when.strftime("%Y-%m-%d %H:%M:%S"))
            )
    return rows


def items() -> list[tuple[str, str, str]]:
    return [(f"i{n:02}", KINDS[n % 2], f"{'blue album' if n % 2 == 0 else 'space game'} {n}") for n in range(N_ITEMS)]


def write_shop(folder: Path) -> Path:
    """Write the shop into ``folder`` and return its configuration file; the store is ``folder / "store"``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "events.csv", ["user", "item", "what", "at"], events())
    write_csv(folder / "items.csv", ["item", "kind", "name"], items())
    write_csv(folder / "users.csv", ["user", "tag"], [("u00", "jazz"), ("by-tag", "game"), ("nobody", "")])
    write_csv(folder / "friends.csv", ["a", "b"], [("by-friend", "u01"), ("by-friend", "u03")])
    file = folder / "shop.toml"
    file.write_text(
        f"""
run = {{ store = "store", top_n = {TOP_N}, seed = 1 }}
evaluate = {{ k = [{TOP_N}], n_bootstrap = 100, als_rank = 4 }}
encoder = {{ model = "{tiny_encoder(folder)}", max_length = 16, device = "cpu" }}
model = {{ width = 16, n_layers = 1, epochs = 3, threads = 1 }}
behaviours = {{ weights = {{ browse = 1.0, purchase = 3.0 }} }}

[sources.behaviours]
format = "csv"
path = "events.csv"
options = {{ header = "true" }}
columns = {{ user_id = "user", item_id = "item", behaviour = "what", ts = "cast(at as timestamp)" }}

[sources.items]
format = "csv"
path = "items.csv"
options = {{ header = "true" }}
columns = {{ item_id = "item", title = "name", category = "kind" }}

[sources.users]
format = "csv"
path = "users.csv"
options = {{ header = "true" }}
columns = {{ user_id = "user", interest_tags = "filter(array(tag), t -> t is not null)" }}

[sources.relations]
format = "csv"
path = "friends.csv"
options = {{ header = "true" }}
columns = {{ user_id = "a", friend_id = "b" }}
""",
        encoding="utf-8",
    )
    return file


def load(file: Path, **overrides: Any) -> Config:
    """The configuration with dotted keys, dots written as two underscores: ``run__top_n=3``."""
    return load_config(file, {key.replace("__", "."): value for key, value in overrides.items()})
