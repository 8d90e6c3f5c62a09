"""The article's example, three users and three items, beside a bare PySpark script; the same Java options, in turn."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from benchmarks.common.commands import command_cost
from benchmarks.common.ledger import Row
from benchmarks.common.suite import Part, Plan, say
from benchmarks.common.tables import Section, shown
from recsys_spark.spark.short_runs import JAVA_OPTIONS, SHORT_JAVA

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "article" / "article.toml"
OPTIONS = {"for short runs, the default": SHORT_JAVA[JAVA_OPTIONS], "Java's own": "-Xss4m"}


def job(store: str, properties: dict[str, str]) -> list[str]:
    """Return the command of a whole run of the example in a new store."""
    run = ["-c", "import sys; from recsys_spark.cli import main; sys.exit(main())", "pipeline"]
    named = ["--config", str(EXAMPLE), "--run-date", "2026-01-02", "--set", f"run.store={store}"]
    return [sys.executable, *run, *named, "--set", f"spark={json.dumps(properties)}"]


def n_jobs() -> int:
    """Return how many Spark jobs a run has, by its event log."""
    with tempfile.TemporaryDirectory() as folder:
        log = {
            "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": f"file:{folder}",
            "spark.eventLog.compress": "false",
        }
        command_cost(job(f"{folder}/store", log | {"spark.eventLog.rolling.enabled": "false"}))
        [events] = [path for path in Path(folder).iterdir() if path.is_file()]
        return sum('"Event":"SparkListenerJobStart"' in line for line in events.read_text().splitlines())


def measure(plan: Plan) -> Iterator[list[Row]]:
    """Run both in turn for each of the options."""
    jobs = n_jobs()
    for name, options in OPTIONS.items():
        ours, bare = [], []
        for _ in range(plan.times(3)):
            with tempfile.TemporaryDirectory() as folder:
                ours.append(command_cost(job(f"{folder}/store", {JAVA_OPTIONS: options})))
            bare.append(command_cost([sys.executable, "-m", "benchmarks.platform.bare", options]))
            say(f"{name}: ours {ours[-1].cpu:.1f} CPU-s, bare {bare[-1].cpu:.1f} CPU-s")
        cpu, bare_cpu = median(one.cpu for one in ours), median(one.cpu for one in bare)
        yield [
            {
                "options": name,
                "repeats": len(ours),
                "cpu_s": cpu,
                "wall_s": median(one.wall for one in ours),
                "bare_cpu_s": bare_cpu,
                "ratio": cpu / bare_cpu,
                "jobs": jobs,
            }
        ]


def _verdict(rows: Sequence[Row]) -> str:
    return (
        f"The whole pipeline on seven rows takes {rows[0]['ratio']:.1f} times the CPU-seconds of a script that starts "
        f"Spark and makes 24 tiny grouped writes. It has {rows[0]['jobs']} Spark jobs."
    )


PART = Part(
    "example",
    "the article's example next to a bare PySpark script",
    measure,
    Section(
        "A run on seven rows",
        {
            "Java options": shown("options"),
            "CPU-seconds": shown("cpu_s", ".1f"),
            "seconds": shown("wall_s", ".1f"),
            "bare script, CPU-seconds": shown("bare_cpu_s", ".1f"),
            "ratio": shown("ratio", ".2f"),
        },
        _verdict,
    ),
)
