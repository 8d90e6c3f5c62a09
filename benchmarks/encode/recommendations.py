"""What int8 costs the recommendations: recall of the pipeline's backtest with both backends, and with a second seed.

The seed draws the weights that training starts from, so what it changes is what no difference below it can prove.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.common.ledger import Row, say
from benchmarks.common.measure import int8_instructions
from benchmarks.common.processes import own_process, run_in
from benchmarks.encode.cases import MINILM
from benchmarks.encode.quality import BEAUTY, BEAUTY_DAY
from benchmarks.encode.results import ours
from benchmarks.encode.stage import session
from benchmarks.encode.texts import data_folder

SEEDS = (1, 2)
K = 10


def backtest(folder: Path, backend: str, seed: int, cores: int, *, tiny: bool) -> dict[str, Any]:
    """recall@K of our lists over all users of the truth, its interval, and how many users there were."""
    from recsys_spark import tables
    from recsys_spark.config.file import load_config
    from recsys_spark.pipeline import WALK, run_pipeline, run_stages
    from recsys_spark.shop.demo import ensure_shop, place_config
    from recsys_spark.shop.generate import END
    from recsys_spark.steps import evaluate as backtests

    spark, data = session(cores), data_folder()
    real = data is not None and (data / "amazon-beauty").is_dir() and not tiny
    if not real:
        sizes = (200, 200, 4_000) if tiny else (2_000, 800, 60_000)
        names = ("n_users", "n_items", "n_behaviours", "seed")
        ensure_shop(spark, folder / "shop", dict(zip(names, (*sizes, 7), strict=True)))
    changes: dict[str, Any] = {
        "run.store": f"{folder}/store", "run.seed": seed, "encoder.backend": backend, "evaluate.baselines": [],
    }  # fmt: skip
    if tiny:
        changes["model.epochs"] = 1
    cfg = load_config(BEAUTY if real else place_config(folder), changes)
    ctx = run_pipeline(spark, cfg, BEAUTY_DAY if real else END, stages=("ingest",))
    attempt = ctx.area.attempt("evaluate")
    backtests.evaluate(ctx, attempt, lambda back: run_stages(back, WALK))
    metrics = spark.read.parquet(f"{attempt.folder}/{tables.METRICS.name}")
    chosen = metrics.where(f"model = '{backtests.OURS}' AND segment = 'all' AND metric = 'recall' AND k = {K}")
    [found] = chosen.collect()
    return {
        "recall": found["value"], "recall_low": found["ci_low"], "recall_high": found["ci_high"], "n_users": found["n_users"],
        "origin": "Amazon Beauty" if real else "the project's generated shop",
    }  # fmt: skip


def measure(*, tiny: bool, cores: int) -> Iterator[Row]:
    """float32 and int8 under each seed, as they come; one store for all, so that what does not differ is made once."""
    from recsys_spark.encoding.kernels.backends import FLOAT32, INT8

    with tempfile.TemporaryDirectory() as folder, own_process() as process:
        for seed in SEEDS:
            for backend in (FLOAT32, INT8):
                found = run_in(process, backtest, Path(folder), backend, seed, cores, tiny=tiny)
                say(f"recommendations: {ours(backend)}, seed {seed}: recall@{K} {found['recall']:.4f}")
                yield {
                    "what": "backtest", "model": MINILM, "method": ours(backend), "seed": seed, "device": "cpu",
                    "int8_instructions": ", ".join(int8_instructions()) or "none", **found,
                }  # fmt: skip
