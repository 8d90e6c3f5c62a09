"""The rows of the encoding benchmark: how two methods compare round by round, and how much is measured."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.common.costs import Cost, cost_facts
from benchmarks.common.ledger import Row
from benchmarks.common.machine import int8_instructions
from benchmarks.common.suite import Plan, check_known, names
from benchmarks.encode.texts import TEXTS

LIMIT = "matrix products alone"
RIVAL = "SentenceTransformer.encode"
UDF_RIVAL = "predict_batch_udf with SentenceTransformer"
TOKENISER = "our tokeniser alone"
OURS = "recsys-spark"


@dataclass(frozen=True)
class EncodePlan(Plan):
    """``texts``: kernel and stage encode these alone; all if there are none."""

    texts: tuple[str, ...] = ()

    @property
    def by(self) -> str | None:
        """Return the key that lets the rows of other texts stay."""
        return "texts" if self.texts else None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what this benchmark alone understands."""
    parser.add_argument("--texts", type=names, default=[], help=f"kernel and stage: only some of {', '.join(TEXTS)}")


def plan_of(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> EncodePlan:
    """Return the plan of the command line; refuse texts that nobody knows, or for parts that do not choose theirs."""
    check_known(parser, "texts", arguments.texts, TEXTS)
    if arguments.texts and set(arguments.parts) - {"kernel", "stage"}:
        parser.error("--texts goes with --parts kernel or stage")
    return EncodePlan(arguments.cores, arguments.tiny, tuple(arguments.texts))


def ours(backend: str) -> str:
    """Return the method's name in the rows.

    >>> ours("int8")
    'recsys-spark int8'
    """
    return f"{OURS} {backend}"


FLOAT32, INT8 = ours("torch-float32"), ours("int8")


def short(method: str) -> str:
    """Return the precision of a method of ours.

    >>> short(FLOAT32), short(INT8)
    ('float32', 'int8')
    """
    return method.removeprefix(f"{OURS} ").removeprefix("torch-")


def cost_rows(costs: Mapping[str, list[Cost]], n_tokens: Mapping[str, int] | int, **more: object) -> list[Row]:
    """Return one row per method: medians of its runs, and every run as [CPU-seconds, seconds]. ``more`` goes into each.

    ``n_tokens``: what a run passes through the network, or would, of each method if methods differ.
    """
    rows = []
    for method, taken in costs.items():
        row = cost_facts(method, taken)
        row["runs"] = [[round(cost.cpu, 4), round(cost.wall, 4)] for cost in taken]
        row["n_tokens"] = n_tokens if isinstance(n_tokens, int) else n_tokens[method]
        rows.append({**row, "int8_instructions": int8_instructions(), **more})
    return rows


def tokens_per_s(row: Row) -> float:
    """Return the median over the runs."""
    return float(row["n_tokens"] / row["wall_s"])


def times_as_fast(row: Row, other: Row, *, by_cpu: bool = False) -> float:
    """Return tokens per second of ``row`` over those of ``other``: the median over rounds, which ran side by side.

    ``by_cpu``: per CPU-second of all processes instead, which a busy machine changes less.

    >>> row = {"n_tokens": 10, "runs": [[2.0, 1.0], [2.0, 1.0]]}
    >>> times_as_fast(row, {"n_tokens": 10, "runs": [[2.0, 2.0], [6.0, 4.0]]}), times_as_fast(row, row, by_cpu=True)
    (3.0, 1.0)
    """
    which = 0 if by_cpu else 1
    pairs = zip(row["runs"], other["runs"], strict=True)
    return float(median(row["n_tokens"] / mine[which] / (other["n_tokens"] / its[which]) for mine, its in pairs))


CASE_KEYS = ("part", "model", "texts", "n_texts", "threads")


def cases(rows: Sequence[Row]) -> list[dict[str, Row]]:
    """Return the rows that ran side by side, by method."""
    found: dict[tuple[object, ...], dict[str, Row]] = {}
    for row in rows:
        found.setdefault(tuple(row.get(key) for key in CASE_KEYS), {})[row["method"]] = row
    return list(found.values())


def title(row: Row) -> str:
    """Return what was encoded, in words.

    >>> title({"n_texts": 2048, "texts": "titles", "model": "MiniLM", "threads": 1})
    '2,048 titles, MiniLM, 1 core'
    """
    cores = f", {row['threads']} core{'s' if row['threads'] > 1 else ''}" if "threads" in row else ""
    return f"{row['n_texts']:,} {row['texts']}, {row['model']}{cores}"


def lead(rows: Sequence[Row]) -> str:
    """Return what holds for all tables.

    >>> lead([{"int8_instructions": "none", "texts": "titles", "origin": "a shop"}]).split(". ")[:2]
    ['Instructions that multiply int8: none', 'Texts: titles (a shop)']
    """
    instructions = "; ".join(dict.fromkeys(row["int8_instructions"] for row in rows))
    origins = dict.fromkeys((row["texts"], row["origin"]) for row in rows if "texts" in row)
    return (
        f"Instructions that multiply int8: {instructions}. "
        f"Texts: {', '.join(f'{texts} ({origin})' for texts, origin in origins)}. "
        "Methods take turns; ratios are medians over the rounds, of tokens per second unless CPU-seconds, "
        "those of all processes, are named."
    )
