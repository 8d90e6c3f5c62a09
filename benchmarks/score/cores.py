"""What a second core brings: the same stage under local[1] and local[2], each in a process of its own, in turn."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.common.ledger import Row, say
from benchmarks.common.measure import alternate
from benchmarks.common.processes import own_process, run_in
from benchmarks.score.results import cost_rows, run_part
from benchmarks.score.stage import Case, run_stage, write_vectors


def measure(*, tiny: bool, cores: int) -> list[Row]:
    """Wall time and CPU with one core and with ``cores``; both JVMs stay, the other one idle."""
    cases = [Case(*((500, 1_000) if tiny else (20_000, 100_000)), cores=some) for some in (1, cores)]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = write_vectors(Path(folder), cases[0])
        runs: dict[str, Callable[[], object]] = {}
        for case in cases:
            process = stack.enter_context(own_process())
            runs[f"local[{case.cores}]"] = partial(run_in, process, run_stage, path, case)
        say(f"cores: {cases[0].size} with {' and '.join(runs)} in turn")
        costs = alternate(runs, repeats=1 if tiny else 3, warm_up=1 if tiny else 2)
    rows = cost_rows("Spark stage by cores", cases[0].n_users, cases[0].n_items, cases[0].n, costs)
    for row in rows:
        say(f"cores: {row['method']}: {row['wall_s']:.2f} s, {row['cpu_s']:.2f} CPU s")
    say(f"cores: {rows[0]['wall_s'] / rows[1]['wall_s']:.2f} times as fast on {cores}")
    return rows


if __name__ == "__main__":
    run_part("cores", measure, __doc__)
