"""A second night: the pipeline's embed stage over the same items, and over items of which one in a hundred has changed."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.ledger import Row, say
from benchmarks.common.measure import Cost, tree_cpu
from benchmarks.common.processes import own_process, run_in
from benchmarks.encode.cases import Case, device_name, device_of, spec_of, the_cases
from benchmarks.encode.results import cost_rows
from benchmarks.encode.stage import session

if TYPE_CHECKING:
    from recsys_spark.config.sections import Config

N_ITEMS, TINY_ITEMS = 12_000, 200
CHANGED = 100
"""One item in so many."""
FIRST, SAME, NEXT = "first run", "second run, same items", "third run, one item in a hundred changed"
DAYS = {FIRST: "2026-01-02", SAME: "2026-01-03", NEXT: "2026-01-04"}


def write_shop(folder: Path, case: Case, texts: list[str]) -> Config:
    """Items of these titles, two behaviours, and their configuration."""
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
    """items.parquet: item, title."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"item": [f"i{n}" for n in range(len(texts))], "title": texts}), folder / "items.parquet")


def run_night(cfg: Config, day: str, cores: int) -> tuple[Cost, dict[str, Any]]:
    """Everything up to embed; what the embed stage cost, and its facts."""
    from recsys_spark.pipeline import run_pipeline

    spark = session(cores)
    run_pipeline(spark, cfg, day, stages=("ingest", "profiles"))
    before = tree_cpu()
    done = run_pipeline(spark, cfg, day, stages=("embed",)).area.finished("embed")
    return Cost(tree_cpu() - before, done.seconds), dict(done.facts)


def nights(case: Case, cores: int) -> list[Row]:
    """The three runs, after the worker has been made to load the model."""
    read = case.read()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        # Another store with other texts, so that the first run encodes all and loads nothing.
        warm = Path(folder) / "warm"
        warm.mkdir()
        run_night(write_shop(warm, case, [f"{text} again" for text in read.texts[:64]]), DAYS[FIRST], cores)
        shop = Path(folder) / "shop"
        shop.mkdir()
        cfg = write_shop(shop, case, read.texts)
        for what, day in DAYS.items():
            if what == NEXT:
                write_items(shop, [changed(text) if n % CHANGED == 0 else text for n, text in enumerate(read.texts)])
            taken, facts = run_night(cfg, day, cores)
            rows += cost_rows(
                {what: [taken]}, 0, what="embed stage of the pipeline", model=case.label, texts=case.texts,
                origin=read.origin, n_texts=facts["n_texts"], n_encoded=facts["n_encoded"], threads=cores,
                device=device_name(device_of(spec_of(case, "auto"))),
            )  # fmt: skip
    return rows


def changed(text: str) -> str:
    """Another text of about the same length.

    >>> changed("Dune")
    'Dune, new'
    """
    return f"{text}, new"


def measure(*, tiny: bool, cores: int) -> list[Row]:
    """Titles, with the backend that `auto` takes here."""
    first = the_cases(tiny=tiny)[0]
    case = replace(first, n=TINY_ITEMS if tiny else N_ITEMS)
    with own_process() as process:
        rows = run_in(process, nights, case, cores)
    for row in rows:
        say(f"again: {row['method']}: {row['n_encoded']:,} of {row['n_texts']:,} texts encoded, {row['wall_s']:.2f} s")
    return rows
