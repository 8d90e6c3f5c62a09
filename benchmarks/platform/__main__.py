"""What a run costs beside its arithmetic: `make bench-platform` writes benchmarks/results/platform.{md,json}.

CPU-seconds are those of all processes: the driver, the JVM and the Python workers. What is compared runs in turn.
"""

from __future__ import annotations

from benchmarks.common.suite import Benchmark
from benchmarks.platform import cold, example, nothing

PLATFORM = Benchmark(
    name="platform",
    title="What a run costs beside its arithmetic",
    parts=(example.PART, nothing.PART, cold.PART),
)

if __name__ == "__main__":
    PLATFORM.main()
