"""What int8 costs in quality: beside float32 on the same texts, ours and torch's plain dynamic int8 with a scale per channel."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.common.ledger import Row, say
from benchmarks.common.measure import int8_instructions
from benchmarks.common.processes import own_process, run_in
from benchmarks.encode.cases import Case, load_ours, spec_of, the_cases
from benchmarks.encode.results import ours, title
from benchmarks.encode.stage import session
from benchmarks.encode.texts import DESCRIPTIONS, TITLES, data_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recsys_spark.encoder_choice.probe import Probe
    from recsys_spark.encoder_choice.sample import Sample
    from recsys_spark.encoding.kernels.encoder import Floats, TextEncoder

K = 10
PLAIN_INT8 = "torch quantize_dynamic, per channel"
N_TEXTS, N_USERS, N_ITEMS = 1_024, 2_000, 5_000
BEAUTY = Path(__file__).parents[2] / "conf" / "datasets" / "amazon_beauty.toml"
BEAUTY_DAY = date(2014, 7, 24)


def plain_int8(case: Case, n_threads: int) -> TextEncoder:
    """The rival: the same tokens and pooling, its linear layers replaced by torch's."""
    import torch

    from recsys_spark.encoding.files.identity import verified_folder
    from recsys_spark.encoding.files.load import load_model
    from recsys_spark.encoding.kernels.backends import FLOAT32, TorchBackend
    from recsys_spark.encoding.kernels.encoder import TextEncoder

    base = load_ours(case, FLOAT32, n_threads)
    per_channel = {torch.nn.Linear: torch.ao.quantization.per_channel_dynamic_qconfig}
    model = torch.ao.quantization.quantize_dynamic(load_model(verified_folder(base.spec), False), per_channel)
    return TextEncoder(TorchBackend(model), base.tokenizer, replace(base.spec, backend=PLAIN_INT8), base.pad_id)


def encode_all(case: Case, texts: Sequence[str], n_threads: int) -> dict[str, Floats]:
    """Vectors of float32, int8 and the rival, in a process of its own."""
    from recsys_spark.encoding.kernels.backends import FLOAT32, INT8

    encoders = {ours(name): load_ours(case, name, n_threads) for name in (FLOAT32, INT8)}
    encoders[PLAIN_INT8] = plain_int8(case, n_threads)
    step = 2_048
    prefixed = [case.prefix + text for text in texts]
    return {
        name: np.concatenate([encoder.encode(prefixed[at : at + step]) for at in range(0, len(prefixed), step)])
        for name, encoder in encoders.items()
    }


def cosines(one: Floats, other: Floats) -> Any:
    """[n] of vectors of length 1."""
    return (one * other).sum(1)


def neighbours(vectors: Floats, k: int = K) -> Any:
    """[n, k] the texts of highest cosine, itself left out.

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
    """Share of neighbours [n, k] that both name.

    >>> overlap(np.array([[1, 2], [3, 4]]), np.array([[2, 1], [4, 5]]))
    0.75
    """
    return float(np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(one.tolist(), other.tolist(), strict=True)]))


def compared(vectors: dict[str, Floats], probe: Probe | None) -> list[Row]:
    """A row for each way of encoding, beside the first, which is float32."""
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
def a_sample(*, tiny: bool, cores: int) -> Iterator[tuple[str, Sample]]:
    """Users with an item held out, and a catalogue: Amazon Beauty's where it is there, else the generated shop's."""
    from recsys_spark.config.file import load_config
    from recsys_spark.encoder_choice.inputs import profile_inputs
    from recsys_spark.encoder_choice.sample import draw_sample
    from recsys_spark.shop.demo import ensure_shop, place_config
    from recsys_spark.shop.generate import END

    folder, spark = data_folder(), session(cores)
    real = folder is not None and (folder / "amazon-beauty").is_dir() and not tiny
    with nullcontext("") if real else tempfile.TemporaryDirectory() as place:
        path, day = (BEAUTY, BEAUTY_DAY) if real else (place_config(Path(place)), END)
        if not real:
            sizes = (200, 200, 4_000) if tiny else (2_000, 2_000, 60_000)
            names = ("n_users", "n_items", "n_behaviours", "seed")
            ensure_shop(spark, Path(place) / "shop", dict(zip(names, (*sizes, 7), strict=True)))
        cfg, as_of = load_config(path), datetime(day.year, day.month, day.day, tzinfo=UTC)
        with profile_inputs(spark, cfg, day) as inputs:
            sizes_asked = {"n_texts": 10, "n_users": N_USERS, "n_items": 150 if tiny else N_ITEMS}
            yield (
                "Amazon Beauty" if real else "the project's generated shop",
                draw_sample(inputs, cfg, as_of=as_of, **sizes_asked),
            )


def measure(*, tiny: bool, cores: int) -> list[Row]:
    """Item texts with users to find them for, and descriptions where the multilingual encoder is there."""
    rows: list[Row] = []
    for asked in the_cases(tiny=tiny):
        if asked.texts == TITLES:
            with a_sample(tiny=tiny, cores=cores) as (origin, sample):
                texts, probe = sample.texts.catalogue_texts, sample.probe
            session(cores).stop()
        elif asked.texts == DESCRIPTIONS:
            read = replace(asked, n=20 if tiny else N_TEXTS, prefix="").read()
            origin, texts, probe = read.origin, read.texts, None
        else:
            continue
        with own_process(cores) as process:
            vectors = run_in(process, encode_all, asked, texts, cores)
        facts = {
            "what": "quality", "model": asked.label, "texts": asked.texts, "origin": origin, "n_texts": len(texts),
            "device": "cpu", "int8_instructions": ", ".join(int8_instructions()) or "none",
            "encoder_id": spec_of(asked, "int8").encoder_id,
        }  # fmt: skip
        for row in compared(vectors, probe):
            rows.append({**facts, **row})
            recall = f", recall@{K} {row['recall']:.4f}" if "recall" in row else ""
            say(
                f"quality: {title(rows[-1])}, {row['method']}: cosine {row['cosine_q01']:.4f} (1%) "
                f"{row['cosine_median']:.4f} (median), neighbours {row['overlap']:.3f}{recall}"
            )
    return rows
