"""How a model turns token vectors into a text vector, as its sentence-transformers files say."""

from __future__ import annotations

from pathlib import Path

from recsys_spark.encoding.files.checks import read_json, read_list
from recsys_spark.encoding.kernels.pooling import POOLINGS
from recsys_spark.errors import EncoderError

DEFAULT = "mean"
NO_LAYER_AFTER = {"Transformer", "Pooling", "Normalize", "Dropout"}
"""Modules of sentence-transformers after which a text vector is what this project computes."""


def read_pooling(folder: Path, *, prefixed: bool = False) -> str:
    """Return the name in POOLINGS that the model's files state, DEFAULT where they state nothing; raises EncoderError.

    ``prefixed`` says that texts get a prefix. Some models leave the prefix out of the mean, which is not done here.
    """
    modules = read_list(folder / "modules.json") if (folder / "modules.json").is_file() else []
    kinds = {str(module.get("type", "")).rsplit(".", 1)[-1]: str(module.get("path", "")) for module in modules}
    path = folder / kinds.get("Pooling", "1_Pooling") / "config.json"
    names = {pooling.mode: name for name, pooling in POOLINGS.items()} | {name: name for name in POOLINGS}
    found = [DEFAULT]
    strange = sorted(set(kinds) - NO_LAYER_AFTER)
    if path.is_file():
        content = read_json(path)
        found = [names.get(mode, mode) for mode in _modes(content)] or found
        if prefixed and content.get("include_prompt") is False and found == ["mean"]:
            strange.append("a mean without the prefix (include_prompt false)")
    if strange or len(found) != 1 or found[0] not in POOLINGS:
        raise EncoderError(
            "the model turns token vectors into a text vector in a way that is not supported",
            where=str(path),
            found=", ".join(strange or found),
            expected=f"one pooling of {', '.join(POOLINGS)}, and no layer after it",
            action="to use the encoder with another pooling, set encoder.pooling to one of "
            + ", ".join(f'"{name}"' for name in POOLINGS),
        )
    return found[0]


def _modes(content: dict[str, object]) -> list[str]:
    """Return the modes that a pooling file states, by `pooling_mode` or, in old files, by a flag per mode."""
    stated = content.get("pooling_mode")
    if isinstance(stated, str):
        return [stated]
    if isinstance(stated, list) and stated:
        return [str(mode) for mode in stated]
    flags = [key.removeprefix("pooling_mode_") for key, on in content.items() if key.startswith("pooling_mode_") and on]
    # `mean_tokens`, `cls_token`, `lasttoken`
    return [flag.split("_tok")[0] for flag in flags]
