"""What the encoding benchmark encodes: texts of RECSYS_DATA_DIR if it is set, else of the project's generated shop."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from recsys_spark.profiles.kernels.cleaning import clean_text

TITLES, DESCRIPTIONS, PROFILES = "titles", "descriptions", "long profiles"
TEXTS = (TITLES, DESCRIPTIONS, PROFILES)
SHOP_ITEMS, SHOP_SEED = 6_000, 7
DATA = "RECSYS_DATA_DIR"


@dataclass(frozen=True)
class Texts:
    """``name`` is TITLES, DESCRIPTIONS or PROFILES; ``origin`` says in words where the texts come from."""

    name: str
    origin: str
    texts: list[str]

    def first(self, n: int) -> Texts:
        """Return the first ``n`` of them."""
        return Texts(self.name, self.origin, self.texts[:n])


def data_folder() -> Path | None:
    """Return RECSYS_DATA_DIR; None if it is not set."""
    return Path(os.environ[DATA]) if os.environ.get(DATA) else None


def read_texts(name: str) -> Texts:
    """Return all texts of that name, each once, clean as a profile has them."""
    if name == PROFILES:
        titles = read_texts(TITLES)
        return Texts(name, f"made of {titles.origin}", long_profiles(titles.texts))
    folder = data_folder()
    places = {TITLES: "amazon-beauty/items.tsv.gz", DESCRIPTIONS: "mooccubex/courses_about.csv"}
    if folder is None or not (folder / places[name]).exists():
        return Texts(name, "the project's generated shop", distinct(_of_shop(name)))
    if name == TITLES:
        with gzip.open(folder / places[name], "rt", encoding="utf-8") as lines:
            next(lines)
            return Texts(name, "Amazon Beauty", distinct(line.rstrip("\n").split("\t")[1] for line in lines))
    with (folder / places[name]).open(encoding="utf-8", newline="") as rows:
        return Texts(name, "MOOCCubeX, Chinese", distinct(row["about"] for row in csv.DictReader(rows)))


def distinct(texts: Iterable[str]) -> list[str]:
    """Return the texts cleaned, each once, in their order, without empty ones.

    >>> distinct(["Tom &amp; Jerry", " ", "Dune", "Tom & Jerry"])
    ['Tom & Jerry', 'Dune']
    """
    return list(dict.fromkeys(text for text in map(clean_text, texts) if text))


def long_profiles(titles: list[str], n: int = 2_048) -> list[str]:
    """Return ``n`` texts of 4 to 20 titles each, as a user's taste reads when it is written out.

    >>> [len(text.split("; ")) for text in long_profiles([f"t{i}" for i in range(50)], 4)]
    [4, 9, 14, 19]
    """
    # Steps that share no divisor with a usual number of titles, so that profiles differ.
    return [
        "; ".join(titles[(number * 7_919 + place * 104_729) % len(titles)] for place in range(4 + number * 5 % 17))
        for number in range(n)
    ]


def _of_shop(name: str) -> list[str]:
    import numpy as np

    from recsys_spark.shop.items import item_rows

    rows = item_rows(np.arange(SHOP_ITEMS), SHOP_SEED, SHOP_ITEMS)
    return [str(text) for text in rows["name" if name == TITLES else "blurb"]]
