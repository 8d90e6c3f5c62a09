"""The tables of the encoding benchmark's parts, as lines of Markdown made from rows; a part without rows has no lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.common.ledger import Row, table
from benchmarks.encode.results import LIMIT, RIVAL, TOKENISER, cases, of, times_as_fast, title, tokens_per_s
from benchmarks.encode.targets import found


def targets(rows: Sequence[Row]) -> list[str]:
    """What was aimed at and what was found."""
    lines = found(rows)
    cells = [[line.what, line.where, line.target, line.figure, line.verdict] for line in lines]
    n_met, n_missed = (sum(line.met is wanted for line in lines) for wanted in (True, False))
    return [
        "## Targets",
        "",
        f"{n_met} figures meet their target, {n_missed} do not. Every figure is computed from the rows below.",
        "",
        *table(["what", "where", "target", "found", ""], cells),
    ]


def speeds(rows: Sequence[Row]) -> list[str]:
    """Kernel and stage beside their rivals."""
    lines: list[str] = []
    for part, heading, said in (
        (
            "kernel",
            "## The encoder without Spark",
            "The limit is that of the matrix products: FLOP/s of the model's own shapes, preallocated and in cache, over 2 x its parameters "
            "but for the embeddings. Both methods cut texts at the same length; SentenceTransformer has its defaults otherwise, and is loaded in float32.",
        ),
        (
            "stage",
            "## The Spark stage",
            "Parquet in, Parquet out, session and models there before. SentenceTransformer runs in one process with a thread for every core, "
            "`predict_batch_udf` in one task a core.",
        ),
    ):
        shown = of(rows, part)
        if shown:
            cells = [cells_of(row, case) for case in cases(shown) for row in case.values()]
            alike = [row["cosine_with_rival"] for row in shown if "cosine_with_rival" in row]
            same = (
                [f"Cosine of our float32 vectors with SentenceTransformer's: {min(alike):.6f} or more.", ""]
                if alike
                else []
            )
            lines += [heading, "", said, "", *table(HEAD, cells), *same]
    return lines


HEAD = [
    "texts", "tokens", "device", "method", "tokens/s", "tokens/CPU-s", "over SentenceTransformer", "share of the limit", "runs",
]  # fmt: skip


def cells_of(row: Row, case: dict[str, Row]) -> list[str]:
    """One line of the table of speeds."""
    encodes = row["method"] != TOKENISER
    over = f"{times_as_fast(row, case[RIVAL]):.2f}" if encodes and RIVAL in case else ""
    share = f"{times_as_fast(row, case[LIMIT]):.2f}" if encodes and LIMIT in case else ""
    return [
        title(row), f"{row['n_tokens']:,}", row["device"], row["method"], f"{tokens_per_s(row):,.0f}",
        f"{row['n_tokens'] / row['cpu_s']:,.0f}" if row["cpu_s"] else "", over, share, str(row["repeats"]),
    ]  # fmt: skip


def cores(rows: Sequence[Row]) -> list[str]:
    """One core beside two."""
    shown = of(rows, "cores")
    if not shown:
        return []
    cells = [
        [
            title(r),
            r["what"],
            r["method"],
            f"{r['wall_s']:.2f}",
            f"{r['cpu_s']:.2f}",
            f"{tokens_per_s(r):,.0f}",
            r["repeats"],
        ]
        for r in shown
    ]
    return ["## Cores", "", *table(["texts", "method", "master", "s", "CPU s", "tokens/s", "runs"], cells)]


def reload(rows: Sequence[Row]) -> list[str]:
    """Tasks of one text."""
    shown = of(rows, "reload")
    if not shown:
        return []
    cells = [
        [
            r["what"],
            r["method"],
            r["tasks"],
            f"{r['seconds_per_task'] * 1e3:,.1f}",
            f"{r['cpu_s'] / r['tasks'] * 1e3:,.1f}",
            r["repeats"],
        ]
        for r in shown
    ]
    return [
        "## Small tasks",
        "",
        "One core, so one worker process, which had started and had run a task without the encoder. The first task loads libraries and model.",
        "",
        *table(["method", "task", "tasks", "ms a task", "CPU ms a task", "runs"], cells),
    ]


def quality(rows: Sequence[Row]) -> list[str]:
    """int8 beside float32."""
    shown = of(rows, "quality")
    if not shown:
        return []
    cells = [
        [
            title(r), r["origin"], r["method"], f"{r['cosine_q01']:.4f}", f"{r['cosine_median']:.4f}", f"{r['cosine_worst']:.4f}",
            f"{r['overlap']:.1%}", f"{r['recall']:.4f} ({r['n_users']:,} users)" if "recall" in r else "",
        ]
        for r in shown
    ]  # fmt: skip
    head = [
        "texts",
        "from",
        "method",
        "cosine, 1% quantile",
        "median",
        "worst",
        "top-10 neighbours",
        "recall@10 of text vectors",
    ]
    return ["## Quality of int8", "", "Cosine with float32, and neighbours shared with it.", "", *table(head, cells)]


def recommendations(rows: Sequence[Row]) -> list[str]:
    """The backtest with both backends."""
    shown = of(rows, "recommendations")
    if not shown:
        return []
    cells = [
        [
            r["origin"],
            r["method"],
            r["seed"],
            f"{r['n_users']:,}",
            f"{r['recall']:.4f}",
            f"{r['recall_low']:.4f} to {r['recall_high']:.4f}",
        ]
        for r in shown
    ]
    return [
        "## Recommendations",
        "",
        "The pipeline's backtest. Intervals are over users; what the seed changes shows how small a difference can be told.",
        "",
        *table(["data", "method", "seed", "users", "recall@10", "95% interval"], cells),
    ]


def again(rows: Sequence[Row]) -> list[str]:
    """Later runs over the same items."""
    shown = of(rows, "again")
    if not shown:
        return []
    cells = [
        [
            r["method"],
            f"{r['n_texts']:,}",
            f"{r['n_encoded']:,}",
            f"{r['wall_s']:.2f}",
            f"{r['cpu_s']:.2f}",
            r["device"],
        ]
        for r in shown
    ]
    return [
        "## Again",
        "",
        "The pipeline's embed stage, with the model in memory before the first run.",
        "",
        *table(["run", "texts", "encoded", "s", "CPU s", "device"], cells),
    ]


TABLES: tuple[Callable[[Sequence[Row]], list[str]], ...] = (
    targets, speeds, cores, reload, quality, recommendations, again,
)  # fmt: skip
