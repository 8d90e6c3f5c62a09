"""Whose behaviours quality and recommendations are measured on: Amazon Beauty's, else those of the generated shop."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.encode.texts import data_folder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BEAUTY = Path(__file__).parents[2] / "conf" / "datasets" / "amazon_beauty.toml"
BEAUTY_DAY = date(2014, 7, 24)
TINY_SIZES = (200, 200, 4_000)


@dataclass(frozen=True)
class Shop:
    """A configuration, the day it is run for, and where its data come from in words."""

    config: Path
    day: date
    origin: str


def the_shop(spark: SparkSession, folder: Path, sizes: tuple[int, int, int], *, tiny: bool) -> Shop:
    """Return Amazon Beauty if it is there, else a shop of ``sizes`` (users, items, behaviours) made in ``folder``."""
    from recsys_spark.shop.demo import ensure_shop, place_config
    from recsys_spark.shop.generate import END

    data = data_folder()
    if data is not None and (data / "amazon-beauty").is_dir() and not tiny:
        return Shop(BEAUTY, BEAUTY_DAY, "Amazon Beauty")
    n_users, n_items, n_behaviours = TINY_SIZES if tiny else sizes
    asked = {"n_users": n_users, "n_items": n_items, "n_behaviours": n_behaviours, "seed": 7}
    config = place_config(folder)
    ensure_shop(spark, folder / "shop", asked)
    return Shop(config, END, "the project's generated shop")
