"""The encoder against transformers, one text at a time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding.files.identity import resolve_encoder
from recsys_spark.encoding.files.load import load_encoder
from recsys_spark.encoding.kernels.encoder import TextEncoder, plan_batches
from recsys_spark.encoding.kernels.spec import EncoderSpec
from recsys_spark.errors import EncoderError
from tests.encoding.kernels.backend_contract import TEXTS, one_by_one
from tests.tiny_encoder import tiny_encoder


def spec_of(folder: Path, **options: Any) -> EncoderSpec:
    return resolve_encoder(Encoder(model=str(folder), **{"backend": "torch-float32", **options}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def encoder(folder: Path) -> TextEncoder:
    return load_encoder(spec_of(folder), n_threads=1)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("batch_tokens", [1, 20, 4096])
def test_vectors_equal_transformers_one_by_one(folder: Path, pooling: str, batch_tokens: int) -> None:
    encoder = load_encoder(spec_of(folder, pooling=pooling, batch_tokens=batch_tokens), n_threads=1)
    vectors = encoder.encode(TEXTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, one_by_one(folder, TEXTS, pooling), atol=2e-6)


def test_max_length_cuts_as_transformers_does(folder: Path) -> None:
    encoder = load_encoder(spec_of(folder, max_length=8), n_threads=1)
    np.testing.assert_allclose(encoder.encode(TEXTS), one_by_one(folder, TEXTS, "mean", max_length=8), atol=2e-6)


def test_padding_and_truncation_of_the_tokenizer_file_are_ignored(folder: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    other = tiny_encoder(tmp_path)
    tokenizer = Tokenizer.from_file(str(other / "tokenizer.json"))
    tokenizer.enable_padding(length=32)
    tokenizer.enable_truncation(4)
    tokenizer.save(str(other / "tokenizer.json"))
    loaded = load_encoder(spec_of(other), n_threads=1)
    assert loaded.tokenise(TEXTS) == load_encoder(spec_of(folder), n_threads=1).tokenise(TEXTS)


def test_the_vocabulary_without_tokenizer_json_gives_the_same_tokens(encoder: TextEncoder, tmp_path: Path) -> None:
    other = tiny_encoder(tmp_path)
    (other / "tokenizer.json").unlink()
    assert load_encoder(spec_of(other), n_threads=1).tokenise(TEXTS) == encoder.tokenise(TEXTS)


def test_half_precision_weights_are_computed_in_float32(tmp_path: Path) -> None:
    half = load_encoder(spec_of(tiny_encoder(tmp_path, dtype=np.float16)), n_threads=1)
    assert {parameter.dtype for parameter in half.backend.model.parameters()} == {torch.float32}
    np.testing.assert_allclose(half.encode(TEXTS), one_by_one(Path(half.spec.path), TEXTS, "mean"), atol=2e-6)


def test_chinese_words_are_known_tokens(encoder: TextEncoder) -> None:
    assert 1 not in encoder.tokenise(["购买浏览"])[0]
    buy, browse = encoder.encode(["购买", "浏览"])
    assert buy @ browse < 0.999


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text(st.characters(codec=None), max_size=40), max_size=12), budget=st.integers(1, 300))
def test_any_unicode_gives_unit_vectors_in_row_order(encoder: TextEncoder, texts: list[str], budget: int) -> None:
    batched = TextEncoder(
        encoder.backend, encoder.tokenizer, replace(encoder.spec, batch_tokens=budget), encoder.pad_id
    )
    vectors = batched.encode(texts)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    for row, text in enumerate(texts):
        np.testing.assert_allclose(vectors[row], encoder.encode([text])[0], atol=2e-6)


@given(lengths=st.lists(st.integers(0, 60), max_size=40), budget=st.integers(1, 200))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = [rows.tolist() for rows in plan_batches(np.array(lengths, np.int64), budget)]
    assert sorted(row for rows in batches for row in rows) == [row for row, length in enumerate(lengths) if length]
    for rows in batches:
        assert len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= budget
    order = [(-lengths[row], row) for rows in batches for row in rows]
    assert order == sorted(order)


def test_missing_tensors_are_refused(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(EncoderError, match="do not belong"):
        load_encoder(spec_of(folder), n_threads=1)


def test_unknown_architecture_is_a_clear_error(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "no-such-model"}))
    with pytest.raises(EncoderError, match="cannot load"):
        load_encoder(spec_of(folder), n_threads=1)


def test_last_pooling_ignores_padding(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path)
    encoder = load_encoder(spec_of(folder, pooling="last"), 1)
    together = encoder.encode(["red", "red cotton dress of jazz"])
    alone = np.vstack([encoder.encode(["red"]), encoder.encode(["red cotton dress of jazz"])])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    first = load_encoder(spec_of(folder, pooling="cls"), 1).encode(["red"])
    assert not np.allclose(first, together[:1], atol=1e-2)


def test_vectors_keep_their_length_where_they_are_not_normalised(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path)
    specs = [spec_of(folder, normalise=on) for on in (True, False)]
    unit, raw = (load_encoder(spec, 1).encode(["red cotton dress"])[0] for spec in specs)
    assert np.linalg.norm(raw) != pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(raw / np.linalg.norm(raw), unit, atol=1e-6)
