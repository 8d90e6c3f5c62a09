"""What int8 costs the recommendations: recall of the pipeline's backtest with both backends, and with a second seed.

The seed draws the weights that training starts from. A difference smaller than the seed's cannot be told from chance.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.common.ledger import Row
from benchmarks.common.machine import int8_instructions
from benchmarks.common.processes import own_process, run_in
from benchmarks.common.spark import session
from benchmarks.common.suite import Part, say
from benchmarks.common.tables import Section, shown
from benchmarks.encode.cases import MINILM
from benchmarks.encode.rows import FLOAT32, INT8, EncodePlan, ours
from benchmarks.encode.shop import the_shop
from benchmarks.encode.speeds import change, ratios

SEEDS = (1, 2)
K = 10


def backtest(folder: Path, backend: str, seed: int, cores: int, *, tiny: bool) -> dict[str, Any]:
    """Return recall@K of our lists over all users of the truth, its interval, and how many users there were."""
    from recsys_spark import tables
    from recsys_spark.config.file import load_config
    from recsys_spark.evaluation.backtest import OURS
    from recsys_spark.pipeline import run_pipeline
    from recsys_spark.steps.evaluate import evaluate

    spark = session(cores)
    shop = the_shop(spark, folder, (2_000, 800, 60_000), tiny=tiny)
    changes: dict[str, Any] = {"run.store": f"{folder}/store", "run.seed": seed, "encoder.backend": backend}
    changes |= {"evaluate.baselines": [], **({"model.epochs": 1} if tiny else {})}
    cfg = load_config(shop.config, changes)
    ctx = run_pipeline(spark, cfg, shop.day, stages=("ingest",))
    attempt = ctx.area.attempt("evaluate")
    evaluate(ctx, attempt)
    metrics = spark.read.parquet(f"{attempt.folder}/{tables.METRICS.name}")
    chosen = metrics.where(f"model = '{OURS}' AND segment = 'all' AND metric = 'recall' AND k = {K}")
    [found] = chosen.collect()
    recall = {"recall": found["value"], "recall_low": found["ci_low"], "recall_high": found["ci_high"]}
    return {**recall, "n_users": found["n_users"], "origin": shop.origin}


def measure(plan: EncodePlan) -> Iterator[list[Row]]:
    """float32 and int8 under each seed, as they come; one store for all, so that what does not differ is made once."""
    from recsys_spark.encoding.kernels import backends

    facts: Row = {"device": "cpu", "int8_instructions": int8_instructions()}
    with tempfile.TemporaryDirectory() as folder, own_process() as process:
        for seed in SEEDS:
            for backend in (backends.FLOAT32, backends.INT8):
                found = run_in(process, backtest, Path(folder), backend, seed, plan.cores, tiny=plan.tiny)
                say(f"recommendations: {ours(backend)}, seed {seed}: recall@{K} {found['recall']:.4f}")
                yield [{"what": "backtest", "model": MINILM, "method": ours(backend), "seed": seed, **facts, **found}]


def after(mine: list[Row]) -> list[str]:
    """Return int8 against float32 for each seed, and one seed against another."""
    exact, int8 = ({row["seed"]: row for row in mine if row["method"] == method} for method in (FLOAT32, INT8))
    lines = []
    for seed in sorted(exact.keys() & int8.keys()):
        row = int8[seed]
        where = f"{row['origin']}, {row['n_users']:,} users, {row['model']}, seed {seed}"
        lines.append({"what": "recall@10, int8 against float32", "where": where, "measured": change(exact[seed], row)})
    values = [row["recall"] for row in exact.values()]
    if len(values) > 1:
        what, measured = "recall@10, float32, one seed against another", f"{max(values) / min(values) - 1:.1%} apart"
        lines.append({"what": what, "where": "the same", "measured": measured})
    return ratios(lines)


PART = Part(
    "recommendations",
    "the backtest with int8 and with float32",
    measure,
    Section(
        "Recommendations",
        {
            "data": shown("origin"),
            "method": shown("method"),
            "seed": shown("seed"),
            "users": shown("n_users", ","),
            "recall@10": shown("recall", ".4f"),
            "95% interval": lambda row: f"{row['recall_low']:.4f} to {row['recall_high']:.4f}",
        },
        "The pipeline's backtest. Intervals are over users; "
        "what the seed changes shows how small a difference can be told.",
        after=after,
    ),
)
