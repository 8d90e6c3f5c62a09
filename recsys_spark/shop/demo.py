"""The demo: generates a shop, runs the pipeline on it, and prints what three customers did and get."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib import resources
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from recsys_spark.config.file import load_config
from recsys_spark.config.sections import Config
from recsys_spark.errors import ConfigError
from recsys_spark.shop.generate import END, generate_shop
from recsys_spark.shop.narration import narrate
from recsys_spark.shop.showcase import SHOWCASE, metrics_of, people_of
from recsys_spark.spark.session import create_session

_MARKER = "_GENERATED.json"
_ROW_BYTES = 25
"""Bytes of the shop's files for each behaviour."""


@dataclass(frozen=True)
class Outcome:
    """What a run of the pipeline left."""

    tables: Mapping[str, DataFrame]
    """``user_profiles``, ``item_profiles``, ``recommendations`` and, after a backtest, ``metrics``."""
    published: str
    """Path of the published lists."""
    w_cos: float
    """Weight of the cosine in the score."""


Runner = Callable[[SparkSession, Config, date], Outcome]


def run_demo(folder: Path, parameters: Mapping[str, int], runner: Runner) -> None:
    """Run the demo in a folder and print what three customers did and get.

    ``parameters``: `n_users`, `n_items`, `n_behaviours` and `seed` of the shop. ``runner`` runs the pipeline for a
    configuration and a run date.
    """
    cfg = load_config(place_config(folder))
    spark = create_session(cfg.spark, "recsys-spark demo", n_bytes=_ROW_BYTES * parameters["n_behaviours"])
    started = time.monotonic()
    if ensure_shop(spark, folder / "shop", parameters):
        print(f"Generated a shop in {folder / 'shop'} ({time.monotonic() - started:.0f} s)", flush=True)
    outcome = runner(spark, cfg, END)
    as_of = datetime(END.year, END.month, END.day, tzinfo=UTC)
    people = people_of(outcome.tables, SHOWCASE, as_of=as_of)
    metrics = metrics_of(outcome.tables["metrics"], k=min(cfg.evaluate.k)) if "metrics" in outcome.tables else []
    print("\n" + narrate(people, metrics, outcome.published, w_cos=outcome.w_cos, w_ce=cfg.score.w_ce))


def place_config(folder: Path) -> Path:
    """Return the demo's configuration file, which is put into the folder so that its relative paths lie there.

    A file that is there already, and may be edited, is kept.
    """
    target = folder / "demo.toml"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        text = resources.files("recsys_spark").joinpath("conf/demo.toml").read_text(encoding="utf-8")
        target.write_text(text, encoding="utf-8")
    return target


def ensure_shop(spark: SparkSession, folder: Path, parameters: Mapping[str, int]) -> bool:
    """Generate the shop unless it exists. Returns whether it was generated.

    Raises ConfigError where the folder holds a shop with other parameters: its store would mix two worlds.
    """
    marker = folder / _MARKER
    if marker.exists():
        found = json.loads(marker.read_text(encoding="utf-8"))
        if found == dict(parameters):
            return False
        raise ConfigError(
            "The folder holds a shop with other parameters",
            where=str(folder),
            found=found,
            expected=dict(parameters),
            action=f"Pass another --dir, or delete {folder.parent}.",
        )
    generate_shop(
        spark,
        str(folder),
        n_users=parameters["n_users"],
        n_items=parameters["n_items"],
        n_behaviours=parameters["n_behaviours"],
        seed=parameters["seed"],
    )
    # Written last, so that a shop which was cut off half-way is generated again.
    marker.write_text(json.dumps(dict(parameters)), encoding="utf-8")
    return True
