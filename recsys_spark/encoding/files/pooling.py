"""How a model turns token vectors into a text vector, as its sentence-transformers files say."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recsys_spark.encoding.files.checks import read_json
from recsys_spark.encoding.files.modules import Modules
from recsys_spark.encoding.kernels.pooling import JOINED, POOLINGS
from recsys_spark.errors import EncoderError

log = logging.getLogger("recsys_spark")

DEFAULT, OF_A_DECODER = "mean", "last"
CONFIG = "config.json"
UNLISTED = "1_Pooling"
"""The usual folder, read where modules.json is missing."""
FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Keys of old files, in the order in which sentence-transformers joins the vectors of several modes."""


def read_pooling(folder: Path, modules: Modules, config: Mapping[str, Any]) -> tuple[str, bool]:
    """Return names in POOLINGS, with JOINED between several, and whether the tokens of a prompt count.

    ``config`` is config.json of the transformer. A model that states nothing takes the mean, or the last token if it
    is a decoder, as in sentence-transformers. Raises EncoderError for another pooling.
    """
    path = folder / (modules.pooling if modules.pooling is not None else UNLISTED) / CONFIG
    if modules.listed and (modules.pooling is None or not path.is_file()):
        raise _unsupported(path, "no Pooling in modules.json" if modules.pooling is None else "no such file")
    if not path.is_file():
        return (OF_A_DECODER if _is_decoder(folder, config) else DEFAULT), True
    content = read_json(path)
    names = {pooling.mode: name for name, pooling in POOLINGS.items()} | {name: name for name in POOLINGS}
    found = _modes(content)
    unknown = [mode for mode in found if mode not in names] + [
        key for key, on in content.items() if key.startswith("pooling_mode_") and on and key not in FLAGS
    ]
    if unknown:
        raise _unsupported(path, ", ".join(unknown))
    if not modules.listed:
        log.warning("encoder: %s has no modules.json; its pooling is read from %s", folder, path.parent.name)
    return JOINED.join(names[mode] for mode in found), content.get("include_prompt") is not False


def _modes(content: dict[str, Any]) -> list[str]:
    """Return the modes that a pooling file states, by `pooling_mode` or, in old files, by a flag per mode.

    >>> _modes({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True})
    ['cls', 'mean']
    """
    stated = content.get("pooling_mode")
    if isinstance(stated, str):
        return [stated]
    if isinstance(stated, list) and stated:
        return [str(mode) for mode in stated]
    return [mode for flag, mode in FLAGS.items() if content.get(flag)] or [DEFAULT]


def _is_decoder(folder: Path, config: Mapping[str, Any]) -> bool:
    """Return whether a bare transformer pools its last token; raises EncoderError where it wants a chat instead."""
    templates = [path for name in ("tokenizer_config.json", "chat_template.jinja") if (path := folder / name).is_file()]
    if any(path.suffix == ".jinja" or read_json(path).get("chat_template") for path in templates):
        raise _unsupported(folder, "no modules.json, and a chat template, which would surround every text")
    architectures = config.get("architectures") or [""]
    return str(architectures[0]).endswith("ForCausalLM") and config.get("is_causal") is not False


def _unsupported(path: Path, found: str) -> EncoderError:
    return EncoderError(
        "the model turns token vectors into a text vector in a way that is not supported",
        where=str(path),
        found=found,
        expected=f"one or several poolings of {', '.join(POOLINGS)}",
        action="to use the encoder with another pooling, set encoder.pooling to one of "
        + ", ".join(f'"{name}"' for name in POOLINGS),
    )
