"""Training: `make bench-train` writes benchmarks/results/train.{md,json}.

- processes: one process and two on the same cores
- full: the whole training, trial and final run
- growth: epochs of a quarter, a half and all users
- warm: from the model of the night before, next to from scratch
- items: steps over a million made-up items

Data come from RECSYS_DATA_DIR; the text vectors are those of bench-quality. What is timed runs in fresh processes.
"""

from __future__ import annotations

from benchmarks.common.suite import Benchmark
from benchmarks.train import full, growth, items, processes, warm
from benchmarks.train.plan import add_options, plan_of

TRAIN = Benchmark(
    name="train",
    title="Training",
    parts=(processes.PART, full.PART, growth.PART, warm.PART, items.PART),
    options=add_options,
    plan=plan_of,
)

if __name__ == "__main__":
    TRAIN.main()
