"""The tokenizer of a model as transformers makes it, which may differ from tokenizer.json."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys_spark.encoding.files.checks import read_json
from recsys_spark.encoding.files.network import quiet
from recsys_spark.encoding.files.sentence import TOKENIZER_CONFIG
from recsys_spark.errors import EncoderError

log = logging.getLogger("recsys_spark")

TOKENIZER = "tokenizer.json"
OF_TOKENS = ("normalizer", "pre_tokenizer", "model", "added_tokens")
SHOWN = 3


@dataclass(frozen=True)
class Tokens:
    """What driver and workers must agree on, besides the files of the tokenizer."""

    differs: str = ""
    """A fingerprint of the tokenizer where its other files change what tokenizer.json says; else empty."""
    lower_case: bool = False
    """Whether texts must be lower-cased before: the model asks for it, and its tokenizer does not do it."""
    cut: str = "right"
    """The end at which long texts are cut."""


def read_tokens(root: Path, *, lower_case: bool, trusted: bool, n_known: int) -> Tokens:
    """Return how the tokenizer in ``root`` must be made; raises EncoderError where the model cannot use it.

    ``lower_case`` says that the model's files ask for lower case. The model has vectors for ``n_known`` tokens.
    """
    tokenizer = made_tokenizer(root, trusted)
    _check_ids(root, tokenizer, n_known)
    differs = ""
    if (root / TOKENIZER).is_file() and not _brings_code(root):
        stated = _steps(_of_file(root))
        if (steps := _steps(tokenizer)) != stated:
            differs = hashlib.sha256(steps.encode()).hexdigest()[:16]
    config = _config(root)
    if config.get("padding_side") == "left":
        log.info("encoder: padding_side left of %s is ignored: a text has the vector that it has alone", root)
    return Tokens(differs, lower_case and not _lowers(tokenizer), str(config.get("truncation_side") or "right"))


def load_tokenizer(root: Path, tokens: Tokens, max_length: int, trusted: bool) -> Any:
    """Return the `tokenizers.Tokenizer` that ``tokens`` describes; raises EncoderError."""
    plain = not tokens.differs and (root / TOKENIZER).is_file()
    tokenizer = _of_file(root) if plain else made_tokenizer(root, trusted)
    if tokens.differs:
        found = hashlib.sha256(_steps(tokenizer).encode()).hexdigest()[:16]
        if found != tokens.differs:
            raise EncoderError(
                "transformers makes another tokenizer of the model here than on the driver",
                where=str(root),
                found=f"fingerprint {found}",
                expected=f"fingerprint {tokens.differs}",
                action="install the same version of transformers on the driver and on every worker",
            )
    if tokens.lower_case:
        _put_lower_case_first(tokenizer)
    # A tokenizer.json may have its own padding and a shorter cut.
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length, direction=tokens.cut)
    return tokenizer


def made_tokenizer(root: Path, trusted: bool) -> Any:
    """Return the tokenizer as transformers makes it of all its files; raises EncoderError.

    Where transformers cannot, or code of the model would make it, tokenizer.json is taken as it is.
    """
    if (root / TOKENIZER).is_file() and _brings_code(root):
        return _of_file(root)
    from transformers import AutoTokenizer

    try:
        with quiet():
            made = AutoTokenizer.from_pretrained(
                str(root), local_files_only=True, trust_remote_code=trusted, use_fast=True
            )
            tokenizer, kinds = made.backend_tokenizer, made("text").get("token_type_ids") or []
    except Exception as error:
        if not (root / TOKENIZER).is_file():
            raise _not_made(root, error) from error
        log.warning("encoder: transformers cannot make the tokenizer, so %s is taken as it is: %s", TOKENIZER, error)
        return _of_file(root)
    if any(kinds):
        raise EncoderError(
            "the tokenizer marks the tokens of a single text as those of a second one, which is not supported",
            where=str(root / TOKENIZER),
            found=f"token_type_ids {kinds}",
            expected="token_type_ids 0",
            action="choose another model, or correct the post_processor of the tokenizer",
        )
    return tokenizer


def _of_file(root: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(root / TOKENIZER))
    except Exception as error:
        raise _not_made(root, error) from error


def _not_made(root: Path, error: Exception) -> EncoderError:
    return EncoderError(
        "the encoder's tokenizer cannot be loaded",
        where=str(root),
        found=f"{type(error).__name__}: {error}",
        expected="a fast tokenizer (tokenizer.json)",
        action="save the tokenizer once with AutoTokenizer.from_pretrained(...).save_pretrained(folder)",
    )


def _config(root: Path) -> dict[str, Any]:
    return read_json(root / TOKENIZER_CONFIG) if (root / TOKENIZER_CONFIG).is_file() else {}


def _brings_code(root: Path) -> bool:
    return "auto_map" in _config(root)


def _steps(tokenizer: Any) -> str:
    """Return all that the tokens of a single text depend on, as text."""
    content = json.loads(tokenizer.to_str())
    steps = {key: content.get(key) for key in OF_TOKENS}
    after = dict(content.get("post_processor") or {})
    # What it does with pairs of texts.
    after.pop("pair", None)
    return json.dumps(steps | {"post_processor": after})


def _check_ids(root: Path, tokenizer: Any, n_known: int) -> None:
    """Raise EncoderError for tokens beyond the model's table, which a text may contain."""
    ids = tokenizer.get_vocab(with_added_tokens=True)
    beyond = sorted((token_id, token) for token, token_id in ids.items() if token_id >= n_known)
    if beyond:
        shown = ", ".join(f"{token!r} is {token_id}" for token_id, token in beyond[:SHOWN])
        raise EncoderError(
            "the tokenizer has tokens that the model has no vectors for",
            where=str(root),
            found=f"{len(beyond)} tokens: {shown}",
            expected=f"token ids below {n_known:,}, the rows of the model's table of tokens",
            action="call model.resize_token_embeddings(len(tokenizer)) and train, or save the model with the tokenizer "
            "that it was trained with",
        )


def _lowers(tokenizer: Any) -> bool:
    """Return whether the tokenizer changes every letter to lower case itself."""
    return _has_lower_case(json.loads(tokenizer.to_str())["normalizer"])


def _has_lower_case(step: Any) -> bool:
    """
    >>> _has_lower_case({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]})
    True
    >>> _has_lower_case({"type": "BertNormalizer", "lowercase": False})
    False
    """
    if not isinstance(step, dict):
        return False
    inner = step.get("normalizers") or []
    return step.get("type") == "Lowercase" or step.get("lowercase") is True or any(map(_has_lower_case, inner))


def _put_lower_case_first(tokenizer: Any) -> None:
    from tokenizers.normalizers import Lowercase, Sequence

    own = tokenizer.normalizer
    tokenizer.normalizer = Lowercase() if own is None else Sequence([Lowercase(), own])
