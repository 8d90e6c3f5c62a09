"""Encoding next to its limit and its rivals: `make bench-encode` writes benchmarks/results/encode.{md,json,png}.

- kernel: the encoder without Spark next to SentenceTransformer and bare matrix products
- stage: the whole Spark stage next to SentenceTransformer and predict_batch_udf
- cores: one core and several
- reload: tasks of one text, of which the first loads the model
- quality: vectors of int8 next to those of float32
- recommendations: the backtest with int8 and with float32
- again: later runs over the same items

Texts come from RECSYS_DATA_DIR if it is set, multilingual-e5-small from RECSYS_E5_DIR.
"""

from __future__ import annotations

from benchmarks.common.suite import Benchmark
from benchmarks.encode import again, cores, kernel, quality, recommendations, reload, stage
from benchmarks.encode.chart import draw
from benchmarks.encode.rows import add_options, lead, plan_of

ENCODE = Benchmark(
    name="encode",
    title="Encoding, measured side by side",
    parts=(kernel.PART, stage.PART, cores.PART, reload.PART, quality.PART, recommendations.PART, again.PART),
    lead=lead,
    draw=draw,
    options=add_options,
    plan=plan_of,
)

if __name__ == "__main__":
    ENCODE.main()
