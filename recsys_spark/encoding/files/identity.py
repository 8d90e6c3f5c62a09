"""The identity of an encoder: its files are checked and fingerprinted, and a worker proves that it has the same."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding.files.checks import (
    SHARD_INDEX,
    TOKENIZER_FILES,
    WEIGHTS,
    check_tokenizer,
    kept_files,
    read_config,
    weight_files,
)
from recsys_spark.encoding.files.checksums import check_sums, sha256_of
from recsys_spark.encoding.files.find import find_folder
from recsys_spark.encoding.files.pooling import read_pooling
from recsys_spark.encoding.kernels.backends import INT8, fastest
from recsys_spark.encoding.kernels.spec import EncoderSpec
from recsys_spark.errors import EncoderError

log = logging.getLogger("recsys_spark")

POSITION_OFFSET = (
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "roberta-prelayernorm",
    "data2vec-text",
    "camembert",
    "mpnet",
    "longformer",
)
"""Model types whose first position is pad_token_id + 1. The positions before it cannot be used."""


def resolve_encoder(cfg: Encoder, folder: Path | None = None, *, on_gpu: bool = False) -> EncoderSpec:
    """Check the model of ``[encoder]`` without loading it, in ``folder`` or where it is found; raises EncoderError.

    ``on_gpu`` says whether it will compute on GPUs where that is not configured. The backend `auto` depends on it.
    """
    folder = folder or find_folder(cfg.model)
    config = read_config(folder, cfg.trust_remote_code)
    weight_files(folder)
    check_tokenizer(folder)
    prefixed = bool(cfg.item_prefix or cfg.user_prefix)
    backend: str = cfg.backend
    if backend == "auto":
        backend, why = fastest(config, on_gpu=on_gpu or cfg.device == "cuda")
        log.info("encoder: backend %s, because %s", backend, why)
    found = EncoderSpec(
        model=cfg.model,
        path=str(folder),
        encoder_id="",
        width=_width(config, folder),
        pooling=read_pooling(folder, prefixed=prefixed) if cfg.pooling == "auto" else cfg.pooling,
        max_length=min(cfg.max_length, _usable_positions(config)),
        batch_tokens=cfg.batch_tokens,
        device="cpu" if backend == INT8 else cfg.device,
        item_prefix=cfg.item_prefix,
        user_prefix=cfg.user_prefix,
        backend=backend,
        normalise=cfg.normalise,
        trust_remote_code=cfg.trust_remote_code,
    )
    sums = digests(folder, cfg.trust_remote_code)
    check_sums(folder, sums, cfg.trust_remote_code)
    return replace(found, encoder_id=fingerprint(sums, found.settings))


def verified_folder(spec: EncoderSpec, candidates: Sequence[Path] = ()) -> Path:
    """Return the first folder of this machine that is proven to contain the driver's model; raises EncoderError.

    The folders are the driver's path, ``candidates`` (where Spark unpacked a shipped model), and the installed package,
    whose path may differ here. A folder with another or a damaged model is skipped: the next may be right.
    """
    seen: dict[Path, str] = {}
    for folder in _places(spec, candidates):
        if folder in seen:
            continue
        try:
            found = fingerprint(digests(folder, spec.trust_remote_code), spec.settings)
        except (EncoderError, OSError) as error:
            seen[folder] = error.what if isinstance(error, EncoderError) else str(error)
            continue
        if found == spec.encoder_id:
            return folder
        seen[folder] = f"fingerprint {found}"
    if not seen:
        raise EncoderError(
            "this machine has no copy of the encoder that the driver has",
            where=", ".join(dict.fromkeys([spec.path, *map(str, candidates)])),
            found="no such folder",
            expected=f"a model folder with fingerprint {spec.encoder_id}",
            action="put the model where every worker can read it, or let the job ship it: see docs/encoders.md",
        )
    raise EncoderError(
        "this machine has another encoder than the driver, or the folder changed during the run",
        where=", ".join(map(str, seen)),
        found=", ".join(seen.values()),
        expected=f"fingerprint {spec.encoder_id}",
        action="put the same model folder, or the same package version, on the driver and on every worker",
    )


def _places(spec: EncoderSpec, candidates: Sequence[Path]) -> Iterator[Path]:
    """Yield folders that exist on this machine and may contain the model."""
    # YARN unpacks the job's archives in the working directory of the executor.
    in_place = [Path(spec.shipped).absolute()] if spec.shipped else []
    for folder in (Path(spec.path), *candidates, *in_place):
        try:
            if folder.is_dir():
                yield folder
        except OSError:  # a parent that this user may not enter
            continue
    try:
        yield find_folder(spec.model)
    except EncoderError:
        return


def digests(folder: Path, trusted: bool) -> dict[str, str]:
    """Return sha256 by name of each file that a vector depends on: config.json, tokenizer, weights, executed code."""
    weights = [path.name for path in weight_files(folder)]
    index = [] if weights == [WEIGHTS] else [SHARD_INDEX]
    present = [name for name in TOKENIZER_FILES if (folder / name).is_file()]
    code = [name for name in kept_files(folder, trusted) if name.endswith(".py")] if trusted else []
    return {name: sha256_of(folder / name) for name in ("config.json", *present, *weights, *index, *code)}


def fingerprint(sums: Mapping[str, str], settings: tuple[str | int | bool, ...]) -> str:
    """Return 16 hex digits of sha256 over :func:`digests` and the settings a vector depends on."""
    digest = hashlib.sha256()
    for name, file_digest in sorted(sums.items()):
        digest.update(f"{name} {file_digest}\n".encode())
    digest.update(json.dumps(settings).encode())
    return digest.hexdigest()[:16]


def _width(config: dict[str, Any], folder: Path) -> int:
    """Return h, which DistilBERT calls `dim` and GPT-2 `n_embd`; raises EncoderError unless it is an encoder."""
    width = config.get("hidden_size", config.get("dim", config.get("n_embd")))
    if config.get("is_encoder_decoder") or not isinstance(width, int) or "model_type" not in config:
        raise EncoderError(
            "the model is not a text encoder",
            where=str(folder / "config.json"),
            found=f"model_type {config.get('model_type')}, hidden_size {width}",
            expected="an encoder such as BERT, RoBERTa, XLM-R, MPNet or DistilBERT, "
            "or a decoder that embeds, such as Qwen3",
            action="choose another model",
        )
    return width


def _usable_positions(config: dict[str, Any]) -> int:
    """Return how many tokens the position table has room for; unlimited where the model has no table."""
    positions = int(config.get("max_position_embeddings") or config.get("n_positions") or 1_000_000)
    if config.get("model_type") in POSITION_OFFSET:
        positions -= int(config.get("pad_token_id") or 0) + 1
    return positions
