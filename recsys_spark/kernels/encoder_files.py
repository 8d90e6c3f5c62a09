"""Check a model folder, refuse what must not be loaded, and fingerprint what is.

Only JSON and safetensors files are ever read here; nothing of the folder is run.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open

from recsys_spark.config import Encoder
from recsys_spark.errors import EncoderError
from recsys_spark.kernels.encoder_source import find_folder

T = TypeVar("T", dict[str, Any], list[dict[str, Any]])

FLOAT32 = "torch-float32"
WEIGHTS = "model.safetensors"
SHARD_INDEX = "model.safetensors.index.json"
TOKENIZER_FILES = (
    "tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip
VOCABULARIES = TOKENIZER_FILES[:7]
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
POSITION_OFFSET = ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer")
"""Model types whose first position is pad_token_id + 1, so that many positions fewer can be used."""


@dataclass(frozen=True)
class EncoderSpec:
    """What a worker needs to load the encoder. ``encoder_id`` fingerprints all that a vector depends on."""

    model: str
    path: str
    encoder_id: str
    width: int
    pooling: str
    max_length: int
    batch_tokens: int
    device: str
    item_prefix: str = ""
    user_prefix: str = ""
    backend: str = FLOAT32
    normalise: bool = True
    trust_remote_code: bool = False


def resolve_encoder(cfg: Encoder, backend: str = FLOAT32, folder: Path | None = None) -> EncoderSpec:
    """Find (unless ``folder`` is where it was found) and check the model of ``[encoder]`` without loading it.

    ``backend`` is what `auto` was decided to be. Raises EncoderError.
    """
    folder = folder or find_folder(cfg.model)
    config = _read_config(folder)
    weight_files(folder)
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise EncoderError(
            "the model folder has no tokenizer",
            where=str(folder),
            found=_listing(folder),
            expected="tokenizer.json, or a vocabulary such as vocab.txt or sentencepiece.bpe.model",
            action="copy the tokenizer files of the model beside its weights",
        )
    pooling = read_pooling(folder) if cfg.pooling == "auto" else cfg.pooling
    max_length = min(cfg.max_length, _usable_positions(config))
    settings = (pooling, max_length, cfg.item_prefix, cfg.user_prefix, cfg.normalise, backend)
    return EncoderSpec(
        model=cfg.model,
        path=str(folder),
        encoder_id=fingerprint(folder, settings),
        width=_width(config, folder),
        pooling=pooling,
        max_length=max_length,
        batch_tokens=cfg.batch_tokens,
        device=cfg.device,
        item_prefix=cfg.item_prefix,
        user_prefix=cfg.user_prefix,
        backend=backend,
        normalise=cfg.normalise,
        trust_remote_code=cfg.trust_remote_code,
    )


def verified_folder(spec: EncoderSpec) -> Path:
    """The model folder on this machine, proven to be the one the driver resolved; raises EncoderError.

    An installed package may lie elsewhere here than on the driver, so it is looked up again.
    """
    folder = Path(spec.path) if Path(spec.path).is_dir() else find_folder(spec.model)
    settings = (spec.pooling, spec.max_length, spec.item_prefix, spec.user_prefix, spec.normalise, spec.backend)
    found = fingerprint(folder, settings)
    if found != spec.encoder_id:
        raise EncoderError(
            "this machine has another encoder than the driver, or the folder changed during the run",
            where=str(folder),
            found=f"fingerprint {found}",
            expected=f"fingerprint {spec.encoder_id}",
            action="put the same model folder, or the same package version, on the driver and on every worker",
        )
    return folder


def fingerprint(folder: Path, settings: tuple[str | int | bool, ...]) -> str:
    """16 hex digits of sha256 over weights, tokenizer, config.json and the settings a vector depends on."""
    digest = hashlib.sha256()
    present = [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
    for path in sorted([folder / "config.json", *present, *weight_files(folder)]):
        with path.open("rb") as file:
            digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    digest.update(json.dumps(settings).encode())
    return digest.hexdigest()[:16]


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of the model, whole and readable; raises EncoderError."""
    if (folder / WEIGHTS).is_file():
        paths = [folder / WEIGHTS]
    elif (folder / SHARD_INDEX).is_file():
        shards = _read_json(folder / SHARD_INDEX).get("weight_map", {}).values()
        paths = sorted({folder / str(shard) for shard in shards})
    else:
        pickled = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
        raise EncoderError(
            "the model folder has no safetensors weights"
            + (", only pickle files, which can run code" if pickled else ""),
            where=str(folder),
            found=", ".join(pickled) if pickled else _listing(folder),
            expected=f"{WEIGHTS}, or {SHARD_INDEX} with its shards",
            action="convert the weights with save_pretrained(folder, safe_serialization=True) where you trust their origin"
            if pickled
            else "name the folder that holds the weights",
        )
    for path in paths:
        try:
            with safe_open(path, framework="numpy") as tensors:
                tensors.keys()
        except (OSError, SafetensorError) as error:
            raise EncoderError(
                f"the weights {path.name} are missing or cut off",
                where=str(path),
                found=error,
                expected="a complete safetensors file",
                action="copy the model folder again",
            ) from error
    return paths


