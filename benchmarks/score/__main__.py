"""Scoring next to its limit and its rivals: `make bench-score` writes benchmarks/results/score.{md,json,png}.

- kernel: the fold on one thread next to sgemm, faiss and implicit
- stage: the whole Spark stage next to MLlib's recommendForAllUsers
- joins: the stage next to Spark's own joins
- growth: CPU time against users, and against items
- cores: one core and several
- memory: what the Python workers take
- broadcast: two ways of bringing item blocks to the workers

Every figure is a median of runs that alternate.
"""

from __future__ import annotations

from benchmarks.common.suite import Benchmark
from benchmarks.score import broadcast, cores, growth, joins, kernel, memory, stage
from benchmarks.score.chart import draw
from benchmarks.score.rows import add_options, lead, plan_of

SCORE = Benchmark(
    name="score",
    title="Scoring, measured side by side",
    parts=(kernel.PART, stage.PART, joins.PART, growth.PART, cores.PART, memory.PART, broadcast.PART),
    lead=lead,
    draw=draw,
    options=add_options,
    plan=plan_of,
)

if __name__ == "__main__":
    SCORE.main()
