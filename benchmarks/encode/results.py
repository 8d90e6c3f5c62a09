"""The rows of the encoding benchmark: tokens per second, and how two methods compare round by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.common.ledger import Ledger, Row
from benchmarks.common.measure import Cost, int8_instructions, median_cpu, median_wall

PARTS = ("kernel", "stage", "cores", "reload", "quality", "recommendations", "again")
LEDGER = Ledger("encode", PARTS)

LIMIT = "matrix products alone"
RIVAL = "SentenceTransformer.encode"
UDF_RIVAL = "predict_batch_udf with SentenceTransformer"
TOKENISER = "our tokeniser alone"
OURS = "recsys-spark"


def ours(backend: str) -> str:
    """The method's name in the rows.

    >>> ours("int8")
    'recsys-spark int8'
    """
    return f"{OURS} {backend}"


def cost_rows(costs: Mapping[str, list[Cost]], n_tokens: Mapping[str, int] | int, **more: object) -> list[Row]:
    """One row per method: medians of its runs, and every run, as [CPU-seconds, seconds]. ``more`` goes into each row.

    ``n_tokens``: what a run passes through the network, or would, of each method where they differ.
    """
    return [
        {
            "method": method, "repeats": len(taken), "cpu_s": median_cpu(taken), "wall_s": median_wall(taken),
            "runs": [[round(cost.cpu, 4), round(cost.wall, 4)] for cost in taken],
            "n_tokens": n_tokens if isinstance(n_tokens, int) else n_tokens[method],
            "int8_instructions": ", ".join(int8_instructions()) or "none",
            **more,
        }
        for method, taken in costs.items()
    ]  # fmt: skip


def tokens_per_s(row: Row) -> float:
    """Median over the runs."""
    return float(row["n_tokens"] / row["wall_s"])


def times_as_fast(row: Row, other: Row, *, by_cpu: bool = False) -> float:
    """Tokens per second of ``row`` over those of ``other``: the median over rounds, in which the two ran side by side.

    ``by_cpu``: per CPU-second of all processes instead, which a busy machine changes less.

    >>> row = {"n_tokens": 10, "runs": [[2.0, 1.0], [2.0, 1.0]]}
    >>> times_as_fast(row, {"n_tokens": 10, "runs": [[2.0, 2.0], [6.0, 4.0]]}), times_as_fast(row, row, by_cpu=True)
    (3.0, 1.0)
    """
    which = 0 if by_cpu else 1
    pairs = zip(row["runs"], other["runs"], strict=True)
    return float(median(row["n_tokens"] / mine[which] / (other["n_tokens"] / its[which]) for mine, its in pairs))


def of(rows: Sequence[Row], *parts: str) -> list[Row]:
    """The rows of some parts."""
    return [row for row in rows if row["part"] in parts]


CASE_KEYS = ("part", "model", "texts", "n_texts", "threads")


def cases(rows: Sequence[Row]) -> list[dict[str, Row]]:
    """Rows that ran side by side, by method."""
    found: dict[tuple[object, ...], dict[str, Row]] = {}
    for row in rows:
        found.setdefault(tuple(row.get(key) for key in CASE_KEYS), {})[row["method"]] = row
    return list(found.values())


def title(row: Row) -> str:
    """What was encoded, in words.

    >>> title({"n_texts": 2048, "texts": "titles", "model": "MiniLM", "threads": 1})
    '2,048 titles, MiniLM, 1 core'
    """
    cores = f", {row['threads']} core{'s' if row['threads'] > 1 else ''}" if "threads" in row else ""
    return f"{row['n_texts']:,} {row['texts']}, {row['model']}{cores}"


def keep(folder: Path, part: str, rows: Sequence[Row], texts: Sequence[str] = ()) -> None:
    """Replace the rows of ``part``, those of some texts alone where they are named, and write the report anew."""
    from benchmarks.encode.report import write_results

    others = [row for row in LEDGER.load(folder) if row["part"] == part and texts and row["texts"] not in texts]
    write_results(folder, LEDGER.save(folder, part, [*others, *rows]))
