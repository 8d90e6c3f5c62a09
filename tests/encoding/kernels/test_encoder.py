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

from recsys_spark.config.sections import Encoder
from recsys_spark.encoding.files.identity import resolve_encoder
from recsys_spark.encoding.files.load import load_encoder
from recsys_spark.encoding.kernels.encoder import TextEncoder, plan_batches
from recsys_spark.encoding.kernels.spec import EncoderSpec
from recsys_spark.errors import EncoderError
from recsys_spark.worker import process as workers
from tests.tiny_encoder import WIDTH, tiny_encoder

TEXTS = ["red cotton dress", "", "space horror", "购买 浏览", "a" * 300, "jazz", "blue jazz album of the rock & comedy"]


def spec_of(folder: Path, **options: Any) -> EncoderSpec:
    return resolve_encoder(Encoder(model=str(folder), **{"backend": "torch-float32", **options}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def encoder(folder: Path) -> TextEncoder:
    return load_encoder(spec_of(folder), n_threads=1)


def one_by_one(folder: Path, texts: list[str], pooling: str, max_length: int = 64) -> np.ndarray:
    """The oracle: transformers' own tokenizer and model, one text at a time, pooled by hand."""
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder).float().eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    vectors = []
    for text in texts:
        tokens = tokenizer(text, return_tensors="pt", truncation=True, max_length=max_length)
        with torch.inference_mode():
            hidden = model(**tokens).last_hidden_state[0].double().numpy()
        pooled = hidden[0] if pooling == "cls" else hidden.mean(0)
        vectors.append(pooled / np.linalg.norm(pooled))
    return np.array(vectors)


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


def test_padding_and_cut_of_the_tokenizer_file_are_overruled(folder: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    other = tiny_encoder(tmp_path)
    tokenizer = Tokenizer.from_file(str(other / "tokenizer.json"))
    tokenizer.enable_padding(length=32)
    tokenizer.enable_truncation(4)
    tokenizer.save(str(other / "tokenizer.json"))
    loaded = load_encoder(spec_of(other), n_threads=1)
    assert loaded.tokenise(TEXTS) == load_encoder(spec_of(folder), n_threads=1).tokenise(TEXTS)


def test_vocabulary_alone_gives_the_same_tokens(encoder: TextEncoder, tmp_path: Path) -> None:
    other = tiny_encoder(tmp_path)
    (other / "tokenizer.json").unlink()
    assert load_encoder(spec_of(other), n_threads=1).tokenise(TEXTS) == encoder.tokenise(TEXTS)


def test_half_precision_weights_are_computed_in_float32(tmp_path: Path) -> None:
    half = load_encoder(spec_of(tiny_encoder(tmp_path, dtype=np.float16)), n_threads=1)
    assert {parameter.dtype for parameter in half.backend.model.parameters()} == {torch.float32}
    np.testing.assert_allclose(half.encode(TEXTS), one_by_one(Path(half.spec.path), TEXTS, "mean"), atol=2e-6)


def test_chinese_is_read_not_unknown(encoder: TextEncoder) -> None:
    assert 1 not in encoder.tokenise(["购买浏览"])[0]
    buy, browse = encoder.encode(["购买", "浏览"])
    assert buy @ browse < 0.999


def test_no_texts_give_no_rows(encoder: TextEncoder) -> None:
    assert encoder.encode([]).shape == (0, WIDTH)


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


@pytest.mark.parametrize(
    "text",
    [
        "\ud83d",
        "a\udc00b",
        "x" * 2**20,
        "red " * 2**18,
        "\x00\ufffe",
        "",
        "  \n\t",
        "🙂👩‍👩‍👧",
        "שלום עולם",
        "red 购买 Дом مرحبا",
    ],
    ids=lambda text: ascii(text[:8]),
)
def test_hostile_texts_do_not_crash(encoder: TextEncoder, text: str) -> None:
    assert np.linalg.norm(encoder.encode([text, "jazz"]), axis=1) == pytest.approx([1, 1], abs=1e-6)


def test_a_text_without_a_token_gets_zeros_never_nan(encoder: TextEncoder) -> None:
    from tokenizers import processors

    bare = type(encoder.tokenizer).from_str(encoder.tokenizer.to_str())
    bare.post_processor = processors.Sequence([])
    vectors = TextEncoder(encoder.backend, bare, encoder.spec, 0).encode(["", "jazz"])
    assert not vectors[0].any()
    assert np.linalg.norm(vectors[1]) == pytest.approx(1)


@given(lengths=st.lists(st.integers(0, 60), max_size=40), budget=st.integers(1, 200))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = [rows.tolist() for rows in plan_batches(np.array(lengths, np.int64), budget)]
    assert sorted(row for rows in batches for row in rows) == [row for row, length in enumerate(lengths) if length]
    for rows in batches:
        assert len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= budget
    order = [(-lengths[row], row) for rows in batches for row in rows]
    assert order == sorted(order)


def test_tensors_that_are_not_there_are_never_drawn_at_random(tmp_path: Path) -> None:
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


def test_threads_are_limited(folder: Path) -> None:
    load_encoder(spec_of(folder), n_threads=1)
    assert torch.get_num_threads() == 1


def test_cache_makes_once_and_drops_the_longest_unused() -> None:
    made: list[int] = []

    def make(key: int) -> int:
        made.append(key)
        return key

    for key in [0, 0, *range(1, workers.MAX_KEPT), 0, workers.MAX_KEPT, 0]:
        workers.cached(("test", key), lambda key=key: make(key))
    assert made == [*range(workers.MAX_KEPT), workers.MAX_KEPT]
    assert workers.uses(("test", 0)) == 4
    assert workers.uses(("test", 1)) == 0


def test_cache_keeps_nothing_of_a_failure() -> None:
    with pytest.raises(ZeroDivisionError):
        workers.cached("fails", lambda: 1 / 0)
    assert workers.cached("fails", lambda: 1) == 1


@pytest.mark.parametrize("backend", ["torch-bfloat16", "torch-float16"])
def test_half_precision_stays_near_float32_and_has_vectors_of_its_own(tmp_path: Path, backend: str) -> None:
    folder = tiny_encoder(tmp_path)
    whole, half = (spec_of(folder, backend=name) for name in ("torch-float32", backend))
    assert half.encoder_id != whole.encoder_id
    exact, rounded = (load_encoder(spec, 1).encode(["red cotton dress", "jazz"]) for spec in (whole, half))
    assert (exact * rounded).sum(1) == pytest.approx([1, 1], abs=1e-2)
    assert not np.array_equal(exact, rounded)


def test_last_pooling_takes_the_last_token_of_each_text_whatever_is_padded(tmp_path: Path) -> None:
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
