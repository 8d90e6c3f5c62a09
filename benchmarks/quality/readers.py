"""Readers of the public data sets in RECSYS_DATA_DIR, with the rows, texts and dirt that conf/datasets describes."""

from __future__ import annotations

import csv
import gzip
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.encode.cases import E5_VARIABLE, MINILM
from benchmarks.encode.texts import DATA, data_folder
from benchmarks.quality.data import Rows, Taggings, World, coded, codes, described
from benchmarks.quality.tiny import TINY, tiny_world
from recsys_spark.numerics.arrays import I64

MIN_LIKE = 4.0
ARTICLE = re.compile(r"^(.+), (The|A|An|Le|La|Les|Il|El|Das|Der|Die)( \(|$)")
Columns = dict[str, list[str]]


def read_world(name: str) -> World:
    """Return one of READERS, or the generated TINY. Raises FileNotFoundError if there is no folder of data."""
    if name == TINY:
        return tiny_world()
    folder = data_folder()
    if folder is None:
        raise FileNotFoundError(f"{DATA} is not set: it names the folder that holds {', '.join(READERS)}")
    return READERS[name](folder / name)


def columns(path: Path, separator: str = "\t", encoding: str = "utf-8", quoted: bool = False) -> Columns:
    """Return a table with a header, by column. Tab-separated files have no quoting: a quotation mark is text."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding=encoding, newline="") as lines:
        rows = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
        head = next(rows)
        # A name with a tab in it, or a line cut short, would shift columns.
        kept = [row for row in rows if len(row) == len(head)]
    return {name: [row[at] for row in kept] for at, name in enumerate(head)}


def by_item(items: npt.NDArray[np.object_], ids: Sequence[str], texts: Sequence[str]) -> list[str | None]:
    """Return the text of each item; None if it has none."""
    known = dict(zip(ids, texts, strict=True))
    return [known.get(item) for item in items]


def distinct(rows: Rows, n_items: int) -> Rows:
    """Return the first row of each (user, item, behaviour)."""
    keys = (rows.behaviour * (rows.user.max(initial=0) + 1) + rows.user) * n_items + rows.item
    return rows.take(np.sort(np.unique(keys, return_index=True)[1]))


def beauty(folder: Path) -> World:
    """Amazon reviews 2014, Beauty, 5-core: times are whole days, titles hold HTML entities."""
    rows, items = columns(folder / "interactions.tsv.gz"), columns(folder / "items.tsv.gz")
    user_ids, item_ids, user, item = coded(rows["user_id"], rows["item_id"], items["item_id"])
    return World(
        "amazon-beauty",
        user_ids,
        item_ids,
        plain_rows(user, item, np.array(rows["timestamp"], np.float64)),
        ("review",),
        by_item(item_ids, items["item_id"], items["title"]),
        described("amazon_beauty"),
        has_times=True,
        has_order=True,
    )


def movielens(folder: Path) -> World:
    """ml-latest-small: 4 stars or more are a like, lower ratings are left out; the catalogue is every film.

    Free tags are taggings, so that a split can hide those that come after the cut or belong to a held-out film. They
    are not part of a user's profile: conf/datasets gives MovieLens' users none.
    """
    rated, films, tags = (columns(folder / f"{name}.csv", ",", quoted=True) for name in ("ratings", "movies", "tags"))
    liked = np.array(rated["rating"], np.float64) >= MIN_LIKE
    rows = {name: [value for value, like in zip(some, liked, strict=True) if like] for name, some in rated.items()}
    user_ids, item_ids, user, item = coded(rows["userId"], rows["movieId"], films["movieId"], rated["userId"])
    genres = dict(zip(films["movieId"], films["genres"], strict=True))
    return World(
        "ml-latest-small",
        user_ids,
        item_ids,
        plain_rows(user, item, np.array(rows["timestamp"], np.float64)),
        ("like",),
        by_item(item_ids, films["movieId"], [ARTICLE.sub(r"\2 \1\3", title) for title in films["title"]]),
        described("movielens"),
        has_times=True,
        has_order=True,
        item_tags=[
            [genre for genre in genres.get(film, "").split("|") if genre != "(no genres listed)"] for film in item_ids
        ],
        taggings=_known(
            Taggings(
                codes(user_ids, tags["userId"]),
                codes(item_ids, tags["movieId"]),
                np.array(tags["timestamp"], np.float64),
                np.array([tag.strip().lower() for tag in tags["tag"]], object),
            )
        ),
    )


def steam(folder: Path) -> World:
    """Steam-200k: purchases and plays with hours, no times; a purchase listed twice is one purchase."""
    bought, played = columns(folder / "game_purchase.dat.gz"), columns(folder / "game_play.dat.gz")
    games = columns(folder / "item_info.dat")
    user_ids, item_ids, user, item = coded(
        bought["User_ID"] + played["User_ID"], bought["Game_ID"] + played["Game_ID"], games["Game_ID"]
    )
    n_bought, n = len(bought["User_ID"]), len(user)
    types = ("play", "purchase")
    hours = np.concatenate([np.full(n_bought, np.nan), np.array(played["Hours"], np.float64)])
    rows = Rows(user, item, np.zeros(n), (np.arange(n) < n_bought).astype(np.int64), hours)
    titles = by_item(item_ids, games["Game_ID"], games["Game Name"])
    return World("steam-200k", user_ids, item_ids, distinct(rows, len(item_ids)), types, titles, described("steam"))


def lastfm(folder: Path) -> World:
    """HetRec 2011 Last.fm: plays without times, tags by day (unknown for those of 1956), friends both ways."""
    plays, artists = columns(folder / "user_artists.dat"), columns(folder / "artists.dat")
    names = columns(folder / "tags.dat", encoding="latin-1")
    tags, friends = _tags_of(folder), columns(folder / "user_friends.dat")
    user_ids, item_ids, user, item = coded(
        plays["userID"], plays["artistID"], artists["id"], [*friends["userID"], *friends["friendID"], *tags["userID"]]
    )
    name_of = dict(zip(names["tagID"], names["tagValue"], strict=True))
    value = np.array(plays["weight"], np.float64)
    pairs = np.stack([codes(user_ids, friends["userID"]), codes(user_ids, friends["friendID"])], axis=1)
    taggings = _known(
        Taggings(
            codes(user_ids, tags["userID"]),
            codes(item_ids, tags["artistID"]),
            np.array([_day(*day) for day in zip(tags["year"], tags["month"], tags["day"], strict=True)]),
            np.array([name_of.get(tag, "") for tag in tags["tagID"]], object),
        )
    )
    return World(
        "lastfm-2k",
        user_ids,
        item_ids,
        Rows(user, item, np.zeros(len(user)), np.zeros(len(user), np.int64), value),
        ("play",),
        by_item(item_ids, artists["id"], artists["name"]),
        described("lastfm"),
        taggings=taggings,
        profile_taggings=taggings,
        friends=pairs,
        min_items_per_tag=3,
    )


def mooccubex(folder: Path) -> World:
    """MOOCCubeX: enrolments without times, those of the file of held-out courses among them.

    Positions are not taken for an order. Each of the 97,722 held-out courses has a greater number in its id than the
    course at the user's last position: the end of a history says how the file was made, not what was chosen next.

    The catalogue is every course that anyone took. Its descriptions are Chinese: they are read by the model in
    RECSYS_E5_DIR if that is set, else by an English one that sees little in them.
    """
    rows, last = columns(folder / "enrolments.tsv.gz"), columns(folder / "heldout.tsv.gz")
    about = columns(folder / "courses_about.csv", ",", quoted=True)
    user_ids, item_ids, user, item = coded(rows["user_id"] + last["user_id"], rows["course_id"] + last["course_id"], ())
    e5 = os.environ.get(E5_VARIABLE)
    model = {"model": e5} if e5 else {"model": MINILM, "item_prefix": "", "user_prefix": ""}
    return World(
        "mooccubex",
        user_ids,
        item_ids,
        plain_rows(user, item, np.zeros(len(user))),
        ("enrol",),
        [None] * len(item_ids),
        described("mooccubex", model),
        descriptions=by_item(item_ids, about["id"], about["about"]),
    )


def plain_rows(user: I64, item: I64, time: np.ndarray) -> Rows:
    """Return rows of one behaviour type without a value."""
    return Rows(user, item, time, np.zeros(len(user), np.int64), np.full(len(user), np.nan))


def _tags_of(folder: Path) -> Columns:
    """Return one table that lies in two files, each with its header."""
    parts = [columns(path) for path in sorted(folder.glob("user_taggedartists*.dat"))]
    return {name: [value for part in parts for value in part[name]] for name in parts[0]}


def _known(taggings: Taggings) -> Taggings:
    """Return the taggings of known users and items that say something."""
    return taggings.take((taggings.user >= 0) & (taggings.item >= 0) & (taggings.tag != ""))


def _day(year: str, month: str, day: str) -> float:
    """Return seconds; inf for a date before the site was there.

    >>> _day("2009", "4", "1"), _day("1956", "1", "1")
    (1238544000.0, inf)
    """
    if int(year) < 2002:
        return np.inf
    return datetime(int(year), int(month), int(day), tzinfo=UTC).timestamp()


READERS: Mapping[str, Callable[[Path], World]] = {
    "amazon-beauty": beauty,
    "ml-latest-small": movielens,
    "steam-200k": steam,
    "lastfm-2k": lastfm,
    "mooccubex": mooccubex,
}


def sizes(worlds: Iterable[World]) -> Iterator[str]:
    """Yield a line for each world, for the log."""
    for world in worlds:
        yield (
            f"{world.name}: {world.n_users:,} users, {world.n_items:,} items, {len(world.rows):,} rows, "
            f"{len(world.taggings.tag):,} taggings, {len(world.friends):,} friend rows"
        )
