"""A second night: the pipeline's embed stage over the same items, and with one item in a hundred changed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.costs import Cost, tree_cpu
from benchmarks.common.ledger import Row
from benchmarks.common.processes import own_process, run_in
from benchmarks.common.spark import session
from benchmarks.common.suite import Part, say
from benchmarks.common.tables import Section, shown
from benchmarks.encode.cases import Case, device_name, device_of, spec_of, the_cases
from benchmarks.encode.rows import EncodePlan, cost_rows
from benchmarks.encode.speeds import ratios

if TYPE_CHECKING:
    from recsys_spark.config.sections import Config

N_ITEMS, TINY_ITEMS = 12_000, 200
CHANGED = 100
"""One item in CHANGED changes before the third run."""
FIRST, SAME, NEXT = "first run", "second run, same items", "third run, one item in a hundred changed"
DAYS = {FIRST: "2026-01-02", SAME: "2026-01-03", NEXT: "2026-01-04"}


def write_shop(folder: Path, case: Case, texts: list[str]) -> Config:
    """Write items of these titles and two behaviours; return their configuration."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from recsys_spark.config.file import parse_config

    write_items(folder, texts)
    pq.write_table(pa.table({"user": ["a", "b"], "item": ["i0", "i1"]}), folder / "behaviours.parquet")
    behaviours = {"user_id": "user", "item_id": "item", "behaviour": "'buy'", "ts": "timestamp'2026-01-01'"}

    def source(name: str, columns: dict[str, str]) -> dict[str, Any]:
        return {"format": "parquet", "path": f"{folder}/{name}.parquet", "columns": columns}

    return parse_config(
        {
            "run": {"store": f"{folder}/store"},
            "sources": {
                "behaviours": source("behaviours", behaviours),
                "items": source("items", {"item_id": "item", "title": "title"}),
            },
            "behaviours": {"weights": {"buy": 1.0}},
            "profiles": {"item_template": "{title}"},
            "encoder": {"model": case.model},
        }
    )


def write_items(folder: Path, texts: list[str]) -> None:
    """Write items.parquet: item, title."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"item": [f"i{n}" for n in range(len(texts))], "title": texts}), folder / "items.parquet")


def run_night(cfg: Config, day: str, cores: int) -> tuple[Cost, dict[str, Any]]:
    """Run everything up to embed; return what the embed stage cost, and its facts."""
    from recsys_spark.pipeline import run_pipeline

    spark = session(cores)
    run_pipeline(spark, cfg, day, stages=("ingest", "profiles"))
    before = tree_cpu()
    done = run_pipeline(spark, cfg, day, stages=("embed",)).area.finished("embed")
    return Cost(tree_cpu() - before, done.seconds), dict(done.facts)


def nights(case: Case, cores: int) -> list[Row]:
    """Return the three runs, after the worker has been made to load the model."""
    read = case.read()
    facts: Row = {
        "what": "embed stage of the pipeline",
        "model": case.label,
        "texts": case.texts,
        "origin": read.origin,
    }
    facts |= {"threads": cores, "device": device_name(device_of(spec_of(case, "auto")))}
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        # Another store with other texts, so that the first run encodes all and loads nothing.
        warm, shop = Path(folder) / "warm", Path(folder) / "shop"
        warm.mkdir()
        run_night(write_shop(warm, case, [f"{text} again" for text in read.texts[:64]]), DAYS[FIRST], cores)
        shop.mkdir()
        cfg = write_shop(shop, case, read.texts)
        for what, day in DAYS.items():
            if what == NEXT:
                write_items(shop, [changed(text) if n % CHANGED == 0 else text for n, text in enumerate(read.texts)])
            taken, found = run_night(cfg, day, cores)
            counts = {name: found[name] for name in ("n_texts", "n_encoded")}
            rows += cost_rows({what: [taken]}, 0, **facts, **counts)
    return rows


def changed(text: str) -> str:
    """Return another text of about the same length.

    >>> changed("Dune")
    'Dune, new'
    """
    return f"{text}, new"


def measure(plan: EncodePlan) -> Iterator[list[Row]]:
    """Titles, with the backend that `auto` takes here."""
    case = replace(the_cases(tiny=plan.tiny)[0], n=TINY_ITEMS if plan.tiny else N_ITEMS)
    with own_process() as process:
        rows = run_in(process, nights, case, plan.cores)
    for row in rows:
        say(f"again: {row['method']}: {row['n_encoded']:,} of {row['n_texts']:,} texts encoded, {row['wall_s']:.2f} s")
    yield rows


def after(mine: list[Row]) -> list[str]:
    """Return the later runs as shares of the first."""
    runs = {row["method"]: row for row in mine}
    if not {FIRST, SAME, NEXT} <= runs.keys():
        return []
    first, same, some = runs[FIRST], runs[SAME], runs[NEXT]
    where = f"{first['n_texts']:,} {first['texts']}, {first['model']}"
    more = (some["cpu_s"] - same["cpu_s"]) / (first["cpu_s"] - same["cpu_s"])
    lines = []
    for what, row in (("a second run", same), (f"a run with 1 of {CHANGED} items changed", some)):
        texts, seconds = row["n_encoded"] / first["n_encoded"], row["wall_s"] / first["wall_s"]
        lines.append({"what": f"{what}, texts encoded", "where": where, "measured": f"{texts:.1%} of the first"})
        lines.append({"what": f"{what}, time", "where": where, "measured": f"{seconds:.1%} of the first"})
    lines[-1]["measured"] += f"; without what a run costs that encodes nothing {more:.1%} of the CPU-seconds"
    return ratios(lines)


PART = Part(
    "again",
    "later runs over the same items",
    measure,
    Section(
        "Again",
        {
            "run": shown("method"),
            "texts": shown("n_texts", ","),
            "encoded": shown("n_encoded", ","),
            "s": shown("wall_s", ".2f"),
            "CPU s": shown("cpu_s", ".2f"),
            "device": shown("device"),
        },
        "The pipeline's embed stage, with the model in memory before the first run.",
        after=after,
    ),
)
