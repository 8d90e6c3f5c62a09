"""What a second core brings: the same stage under local[1] and local[2], each in its own process, in turn."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.common.ledger import Row
from benchmarks.common.processes import costs_by_cores, own_process, run_in
from benchmarks.common.suite import Part, say
from benchmarks.common.tables import Section, shown
from benchmarks.encode.cases import Case, backends, device_name, device_of, spec_of, the_cases
from benchmarks.encode.rows import EncodePlan, cost_rows, ours, short, times_as_fast, title, tokens_per_s
from benchmarks.encode.runs import alone, run_stage, write_texts
from benchmarks.encode.speeds import ratio, ratios


def measure(plan: EncodePlan) -> Iterator[list[Row]]:
    """One core and all, with each backend, on titles."""
    first = the_cases(tiny=plan.tiny)[0]
    read = first.read()
    case = replace(first, n=len(read.texts))
    n_tokens = count_tokens(case)
    for name in backends(case):
        with tempfile.TemporaryDirectory() as folder:
            path = write_texts(Path(folder) / "texts", read.texts)
            run = partial(run_stage, path, case, name)
            costs = costs_by_cores(plan.cores, partial(partial, run), repeats=plan.times(3), warm_up=plan.times(2))
        facts: Row = {"what": ours(name), "model": case.label, "texts": case.texts, "origin": read.origin}
        device = device_name(device_of(spec_of(case, name)))
        mine = cost_rows(costs, n_tokens, **facts, n_texts=case.n, backend=name, device=device)
        for row in mine:
            say(f"cores: {title(row)}, {name}, {row['method']}: {row['wall_s']:.2f} s, {row['cpu_s']:.2f} CPU s")
        yield mine


def count_tokens(case: Case) -> int:
    """Return the tokens, counted in a process that ends with it."""
    with own_process(1) as process:
        return run_in(process, _count, case)


def _count(case: Case) -> int:
    return alone(case, backends(case)[0], 1).n_tokens


def after(mine: list[Row]) -> list[str]:
    """Return how many times as fast more cores are than one."""
    lines = []
    for what in dict.fromkeys(row["what"] for row in mine):
        one, *more = [row for row in mine if row["what"] == what]
        for row in more:
            measured = f"{times_as_fast(row, one):.2f}x ({one['cpu_s']:.1f} and {row['cpu_s']:.1f} CPU-seconds)"
            lines.append(ratio(f"stage, {short(what)}, {row['method']} over {one['method']}", row, measured))
    return ratios(lines)


PART = Part(
    "cores",
    "one core and several",
    measure,
    Section(
        "Cores",
        {
            "texts": title,
            "method": shown("what"),
            "master": shown("method"),
            "s": shown("wall_s", ".2f"),
            "CPU s": shown("cpu_s", ".2f"),
            "tokens/s": lambda row: f"{tokens_per_s(row):,.0f}",
            "runs": shown("repeats"),
        },
        after=after,
    ),
)
