"""Tests of model folders: resolve one, change a JSON file of it, and get the message that refuses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding.files.identity import resolve_encoder
from recsys_spark.encoding.kernels.spec import EncoderSpec
from recsys_spark.errors import EncoderError

TRUSTED: dict[str, Any] = {"trust_remote_code": True, "revision": "read on 2026-11-24"}


def resolve(model: object, **options: Any) -> EncoderSpec:
    return resolve_encoder(Encoder(model=str(model), **options))


def rewrite(path: Path, **changes: object) -> None:
    path.parent.mkdir(exist_ok=True)
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(content | changes))


def refusal(model: object, **options: Any) -> str:
    with pytest.raises(EncoderError) as caught:
        resolve(model, **options)
    assert caught.value.action
    assert caught.value.expected
    return str(caught.value)
