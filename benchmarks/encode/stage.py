"""The whole Spark stage, Parquet in and out, next to its rivals on as many cores; sessions and models are there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.common.costs import alternate
from benchmarks.common.ledger import Row
from benchmarks.common.processes import own_process, run_in
from benchmarks.common.spark import session
from benchmarks.common.suite import Part, say
from benchmarks.common.tables import Section
from benchmarks.encode.cases import Case, backends, chosen, device_name, device_of, spec_of, the_cases
from benchmarks.encode.rows import LIMIT, RIVAL, UDF_RIVAL, EncodePlan, cost_rows, ours, title, tokens_per_s
from benchmarks.encode.runs import run_alone, run_stage, run_udf, write_texts
from benchmarks.encode.speeds import SPEEDS, compared, over, ratios, share_of_limit
from benchmarks.encode.texts import TITLES

MANY = 6_144
"""Texts of a larger table, where a bucket has enough texts to pack them well."""


@contextmanager
def stage_runs(
    case: Case, cores: int, folder: Path
) -> Iterator[tuple[dict[str, Callable[[], object]], dict[str, int]]]:
    """What takes turns, and the tokens of each."""
    names = backends(case)
    path = write_texts(folder / f"{case.texts}-{case.n}".replace(" ", "-"), case.read().texts)
    with own_process(cores) as process:
        # Spark's runs follow each other: its daemon ends workers, with their models, that were idle for a minute.
        alone = {what: partial(run_in, process, run_alone, what, case, names[0], cores) for what in (LIMIT, RIVAL)}
        n_tokens = {what: run() for what, run in alone.items()}
        runs: dict[str, Callable[[], object]] = {**alone}
        runs |= {ours(name): partial(run_stage, path, case, name, cores) for name in names}
        runs[UDF_RIVAL] = partial(run_udf, path, case, names[0], cores)
        yield runs, dict.fromkeys(runs, n_tokens[RIVAL]) | n_tokens


def measure(plan: EncodePlan) -> Iterator[list[Row]]:
    """All cases as they are done; titles as a larger table, too, unless some texts were asked for."""
    session(plan.cores)
    sizes = [(case, plan.times(3)) for case in chosen(the_cases(tiny=plan.tiny), plan.texts)]
    if not plan.tiny and not plan.texts:
        sizes += [(replace(case, n=MANY), 2) for case, _ in sizes if case.texts == TITLES]
    for asked, repeats in sizes:
        read = asked.read()
        case = replace(asked, n=len(read.texts))
        with tempfile.TemporaryDirectory() as folder, stage_runs(case, plan.cores, Path(folder)) as (runs, n_tokens):
            # What the larger table would warm is warm.
            costs = alternate(runs, repeats, warm_up=0 if asked.n == MANY else 1)
        facts: Row = {"what": "stage", "model": case.label, "texts": case.texts, "origin": read.origin}
        device = device_name(device_of(spec_of(case, backends(case)[0])))
        mine = cost_rows(costs, n_tokens, **facts, n_texts=case.n, threads=plan.cores, device=device)
        say(f"stage: {title(mine[0])}, {mine[1]['n_tokens']:,} tokens")
        for row in mine:
            say(f"stage:   {row['method']}: {tokens_per_s(row):,.0f} tokens/s, {row['cpu_s']:.2f} CPU s")
        yield mine
    session(plan.cores).stop()


def after(mine: list[Row]) -> list[str]:
    """Return the table of ratios."""
    rivals = ((RIVAL, RIVAL), (UDF_RIVAL, "predict_batch_udf"))
    lines = [line for rival, name in rivals for line in over("stage", mine, rival, name)]
    return ratios([*lines, *share_of_limit("stage", mine)])


PART = Part(
    "stage",
    "the whole Spark stage next to SentenceTransformer and predict_batch_udf",
    measure,
    Section(
        "The Spark stage",
        SPEEDS,
        "Parquet in, Parquet out, session and models there before. SentenceTransformer runs in one process "
        "with a thread for every core, `predict_batch_udf` in one task a core.",
        after=after,
        prepared=compared,
    ),
)