def read_pooling(folder: Path) -> str:
    """`mean` or `cls` as the model's sentence-transformers files say, mean where it has none; raises EncoderError."""
    modules = _read_list(folder / "modules.json") if (folder / "modules.json").is_file() else []
    kinds = {str(module.get("type", "")).rsplit(".", 1)[-1]: str(module.get("path", "")) for module in modules}
    path = folder / kinds.get("Pooling", "1_Pooling") / "config.json"
    modes: list[str] = ["mean"]
    if path.is_file():
        pooling = _read_json(path)
        stated = pooling.get("pooling_mode")
        old = [
            key.removeprefix("pooling_mode_") for key, on in pooling.items() if key.startswith("pooling_mode_") and on
        ]
        modes = [stated] if isinstance(stated, str) else stated or [mode.split("_tok")[0] for mode in old] or modes
    strange = sorted(set(kinds) - {"Transformer", "Pooling", "Normalize", "Dropout"})
    if strange or len(modes) != 1 or modes[0] not in ("mean", "cls"):
        raise EncoderError(
            "the model turns token vectors into a text vector in a way that is not supported",
            where=str(path),
            found=", ".join(strange or modes),
            expected="mean or cls pooling and no layer after it",
            action='set encoder.pooling = "mean" or "cls" to use the encoder that way all the same',
        )
    return modes[0]


def _read_config(folder: Path) -> dict[str, Any]:
    """config.json of an encoder that needs no code of its own; raises EncoderError."""
    path = folder / "config.json"
    if not path.is_file():
        raise EncoderError(
            "the model folder has no config.json",
            where=str(folder),
            found=_listing(folder),
            expected="config.json, a tokenizer and safetensors weights",
            action="name the folder that holds the model itself",
        )
    config = _read_json(path)
    for file in (path, folder / "tokenizer_config.json"):
        if file.is_file() and "auto_map" in _read_json(file):
            raise EncoderError(
                "the model wants to run code that comes with it (auto_map), which is never done",
                where=str(file),
                found=_read_json(file)["auto_map"],
                expected="an architecture that transformers has built in",
                action="choose a model without remote code",
            )
    return config


def _width(config: dict[str, Any], folder: Path) -> int:
    """h. DistilBERT calls it `dim`; an encoder-decoder or a model without it is refused."""
    width = config.get("hidden_size", config.get("dim"))
    if config.get("is_encoder_decoder") or not isinstance(width, int) or "model_type" not in config:
        raise EncoderError(
            "the model is not a text encoder of the BERT family",
            where=str(folder / "config.json"),
            found=f"model_type {config.get('model_type')}, hidden_size {width}",
            expected="an encoder-only model such as BERT, RoBERTa, XLM-R, MPNet or DistilBERT",
            action="choose another model",
        )
    return width


def _usable_positions(config: dict[str, Any]) -> int:
    """Tokens that the position table can hold, unlimited where the model has none."""
    positions = int(config.get("max_position_embeddings") or 1_000_000)
    if config.get("model_type") in POSITION_OFFSET:
        positions -= int(config.get("pad_token_id") or 0) + 1
    return positions


def _read_json(path: Path) -> dict[str, Any]:
    return _parsed(path, dict)


def _read_list(path: Path) -> list[dict[str, Any]]:
    return _parsed(path, list)


def _parsed(path: Path, kind: type[T]) -> T:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, kind):
            raise ValueError(f"a JSON {type(content).__name__}")
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"{path.name} of the model cannot be read",
            where=str(path),
            found=error,
            expected=f"a JSON {kind.__name__} in UTF-8",
            action="copy the model folder again",
        ) from error
    return content


def _listing(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return (", ".join(names[:12]) + (" ..." if len(names) > 12 else "")) or "an empty folder"
