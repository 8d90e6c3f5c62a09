"""What a small task costs: the first task of a worker process loads the model, the next ones of one text each do not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.common.ledger import Row, say
from benchmarks.common.measure import cost
from benchmarks.common.processes import drop, own_process, run_in
from benchmarks.encode.cases import Case, backends, device_name, device_of, spec_of, the_cases
from benchmarks.encode.results import cost_rows, ours
from benchmarks.encode.stage import session

TASKS = 200
FIRST, NEXT = "first task of a worker process", "a later task of one text"
EMPTY = "a later task that yields its row as it came"


def run_tasks(case: Case, backend: str, n_tasks: int, *, encode: bool = True) -> None:
    """``n_tasks`` tasks, each with one text, after one another on one core."""
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
    """Rows of one backend, in a process that has not loaded it yet."""
    # A session whose JVM has run a job, and a worker that has started, so that the first task pays for the encoder only.
    run_tasks(case, backend, 2, encode=False)
    first = cost(lambda: run_tasks(case, backend, 1))
    runs: dict[str, Callable[[], object]] = {
        NEXT: partial(run_tasks, case, backend, n_tasks),
        EMPTY: partial(run_tasks, case, backend, n_tasks, encode=False),
    }
    costs = {FIRST: [first]} | {name: [cost(run) for _ in range(repeats)] for name, run in runs.items()}
    rows = cost_rows(
        costs, 0, what=ours(backend), model=case.label, texts=case.texts, origin=case.read().origin, backend=backend,
        device=device_name(device_of(spec_of(case, backend))),
    )  # fmt: skip
    for row in rows:
        row["n_texts"] = row["tasks"] = 1 if row["method"] == FIRST else n_tasks
        row["seconds_per_task"] = row["wall_s"] / row["tasks"]
    return rows


def measure(*, tiny: bool, cores: int) -> list[Row]:
    """Both backends; one core, whatever ``cores`` are, so that one worker process serves all tasks."""
    case, rows = the_cases(tiny=tiny)[0], list[Row]()
    for name in backends(case):
        with own_process() as process:
            rows += run_in(process, measure_backend, case, name, 10 if tiny else TASKS, 1 if tiny else 3)
    for row in rows:
        say(f"reload: {row['what']}, {row['method']}: {row['seconds_per_task']:.4f} s")
    return rows
