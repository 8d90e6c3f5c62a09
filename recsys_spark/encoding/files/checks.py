"""Checks of a model folder before anything is loaded. Only JSON and headers of safetensors files are read here."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from recsys_spark.encoding.files.headers import headers
from recsys_spark.errors import EncoderError

T = TypeVar("T", dict[str, Any], list[dict[str, Any]])

WEIGHTS = "model.safetensors"
SHARD_INDEX = "model.safetensors.index.json"
CHECKSUMS = "SHA256SUMS"
VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
)
TOKENIZER_FILES = (*VOCABULARIES, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
EXPORTS = ("*.onnx", "*.xml", "*.gguf", "*.h5", "*.msgpack", "*.ot", "*.tflite")
KEPT = ("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors", CHECKSUMS)
CODE = ("*.py",)
LEFT = (
    *(".*", "*/.*", "onnx/*", "openvino/*", "*/*.safetensors"),
    *(f"*/*/*.{ending}" for ending in ("json", "txt", "model", "jinja")),
)
"""Patterns of the files of a model that are downloaded, copied and shipped; LEFT are exceptions, which are not, unless
they are weights of a module (`modules.weight_patterns`). An asterisk matches a slash too, as in huggingface_hub."""


def kept_patterns(trusted: bool) -> tuple[str, ...]:
    """Return patterns of the files that are taken; Python only where the configuration trusts the model's code."""
    return KEPT + CODE if trusted else KEPT


def is_kept(name: str, trusted: bool) -> bool:
    """Return whether loading may need a file, which is named relative to the model's folder.

    >>> [n for n in ("config.json", "1_Pooling/config.json", "pytorch_model.bin", "model.py") if is_kept(n, False)]
    ['config.json', '1_Pooling/config.json']
    """
    if any(fnmatchcase(name, pattern) for pattern in LEFT):
        return False
    return any(fnmatchcase(name, pattern) for pattern in kept_patterns(trusted))


def kept_files(folder: Path, trusted: bool, needed: Collection[str] = ()) -> list[str]:
    """Return the sorted names, relative to ``folder``, of the files that :func:`is_kept` and of those ``needed``."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if name in needed or is_kept(name, trusted))


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of the model, complete and readable; raises EncoderError."""
    if (folder / WEIGHTS).is_file():
        paths = [folder / WEIGHTS]
    elif (folder / SHARD_INDEX).is_file():
        paths = [folder / shard for shard in _shards(folder / SHARD_INDEX)]
    else:
        raise no_weights(str(folder), [path.relative_to(folder).as_posix() for path in folder.rglob("*")])
    for path in paths:
        headers(path)
    return paths


def _shards(index: Path) -> list[str]:
    """Return the names of the shards, which must lie in the model's folder; raises EncoderError."""
    shards = read_json(index).get("weight_map")
    names = sorted({str(shard) for shard in shards.values()}) if isinstance(shards, dict) else []
    strange = [name for name in names if Path(name).name != name or "\\" in name or not name.endswith(".safetensors")]
    if strange or not names:
        raise EncoderError(
            "the index of the weights names files that are not safetensors files next to it",
            where=str(index),
            found=", ".join(strange) or "no shard",
            expected="a weight_map with plain names such as model-00001-of-00002.safetensors",
            action="copy the model folder again from where you trust it",
        )
    return names


def no_weights(where: str, names: Iterable[str]) -> EncoderError:
    """Return the error for a folder, an address or a hub model whose files ``names`` include no safetensors weights."""
    names = sorted(name for name in names if not name.startswith(".") and "/." not in name)
    exported = [name for name in names if any(fnmatchcase(name, pattern) for pattern in EXPORTS)]
    pickled = [
        name
        for name in names
        if any(fnmatchcase(name, pattern) for pattern in PICKLES) and not name.startswith("openvino")
    ]
    why, action = "", "name the folder that holds the weights"
    if exported:
        why, action = ", only exports for other libraries", "take the model as it was before the export"
    if pickled:
        why = ", only pickle files, which can run code and are never opened"
        action = (
            "convert the weights with save_pretrained(folder, safe_serialization=True) where you trust their origin"
        )
    return EncoderError(
        f"the model folder has no safetensors weights{why}",
        where=where,
        found=", ".join(pickled or exported) or listed(names),
        expected=f"{WEIGHTS}, or {SHARD_INDEX} with its shards",
        action=action,
    )


