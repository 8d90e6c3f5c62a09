"""What a second core brings: the same stage under local[1] and local[2], each in a process of its own, in turn."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.common.ledger import Row, say
from benchmarks.common.measure import alternate
from benchmarks.common.processes import own_process, run_in
from benchmarks.encode.cases import Case, backends, device_name, device_of, spec_of, the_cases
from benchmarks.encode.results import cost_rows, ours, times_as_fast, title
from benchmarks.encode.stage import alone, run_stage, write_texts


def measure(*, tiny: bool, cores: int) -> list[Row]:
    """One core and ``cores``, float32 and the other backend, on titles; all JVMs stay, the others idle."""
    (first, *_), rows = the_cases(tiny=tiny), list[Row]()
    read = first.read()
    case = replace(first, n=len(read.texts))
    n_tokens = count_tokens(case)
    for name in backends(case):
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            path = write_texts(Path(folder) / "texts", read.texts)
            runs: dict[str, Callable[[], object]] = {}
            for some in sorted({1, cores}):
                process = stack.enter_context(own_process())
                runs[f"local[{some}]"] = partial(run_in, process, run_stage, path, case, name, some)
            costs = alternate(runs, 1 if tiny else 3, warm_up=1 if tiny else 2)
        device = device_name(device_of(spec_of(case, name)))
        mine = cost_rows(
            costs, n_tokens, what=ours(name), model=case.label, texts=case.texts, origin=read.origin, n_texts=case.n,
            backend=name, device=device,
        )  # fmt: skip
        for row in mine:
            say(f"cores: {title(row)}, {name}, {row['method']}: {row['wall_s']:.2f} s, {row['cpu_s']:.2f} CPU s")
        say(f"cores: {times_as_fast(mine[-1], mine[0]):.2f} times as fast on {cores}")
        rows += mine
    return rows


def count_tokens(case: Case) -> int:
    """Counted in a process that goes again."""
    with own_process(1) as process:
        return run_in(process, _count, case)


def _count(case: Case) -> int:
    return alone(case, backends(case)[0], 1).n_tokens
