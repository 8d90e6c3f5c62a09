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
from recsys_spark.encoding.files.known import refuse_adapters, warn_unread
from recsys_spark.encoding.files.layers import read_layers, weights_of
from recsys_spark.encoding.files.modules import MODULES, Modules, read_modules
from recsys_spark.encoding.files.network import check_network
from recsys_spark.encoding.files.pooling import UNLISTED, read_pooling
from recsys_spark.encoding.files.prompts import NAME as PROMPTS
from recsys_spark.encoding.files.prompts import read_prompts
from recsys_spark.encoding.files.sentence import Sentence, read_sentence
from recsys_spark.encoding.files.tokenizer import read_tokens
from recsys_spark.encoding.kernels.backends import INT8, fastest
from recsys_spark.encoding.kernels.layers import dump, parse
from recsys_spark.encoding.kernels.pooling import JOINED
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


UNLIMITED = 1_000_000
"""Positions of a model that has no table of them."""


def resolve_encoder(cfg: Encoder, folder: Path | None = None, *, on_gpu: bool = False) -> EncoderSpec:
    """Check the model of ``[encoder]`` without loading it, in ``folder`` or where it is found; raises EncoderError.

    ``on_gpu`` says whether it will compute on GPUs where that is not configured. The backend `auto` depends on it.
    """
    folder = folder or find_folder(cfg.model)
    modules = read_modules(folder)
    root = folder / modules.root
    refuse_adapters(root)
    config = read_config(root, cfg.trust_remote_code)
    weight_files(root)
    check_tokenizer(root)
    backend: str = cfg.backend
    if backend == "auto":
        backend, why = fastest(config, on_gpu=on_gpu or cfg.device == "cuda")
        log.info("encoder: backend %s, because %s", backend, why)
    found = EncoderSpec(
        model=cfg.model,
        path=str(folder),
        encoder_id="",
        width=_width(config, root),
        pooling=cfg.pooling,
        max_length=cfg.max_length,
        batch_tokens=cfg.batch_tokens,
        device="cpu" if backend == INT8 else cfg.device,
        item_prefix=cfg.item_prefix,
        user_prefix=cfg.user_prefix,
        backend=backend,
        normalise=cfg.normalise,
        trust_remote_code=cfg.trust_remote_code,
        root=modules.root,
    )
    found = _as_the_files_say(found, folder, modules, config, cfg)
    sums = digests(folder, found)
    check_sums(folder, sums, cfg.trust_remote_code)
    return replace(found, encoder_id=fingerprint(_at_root(sums, found.root), found.settings))


def _as_the_files_say(
    found: EncoderSpec, folder: Path, modules: Modules, config: dict[str, Any], cfg: Encoder
) -> EncoderSpec:
    """Return the encoder with all that its sentence-transformers files and its tokenizer ask for; raises EncoderError.

    What they ask for and the configuration sets otherwise is as the configuration sets it.
    """
    root = folder / modules.root
    sentence = read_sentence(root, listed=modules.listed)
    prompts = read_prompts(folder, cfg, listed=modules.listed)
    pooling, include_prompt = found.pooling, True
    if pooling == "auto":
        pooling, include_prompt = read_pooling(folder, modules, config)
    pooled = found.width * len(pooling.split(JOINED))
    layers = read_layers(folder, modules, pooled, prompts.truncate_dim, unit=cfg.normalise)
    # Code of the model runs on the workers only.
    n_known = int(config.get("vocab_size") or 0) if "auto_map" in config else check_network(root, False)
    tokens = read_tokens(root, lower_case=sentence.lower_case, trusted=cfg.trust_remote_code, n_known=n_known)
    warn_unread(folder, [*_read_files(folder, modules), modules.at_root(sentence.file)])
    return replace(
        found,
        width=layers[-1].width if layers else pooled,
        pooling=pooling,
        max_length=_length(cfg.max_length, sentence, config),
        prompt=prompts.prompt,
        include_prompt=include_prompt or not (prompts.prompt or cfg.item_prefix or cfg.user_prefix),
        tokenizer=tokens.differs,
        lower_case=tokens.lower_case,
        cut=tokens.cut,
        layers=dump(layers),
    )


def _length(asked: int, sentence: Sentence, config: dict[str, Any]) -> int:
    """Return how many tokens of a text are read: at most what the model's files and its table of positions allow."""
    length = min(asked, sentence.max_length or asked, _usable_positions(config))
    if length < asked:
        log.info("encoder: texts are cut at %d tokens, not at encoder.max_length %d: the model's limit", length, asked)
    return length


def _read_files(folder: Path, modules: Modules) -> list[str]:
    """Return the names of the files that are read here, besides sentence_bert_config.json."""
    root = folder / modules.root
    in_root = ["config.json", SHARD_INDEX, *TOKENIZER_FILES, *(path.name for path in weight_files(root))]
    of_layers = [f"{path}/{name}" for _, path in modules.layers for name in ("config.json", WEIGHTS)]
    pooling = modules.pooling if modules.pooling is not None else UNLISTED
    return [*map(modules.at_root, in_root), *of_layers, f"{pooling}/config.json", MODULES, PROMPTS]


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
            found = fingerprint(_at_root(digests(folder, spec), spec.root), spec.settings)
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


def loaded_files(folder: Path, spec: EncoderSpec) -> list[str]:
    """Return the files that a vector depends on, by name: config.json, tokenizer, weights, executed code.

    What the other JSON files say is part of the settings.
    """
    root = folder / spec.root
    weights = [path.name for path in weight_files(root)]
    index = [] if weights == [WEIGHTS] else [SHARD_INDEX]
    present = [name for name in TOKENIZER_FILES if (root / name).is_file()]
    code = [name for name in kept_files(root, True) if name.endswith(".py")] if spec.trust_remote_code else []
    in_root = ("config.json", *present, *weights, *index, *code)
    return [*(f"{spec.root}/{name}" if spec.root else name for name in in_root), *weights_of(parse(spec.layers))]


def digests(folder: Path, spec: EncoderSpec) -> dict[str, str]:
    """Return sha256 by name of :func:`loaded_files`."""
    return {name: sha256_of(folder / name) for name in loaded_files(folder, spec)}


def _at_root(sums: Mapping[str, str], root: str) -> dict[str, str]:
    """Return sums by the names that the files have in a model whose transformer is not in a folder of its own.

    >>> _at_root({"0_Transformer/config.json": "ab", "2_Dense/model.safetensors": "cd"}, "0_Transformer")
    {'config.json': 'ab', '2_Dense/model.safetensors': 'cd'}
    """
    return {name.removeprefix(f"{root}/") if root else name: digest for name, digest in sums.items()}


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
    positions = int(config.get("max_position_embeddings") or config.get("n_positions") or UNLIMITED)
    if positions < 0:
        # XLNet writes -1.
        return UNLIMITED
    if config.get("model_type") in POSITION_OFFSET:
        positions -= int(config.get("pad_token_id") or 0) + 1
    return positions
