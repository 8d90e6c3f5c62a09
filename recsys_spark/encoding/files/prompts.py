"""What config_sentence_transformers.json says: the prompt before every text, and how many numbers a vector keeps."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding.files.checks import read_json
from recsys_spark.encoding.files.sentence import incomplete
from recsys_spark.errors import EncoderError

log = logging.getLogger("recsys_spark")

NAME = "config_sentence_transformers.json"
KNOWN = {"__version__", "prompts", "default_prompt_name", "similarity_fn_name", "truncate_dim", "model_type"}
TEXT_MODEL = "SentenceTransformer"
LENGTH_COUNTS = ("dot", "euclidean", "manhattan")
PREFIXES = ("item_prefix", "user_prefix")


@dataclass(frozen=True)
class Prompts:
    """What the file asks of every text vector."""

    prompt: str = ""
    """Put before every text."""
    truncate_dim: int | None = None
    """How many numbers of a vector are kept, from its beginning."""


def read_prompts(folder: Path, cfg: Encoder, *, listed: bool) -> Prompts:
    """Return what the file of the model in ``folder`` asks for; raises EncoderError where that is not supported.

    Prefixes of the configuration replace the model's default prompt, also where they are set to nothing. ``listed``
    says whether the model has a modules.json: without it sentence-transformers ignores the file.
    """
    path = folder / NAME
    content = read_json(path) if path.is_file() else {}
    name, prompt = _default_prompt(path, content)
    dim = _truncate_dim(path, content)
    if not listed:
        if dim or (prompt and not _given(cfg)):
            raise incomplete(path, f"truncate_dim {dim}" if dim else f"the default prompt {prompt!r}")
        return Prompts()
    kind = content.get("model_type") or TEXT_MODEL
    if kind != TEXT_MODEL:
        raise EncoderError(
            "the model is not a model of text vectors",
            where=str(path),
            found=f"model_type {kind}",
            expected=TEXT_MODEL,
            action="choose a model that was saved as a SentenceTransformer",
        )
    _warn(path, content, cfg)
    return Prompts(_chosen(name, prompt, content.get("prompts") or {}, cfg), dim)


def _default_prompt(path: Path, content: Mapping[str, Any]) -> tuple[str, str]:
    """Return name and text of the default prompt, both empty where there is none; raises EncoderError."""
    name, prompts = content.get("default_prompt_name"), content.get("prompts") or {}
    if name is None:
        return "", ""
    text = prompts.get(name, 0) if isinstance(prompts, dict) else 0
    if not isinstance(text, str | None):
        raise EncoderError(
            "the model's default prompt does not exist",
            where=str(path),
            found=f"default_prompt_name {name!r}, prompts {prompts}",
            expected="the name of one of the prompts, and a text as its value",
            action="correct the file, or set default_prompt_name to null",
        )
    return str(name), text or ""


def _chosen(name: str, prompt: str, prompts: Mapping[str, Any], cfg: Encoder) -> str:
    """Return the default prompt unless the configuration sets a prefix, and log what applies."""
    given = _given(cfg)
    if not given and prompt:
        log.info("encoder: the model's default prompt %r stands before every text: %r", name, prompt)
        return prompt
    if prompt:
        log.info("encoder: %s replace the model's default prompt %r: %r", " and ".join(PREFIXES), name, prompt)
        if len(given) == 1:
            log.warning("encoder: only %s is set; the texts of the other side begin with no prompt", given[0])
    elif not given and any(prompts.values()):
        log.warning(
            "encoder: the model was trained with prompts, but none of them is its default: set encoder.item_prefix "
            "and encoder.user_prefix to one of %s, or both to an empty text",
            dict(prompts),
        )
    return ""


def _given(cfg: Encoder) -> list[str]:
    return [key for key in PREFIXES if key in cfg.model_fields_set]


def _truncate_dim(path: Path, content: Mapping[str, Any]) -> int | None:
    dim = content.get("truncate_dim")
    if dim is not None and (isinstance(dim, bool) or not isinstance(dim, int) or dim < 1):
        raise EncoderError(
            "truncate_dim of the model is not a number of coordinates",
            where=str(path),
            found=repr(dim),
            expected="a whole number, at least 1, or null",
            action="correct truncate_dim",
        )
    return dim


def _warn(path: Path, content: Mapping[str, Any], cfg: Encoder) -> None:
    if content.get("similarity_fn_name") in LENGTH_COUNTS and cfg.normalise:
        log.warning(
            "encoder: the model was trained for %s, where lengths count; encoder.normalise = false keeps them",
            content["similarity_fn_name"],
        )
    if unknown := sorted(set(content) - KNOWN):
        log.warning("encoder: unknown keys of %s are ignored: %s", path, ", ".join(unknown))
