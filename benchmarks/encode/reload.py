"""What a small task costs: the first task of a worker process loads the model, later tasks of one text do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.common.costs import cost
from benchmarks.common.ledger import Row
from benchmarks.common.processes import own_process, run_in
from benchmarks.common.spark import drop, session
from benchmarks.common.suite import Part, say
from benchmarks.common.tables import Section, shown
from benchmarks.encode.cases import Case, backends, device_name, device_of, spec_of, the_cases
from benchmarks.encode.rows import EncodePlan, cost_rows, ours, short
from benchmarks.encode.speeds import ratios

TASKS = 200
FIRST, NEXT = "first task of a worker process", "a later task of one text"
EMPTY = "a later task that yields its row as it came"


def run_tasks(case: Case, backend: str, n_tasks: int, *, encode: bool = True) -> None:
    """Run ``n_tasks`` tasks, each with one text, one after another on one core."""
    from pyspark.sql import functions as F

    from recsys_spark.encoding.embed import encode_buckets
    from recsys_spark.spark.session import task_threads
    from recsys_spark.tables import ENCODED

    spark, spec = session(1), spec_of(case, backend)
    threads = task_threads(spark)
    texts = F.array(*map(F.lit, case.read().texts[:n_tasks]))
    number = F.col("id").cast("int")
    rows = spark.range(0, n_tasks, 1, n_tasks).select(
        number.alias("bucket"), F.sha2(number.cast("string"), 256).alias("content_hash"), texts[number].alias("text")
    )
    if encode:
        drop(rows.mapInArrow(lambda batches: encode_buckets(batches, spec, threads, own_machine=True), ENCODED.schema))
    else:
        drop(rows.mapInArrow(lambda batches: batches, rows.schema))


def measure_backend(case: Case, backend: str, n_tasks: int, repeats: int) -> list[Row]:
    """Return the rows of one backend, in a process that has not loaded it yet."""
    # The JVM has run a job and a worker has started, so that the first task pays for the encoder only.
    run_tasks(case, backend, 2, encode=False)
    first = cost(lambda: run_tasks(case, backend, 1))
    runs: dict[str, Callable[[], object]] = {
        NEXT: partial(run_tasks, case, backend, n_tasks),
        EMPTY: partial(run_tasks, case, backend, n_tasks, encode=False),
    }
    costs = {FIRST: [first]} | {name: [cost(run) for _ in range(repeats)] for name, run in runs.items()}
    facts: Row = {"what": ours(backend), "model": case.label, "texts": case.texts, "origin": case.read().origin}
    device = device_name(device_of(spec_of(case, backend)))
    rows = cost_rows(costs, 0, **facts, backend=backend, device=device)
    for row in rows:
        row["n_texts"] = row["tasks"] = 1 if row["method"] == FIRST else n_tasks
        row["seconds_per_task"] = row["wall_s"] / row["tasks"]
    return rows


def measure(plan: EncodePlan) -> Iterator[list[Row]]:
    """Both backends; one core, whatever the plan says, so that one worker process serves all tasks."""
    case = the_cases(tiny=plan.tiny)[0]
    for name in backends(case):
        with own_process() as process:
            rows = run_in(process, measure_backend, case, name, 10 if plan.tiny else TASKS, plan.times(3))
        for row in rows:
            say(f"reload: {row['what']}, {row['method']}: {row['seconds_per_task']:.4f} s")
        yield rows


def after(mine: list[Row]) -> list[str]:
    """Return a later task next to the first, and to one without the encoder."""
    lines = []
    for what in dict.fromkeys(row["what"] for row in mine):
        by_method = {row["method"]: row for row in mine if row["what"] == what}
        if {FIRST, NEXT} <= by_method.keys():
            first, later = (by_method[name]["seconds_per_task"] * 1e3 for name in (FIRST, NEXT))
            measured = f"{later:.0f} ms, the first {first:,.0f} ms ({first / later:.0f}x)"
            if EMPTY in by_method:
                measured += f", without the encoder {by_method[EMPTY]['seconds_per_task'] * 1e3:.0f} ms"
            row = by_method[NEXT]
            where = f"{row['tasks']} tasks, {row['model']}"
            lines.append({"what": f"a Spark task of one text, {short(what)}", "where": where, "measured": measured})
    return ratios(lines)


PART = Part(
    "reload",
    "tasks of one text, of which the first loads the model",
    measure,
    Section(
        "Small tasks",
        {
            "method": shown("what"),
            "task": shown("method"),
            "tasks": shown("tasks"),
            "ms a task": lambda row: f"{row['seconds_per_task'] * 1e3:,.1f}",
            "CPU ms a task": lambda row: f"{row['cpu_s'] / row['tasks'] * 1e3:,.1f}",
            "runs": shown("repeats"),
        },
        "One core, so one worker process, which had started and had run a task without the encoder. "
        "The first task loads libraries and model.",
        after=after,
    ),
)
