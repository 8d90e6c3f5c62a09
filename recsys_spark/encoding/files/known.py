"""What else lies in a model's folder: adapters are refused, and files that nobody reads are named."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from recsys_spark.encoding.files.checks import listed
from recsys_spark.errors import EncoderError

log = logging.getLogger("recsys_spark")

ADAPTER = "adapter_config.json"
IGNORED = (
    ".*",
    "*/.*",
    "__pycache__/*",
    "*.md",
    "*.rst",
    "*.pdf",
    "*.png",
    "*.jpg",
    "*.svg",
    "*.ipynb",
    "*.csv",
    "*.tsv",
    "*.log",
    "LICENSE*",
    "NOTICE*",
    "USE_POLICY*",
    "SHA256SUMS",
    "*.bin",
    "*.pt",
    "*.pth",
    "*.ckpt",
    "*.pkl",
    "*.h5",
    "*.msgpack",
    "*.ot",
    "*.onnx",
    "*.onnx_data",
    "*.gguf",
    "*.tflite",
    "onnx/*",
    "openvino/*",
    "coreml/*",
    "eval/*",
    "runs/*",
    "generation_config.json",
    "trainer_state.json",
    "training_args.json",
    "data_config.json",
    "train_script.py",
    "tokenizer.model.v3",
)
"""Patterns of files that change no vector: documents, the same weights in other formats, and traces of a training."""


def refuse_adapters(root: Path) -> None:
    """Raise EncoderError where the transformer's folder has an adapter, alone or beside whole weights.

    sentence-transformers adds such an adapter to its base model, which needs the library peft.
    """
    path = root / ADAPTER
    if path.is_file():
        raise EncoderError(
            "the model folder holds an adapter (LoRA or another of peft), which is not supported",
            where=str(path),
            found=listed(file.name for file in root.iterdir() if file.name.startswith("adapter_")),
            expected="the weights of the whole model, and no adapter",
            action="merge it where peft is installed: AutoPeftModel...merge_and_unload().save_pretrained(folder); or, "
            "where the weights are merged already, delete the adapter_ files",
        )


def warn_unread(folder: Path, read: Iterable[str]) -> list[str]:
    """Return the names of files that are neither ``read`` nor known to change no vector, and log a warning."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - set(read)
    unread = sorted(name for name in names if not any(fnmatchcase(name, pattern) for pattern in IGNORED))
    if unread:
        log.warning("encoder: these files of %s are not read: %s", folder, listed(unread))
    return unread