def check_tokenizer(folder: Path) -> None:
    """Raise EncoderError where the folder has no vocabulary."""
    if not any((folder / name).is_file() for name in VOCABULARIES):
        raise EncoderError(
            "the model folder has no tokenizer",
            where=str(folder),
            found=listed(path.name for path in folder.iterdir()),
            expected="tokenizer.json, or a vocabulary such as vocab.txt or sentencepiece.bpe.model",
            action="copy the tokenizer files of the model next to its weights",
        )


def read_config(folder: Path, trusted: bool) -> dict[str, Any]:
    """Return config.json of an encoder; raises EncoderError where the encoder has code that is not ``trusted``."""
    path = folder / "config.json"
    if not path.is_file():
        raise EncoderError(
            "the model folder has no config.json",
            where=str(folder),
            found=listed(path.name for path in folder.iterdir()),
            expected="config.json, a tokenizer and safetensors weights",
            action="name the folder that holds the model itself",
        )
    config = read_json(path)
    for file in (path, folder / "tokenizer_config.json"):
        if file.is_file() and "auto_map" in (content := read_json(file)):
            _check_code(file, content["auto_map"], trusted)
    return config


def _check_code(file: Path, auto_map: object, trusted: bool) -> None:
    """Raise EncoderError unless the code is trusted and in the folder, where it is part of the fingerprint."""
    if not trusted:
        raise EncoderError(
            "the model wants to run code that comes with it (auto_map), which is refused",
            where=str(file),
            found=auto_map,
            expected="an architecture that transformers has built in",
            action="choose a model without remote code, or read its code, then set encoder.revision to the version "
            "that you read and encoder.trust_remote_code = true",
        )
    entries = auto_map.values() if isinstance(auto_map, dict) else [auto_map]
    # A tokenizer names a slow and a fast class, either of which may be null.
    classes = [
        name for entry in entries for name in (entry if isinstance(entry, list) else [entry]) if name is not None
    ]
    modules = [str(name).rpartition(".")[0] for name in classes]
    elsewhere = [str(name) for name in classes if "--" in str(name) or "/" in str(name)]
    missing = [f"{module}.py" for module in modules if not (file.parent / f"{module}.py").is_file()]
    if elsewhere or missing:
        raise EncoderError(
            "the code of the model is not in its folder",
            where=str(file),
            found=f"code of another repository: {', '.join(elsewhere)}" if elsewhere else f"no {', no '.join(missing)}",
            expected="every module that auto_map names, next to config.json: executors download nothing",
            action="copy the modules into the folder and name them in auto_map without a repository",
        )


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object of the model; raises EncoderError."""
    return _parsed(path, dict)


def read_list(path: Path) -> list[dict[str, Any]]:
    """Return a JSON list of objects; raises EncoderError."""
    items = _parsed(path, list)
    return [item for item in items if isinstance(item, dict)]


def _parsed(path: Path, kind: type[T]) -> T:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, kind):
            raise ValueError(f"a JSON {type(content).__name__}")
    except (OSError, ValueError, RecursionError) as error:
        raise EncoderError(
            f"{path.name} of the model cannot be read",
            where=str(path),
            found=error,
            expected=f"a JSON {kind.__name__} in UTF-8",
            action="copy the model folder again",
        ) from error
    return content


def listed(names: Iterable[str]) -> str:
    """Return the first names of a folder for a message."""
    ordered: Sequence[str] = sorted(names)
    return (", ".join(ordered[:12]) + (" ..." if len(ordered) > 12 else "")) or "an empty folder"
