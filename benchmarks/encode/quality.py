"""What int8 costs in quality: next to float32 on the same texts, ours and torch's plain dynamic int8 per channel."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.common.ledger import Row
from benchmarks.common.machine import int8_instructions
from benchmarks.common.processes import own_process, run_in
from benchmarks.common.spark import session
from benchmarks.common.suite import Part, say
from benchmarks.common.tables import Section, shown
from benchmarks.encode.cases import Case, load_ours, spec_of, the_cases
from benchmarks.encode.rows import FLOAT32, INT8, EncodePlan, ours, title
from benchmarks.encode.shop import the_shop
from benchmarks.encode.speeds import change, ratio, ratios, with_methods
from benchmarks.encode.texts import DESCRIPTIONS, TITLES

if TYPE_CHECKING:
    from recsys_spark.encoder_choice.probe import Probe
    from recsys_spark.encoder_choice.sample import Sample
    from recsys_spark.encoding.kernels.encoder import TextEncoder
    from recsys_spark.numerics.arrays import F32

K = 10
PLAIN_INT8 = "torch quantize_dynamic, per channel"
N_TEXTS, N_USERS, N_ITEMS = 1_024, 2_000, 5_000


def plain_int8(case: Case, n_threads: int) -> TextEncoder:
    """Return the rival: the same tokens and pooling, with torch's linear layers."""
    import torch

    from recsys_spark.encoding.files.identity import verified_folder
    from recsys_spark.encoding.files.network import load_model
    from recsys_spark.encoding.kernels import backends
    from recsys_spark.encoding.kernels.encoder import TextEncoder

    base = load_ours(case, backends.FLOAT32, n_threads)
    per_channel = {torch.nn.Linear: torch.ao.quantization.per_channel_dynamic_qconfig}
    model = torch.ao.quantization.quantize_dynamic(
        load_model(verified_folder(base.spec) / base.spec.root, False), per_channel
    )
    return TextEncoder(
        backends.TorchBackend(model), base.tokenizer, replace(base.spec, backend=PLAIN_INT8), base.pad_id
    )


def encode_all(case: Case, texts: Sequence[str], n_threads: int) -> dict[str, F32]:
    """Return the vectors of float32, int8 and the rival."""
    from recsys_spark.encoding.kernels import backends

    known = (backends.FLOAT32, backends.INT8)
    encoders = {ours(name): load_ours(case, name, n_threads) for name in known}
    encoders[PLAIN_INT8] = plain_int8(case, n_threads)
    step = 2_048
    prefixed = [case.prefix + text for text in texts]
    return {
        name: np.concatenate([encoder.encode(prefixed[at : at + step]) for at in range(0, len(prefixed), step)])
        for name, encoder in encoders.items()
    }


def cosines(one: F32, other: F32) -> Any:
    """Return cosines [n] of vectors of length 1."""
    return (one * other).sum(1)


def neighbours(vectors: F32, k: int = K) -> Any:
    """Return [n, k]: the other texts of highest cosine.

    >>> neighbours(np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32), 1).ravel().tolist()
    [1, 0, 1]
    """
    found = []
    for start in range(0, len(vectors), 1_024):
        scores = vectors[start : start + 1_024] @ vectors.T
        scores[np.arange(len(scores)), np.arange(start, start + len(scores))] = -np.inf
        found.append(np.argsort(-scores, axis=1, kind="stable")[:, :k])
    return np.concatenate(found)


def overlap(one: Any, other: Any) -> float:
    """Return the share of neighbours [n, k] that both name.

    >>> overlap(np.array([[1, 2], [3, 4]]), np.array([[2, 1], [4, 5]]))
    0.75
    """
    return float(np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(one.tolist(), other.tolist(), strict=True)]))


def compared(vectors: dict[str, F32], probe: Probe | None) -> list[Row]:
    """Return a row for each way of encoding, compared with the first, which is float32."""
    from recsys_spark.encoder_choice.probe import target_ranks

    exact = next(iter(vectors.values()))
    near, rows = neighbours(exact), list[Row]()
    for method, mine in vectors.items():
        alike = cosines(exact, mine)
        row: Row = {
            "method": method,
            "cosine_q01": float(np.quantile(alike, 0.01)),
            "cosine_median": float(np.median(alike)),
            "cosine_worst": float(alike.min()),
            "overlap": overlap(near, neighbours(mine)),
        }
        if probe is not None:
            hits = target_ranks(mine, probe) <= K
            row |= {"recall": float(hits.mean()), "n_users": probe.n_users}
        rows.append(row)
    return rows


