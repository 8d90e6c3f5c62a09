"""What sentence_bert_config.json says: lower-casing, the longest text, and other ways of running the transformer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys_spark.encoding.files.checks import read_json
from recsys_spark.errors import EncoderError

log = logging.getLogger("recsys_spark")

NAMES = (
    "sentence_bert_config.json",
    *(
        f"sentence_{kind}_config.json"
        for kind in ("roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
    ),
)
"""sentence-transformers reads the first of these that is not empty."""
TOKENIZER_CONFIG = "tokenizer_config.json"
USUAL: dict[str, Any] = {
    "transformer_task": "feature-extraction",
    "module_output_name": "token_embeddings",
    "query_expansion": None,
    "tokenizer_name_or_path": None,
}
"""The only value of each key under which token vectors are what this project computes."""
USUAL_TEXT = {"method": "forward", "method_output_name": "last_hidden_state"}
ARGUMENTS = {
    "model": (
        *("torch_dtype", "dtype", "attn_implementation", "device_map", "use_safetensors", "low_cpu_mem_usage"),
        "add_pooling_layer",
    ),
    "tokenizer": ("model_max_length", "padding_side", "use_fast", "clean_up_tokenization_spaces"),
    "config": ("use_cache", "torch_dtype", "dtype"),
}
"""Arguments of transformers that leave the vectors in float32 as they are, or are honoured. A file may name others."""
NEW_NAMES = {"model": "model_kwargs", "tokenizer": "processor_kwargs", "config": "config_kwargs"}
HARMLESS = {"max_seq_length", "do_lower_case", "modality_config", "processing_kwargs", "unpad_inputs"}
OF_A_TASK = {"query_length", "document_length"}
MIN_LENGTH = 3
"""Two special tokens and one of the text."""


@dataclass(frozen=True)
class Sentence:
    """How the model's files want texts to be read."""

    lower_case: bool = False
    max_length: int | None = None
    """The most tokens of a text, special ones included; None where no file limits them."""
    file: str = ""
    """The file that was read; empty where there is none."""


def read_sentence(root: Path, *, listed: bool) -> Sentence:
    """Return how the transformer in ``root`` reads texts; raises EncoderError where it runs in an unsupported way.

    ``listed`` says whether the model has a modules.json: without it sentence-transformers ignores these files. So they
    are ignored here too, or refused where they ask for other vectors.
    """
    path, content = next(
        ((path, content) for name in NAMES if (path := root / name).is_file() and (content := read_json(path))),
        (root / NAMES[0], {}),
    )
    if not listed:
        _check_unlisted(path, content)
        return Sentence(max_length=_of_tokenizer(root))
    _check_usual(path, content)
    arguments = _arguments(path, content)
    length = arguments.get("model_max_length", content.get("max_seq_length"))
    unknown = sorted(set(content) - HARMLESS - OF_A_TASK - set(USUAL) - _names_of_arguments())
    if unknown:
        log.warning("encoder: unknown keys of %s are ignored: %s", path, ", ".join(unknown))
    if lengths := sorted(key for key in OF_A_TASK if content.get(key) is not None):
        log.warning("encoder: %s of %s apply to its tasks only and are ignored", " and ".join(lengths), path)
    return Sentence(
        lower_case=bool(content.get("do_lower_case")),
        max_length=_of_tokenizer(root) if length is None else _length(path, "max_seq_length", length),
        file=path.name if content else "",
    )


def _check_unlisted(path: Path, content: Mapping[str, Any]) -> None:
    if content.get("do_lower_case"):
        raise incomplete(path, "do_lower_case true")
    if content:
        log.warning("encoder: %s is ignored, as in sentence-transformers, because modules.json is missing", path)


def incomplete(path: Path, found: str) -> EncoderError:
    """Return the error for a file that changes the vectors, in a folder without modules.json."""
    return EncoderError(
        f"the model folder has {path.name} but no modules.json, without which sentence-transformers ignores it",
        where=str(path),
        found=found,
        expected="the whole folder as sentence-transformers saved it, or a bare transformer",
        action=f"copy modules.json of the model too, or delete {path.name}",
    )


def _check_usual(path: Path, content: Mapping[str, Any]) -> None:
    """Raise EncoderError where token vectors are something else than the transformer's last layer of the text."""
    strange = [f"{key} {content[key]}" for key, usual in USUAL.items() if content.get(key, usual) not in (usual, None)]
    ways = content.get("modality_config") or {}
    if "message" in ways or (ways and ways.get("text") != USUAL_TEXT):
        strange.append(f"modality_config {ways}")
    processing = content.get("processing_kwargs") or {}
    strange += [f"processing_kwargs.{key} {processing[key]}" for key in ("text", "common") if processing.get(key)]
    if strange:
        raise _unsupported(path, "; ".join(strange), "text that goes through the transformer to its last layer")


def _names_of_arguments() -> set[str]:
    return {f"{kind}_args" for kind in ARGUMENTS} | set(NEW_NAMES.values())


def _arguments(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the tokenizer; raises EncoderError for arguments that may change the vectors."""
    found: dict[str, dict[str, Any]] = {}
    for kind, known in ARGUMENTS.items():
        given = content.get(f"{kind}_args") or content.get(NEW_NAMES[kind]) or {}
        # sentence-transformers itself drops it: a file cannot vouch for its own code.
        found[kind] = {key: value for key, value in given.items() if key != "trust_remote_code"}
        if strange := sorted(set(found[kind]) - set(known)):
            named = ", ".join(f"{kind}_args.{key} {given[key]}" for key in strange)
            raise _unsupported(path, named, f"none of them, or only {', '.join(known)}")
    return found["tokenizer"]


def _unsupported(path: Path, found: str, expected: str) -> EncoderError:
    return EncoderError(
        f"{path.name} of the model asks for a way of reading texts that is not supported",
        where=str(path),
        found=found,
        expected=expected,
        action="choose another model, or save this one without these settings and measure whether it is as good",
    )


def _of_tokenizer(root: Path) -> int | None:
    """Return the longest text by tokenizer_config.json, which newer versions of sentence-transformers write."""
    path = root / TOKENIZER_CONFIG
    content = read_json(path) if path.is_file() else {}
    length = content.get("model_max_length", content.get("max_len"))
    return None if length is None else _length(path, "model_max_length", length)


def _length(path: Path, key: str, length: object) -> int:
    if isinstance(length, bool) or not isinstance(length, int | float) or not length >= MIN_LENGTH:
        raise EncoderError(
            f"{key} of the model is not a number of tokens",
            where=str(path),
            found=length,
            expected=f"a whole number, at least {MIN_LENGTH}",
            action=f"correct {key}, or delete it where the model has no limit",
        )
    return int(length)
