"""What the tables of kernel and stage have in common: speeds, and ratios to rivals and to the limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.common.ledger import Row
from benchmarks.common.tables import Columns, shown, table
from benchmarks.encode.rows import (
    FLOAT32,
    LIMIT,
    OURS,
    RIVAL,
    TOKENISER,
    cases,
    short,
    times_as_fast,
    title,
    tokens_per_s,
)

SPEEDS: Columns = {
    "texts": title,
    "tokens": shown("n_tokens", ","),
    "device": shown("device"),
    "method": shown("method"),
    "tokens/s": lambda row: f"{tokens_per_s(row):,.0f}",
    "tokens/CPU-s": lambda row: f"{row['n_tokens'] / row['cpu_s']:,.0f}" if row["cpu_s"] else "",
    "over SentenceTransformer": shown("over_rival", ".2f"),
    "share of the limit": shown("of_limit", ".2f"),
    "runs": shown("repeats"),
}
RATIOS: Columns = {"what": shown("what"), "texts": shown("where"), "measured": shown("measured")}


def compared(mine: list[Row], _: Sequence[Row]) -> list[Row]:
    """Return ``mine``, case by case, each row with its speed over the rival's and over the limit's."""
    found = []
    for case in cases(mine):
        for row in case.values():
            over = [] if row["method"] == TOKENISER else [("over_rival", RIVAL), ("of_limit", LIMIT)]
            found.append({**row, **{key: times_as_fast(row, case[name]) for key, name in over if name in case}})
    return found


def ratio(what: str, row: Row, measured: str) -> Row:
    """Return a line of the table of ratios."""
    return {"what": what, "where": title(row), "measured": measured}


def ratios(lines: Sequence[Row]) -> list[str]:
    """Return the table of ratios; nothing if there are none."""
    return table(lines, RATIOS) if lines else []


def both(mine: Row, other: Row, unit: str = "x") -> str:
    """Return how many times as fast ``mine`` is, by tokens per second and by CPU-seconds."""
    by_wall, by_cpu = times_as_fast(mine, other), times_as_fast(mine, other, by_cpu=True)
    return f"{by_wall:.2f}{unit} ({by_cpu:.2f}{unit} by CPU-seconds)"


def over(part: str, mine: Sequence[Row], rival: str, name: str) -> Iterator[Row]:
    """Yield each of our methods over a rival."""
    for method in methods(mine):
        for case in with_methods(mine, method, rival):
            measured = both(case[method], case[rival])
            yield ratio(f"{part}, {short(method)}, over {name}", case[method], measured)


def share_of_limit(part: str, mine: Sequence[Row]) -> Iterator[Row]:
    """Yield float32's share of what the matrix products alone would allow."""
    for case in with_methods(mine, FLOAT32, LIMIT):
        yield ratio(f"{part}, float32, share of the limit", case[FLOAT32], both(case[FLOAT32], case[LIMIT], unit=""))


def with_methods(rows: Sequence[Row], *names: str) -> list[dict[str, Row]]:
    """Return the cases that have all these methods."""
    return [case for case in cases(rows) if case.keys() >= set(names)]


def methods(rows: Sequence[Row]) -> list[str]:
    """Return our own methods."""
    return list(dict.fromkeys(row["method"] for row in rows if row["method"].startswith(OURS)))


def change(exact: Row, mine: Row) -> str:
    """Return how far recall changes.

    >>> change({"recall": 0.10}, {"recall": 0.0995})
    '-0.5% (0.1000 to 0.0995)'
    """
    share = mine["recall"] / exact["recall"] - 1 if exact["recall"] else 0.0
    return f"{share:+.1%} ({exact['recall']:.4f} to {mine['recall']:.4f})"