@contextmanager
def a_sample(cores: int, *, tiny: bool) -> Iterator[tuple[str, Sample]]:
    """Users with an item held out, a catalogue, and where they come from."""
    from recsys_spark.config.file import load_config
    from recsys_spark.encoder_choice.inputs import profile_inputs
    from recsys_spark.encoder_choice.sample import draw_sample

    spark = session(cores)
    with tempfile.TemporaryDirectory() as place:
        shop = the_shop(spark, Path(place), (2_000, 2_000, 60_000), tiny=tiny)
        cfg, as_of = load_config(shop.config), datetime(shop.day.year, shop.day.month, shop.day.day, tzinfo=UTC)
        with profile_inputs(spark, cfg, shop.day) as inputs:
            sizes = {"n_texts": 10, "n_users": N_USERS, "n_items": 150 if tiny else N_ITEMS}
            yield shop.origin, draw_sample(inputs, cfg, as_of=as_of, **sizes)


def texts_of(asked: Case, plan: EncodePlan) -> tuple[str, Sequence[str], Probe | None]:
    """Return where the texts come from, the texts, and the users to find items for if the texts are items'."""
    if asked.texts == TITLES:
        with a_sample(plan.cores, tiny=plan.tiny) as (origin, sample):
            found = origin, sample.texts.catalogue_texts, sample.probe
        session(plan.cores).stop()
        return found
    read = replace(asked, n=20 if plan.tiny else N_TEXTS, prefix="").read()
    return read.origin, read.texts, None


def measure(plan: EncodePlan) -> Iterator[list[Row]]:
    """Item texts with users to find them for, and descriptions if the multilingual encoder is there."""
    for asked in the_cases(tiny=plan.tiny):
        if asked.texts not in (TITLES, DESCRIPTIONS):
            continue
        origin, texts, probe = texts_of(asked, plan)
        with own_process(plan.cores) as process:
            vectors = run_in(process, encode_all, asked, texts, plan.cores)
        facts: Row = {"what": "quality", "model": asked.label, "texts": asked.texts, "origin": origin}
        facts |= {"n_texts": len(texts), "device": "cpu", "int8_instructions": int8_instructions()}
        facts |= {"encoder_id": spec_of(asked, "int8").encoder_id}
        rows = [{**facts, **row} for row in compared(vectors, probe)]
        for row in rows:
            recall = f", recall@{K} {row['recall']:.4f}" if "recall" in row else ""
            say(
                f"quality: {title(row)}, {row['method']}: cosine {row['cosine_q01']:.4f} (1%) "
                f"{row['cosine_median']:.4f} (median), neighbours {row['overlap']:.3f}{recall}"
            )
        yield rows


def after(mine: list[Row]) -> list[str]:
    """Return recall with int8 next to recall with float32."""
    return ratios(
        [
            ratio(
                "recall@10 of plain text vectors, int8 against float32", case[INT8], change(case[FLOAT32], case[INT8])
            )
            for case in with_methods(mine, INT8, FLOAT32)
            if "recall" in case[INT8]
        ]
    )


PART = Part(
    "quality",
    "vectors of int8 next to those of float32",
    measure,
    Section(
        "Quality of int8",
        {
            "texts": title,
            "from": shown("origin"),
            "method": shown("method"),
            "cosine, 1% quantile": shown("cosine_q01", ".4f"),
            "median": shown("cosine_median", ".4f"),
            "worst": shown("cosine_worst", ".4f"),
            "top-10 neighbours": shown("overlap", ".1%"),
            "recall@10 of text vectors": lambda row: (
                f"{row['recall']:.4f} ({row['n_users']:,} users)" if "recall" in row else ""
            ),
        },
        "Cosine with float32, and neighbours shared with it.",
        after=after,
    ),
)
