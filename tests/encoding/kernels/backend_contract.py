"""What every backend of the encoder must keep. A test of a backend inherits it and says how exact the backend is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from tokenizers import processors

from recsys_spark.encoding.files.load import load_encoder
from recsys_spark.encoding.kernels.encoder import TextEncoder
from recsys_spark.encoding.kernels.spec import EncoderSpec
from recsys_spark.numerics.arrays import F32
from tests.encoding.model_folders import resolve, rewrite
from tests.tiny_encoder import WIDTH, tiny_encoder

TEXTS = ["red cotton dress", "", "space horror", "购买 浏览", "a" * 300, "jazz", "blue jazz album of the rock & comedy"]
ODD = {
    "empty": "",
    "only whitespace": " \t\r\n\u00a0\u3000",
    "a megabyte": "red cotton dress " * 2**16,
    "a megabyte in one word": "x" * 2**20,
    "a megabyte without a token": "\u200b" * 2**20,
    "half a surrogate pair": "jazz \ud83d",
    "two halves in the wrong order": "\udc00\ud83d jazz",
    "control characters": "\x00\x1b[31m\ufffe",
    "emoji": "🙂 album 👩‍👩‍👧 🏳️‍🌈",
    "right to left": "שלום עולם مرحبا \u202egame\u202c",
    "mixed scripts": "red 购买 Дом مرحبا ドレス",
}


def cosines(one: F32, other: F32) -> Any:
    return (one.astype(np.float64) * other).sum(1)


class BackendContract:
    """Inherit it in a class whose name begins with Test, and set the members."""

    backend: str
    """What `encoder.backend` is set to."""
    network: Mapping[str, Any] = MappingProxyType({})
    """Keys of config.json that make another network of the tiny BERT."""
    kind: type
    """The class that computes."""
    near: float
    """Least cosine between a text's vectors with other batch-mates."""
    exact: float
    """Least cosine with the vectors of transformers in float32, one text at a time."""

    @pytest.fixture(scope="class")
    def spec(self, tmp_path_factory: pytest.TempPathFactory) -> EncoderSpec:
        folder = tiny_encoder(tmp_path_factory.mktemp("encoder"))
        rewrite(folder / "config.json", **self.network)
        return resolve(folder, backend=self.backend)

    @pytest.fixture(scope="class")
    def encoder(self, spec: EncoderSpec) -> TextEncoder:
        return load_encoder(spec, n_threads=1)

    @pytest.fixture(scope="class")
    def vectors(self, encoder: TextEncoder) -> F32:
        return encoder.encode(TEXTS)

    def test_it_is_the_class_that_computes(self, encoder: TextEncoder) -> None:
        assert type(encoder.backend) is self.kind

    def test_vectors_are_float32_of_the_width_and_of_length_1(self, vectors: F32) -> None:
        assert (vectors.dtype, vectors.shape) == (np.float32, (len(TEXTS), WIDTH))
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)

    def test_no_texts_give_no_rows(self, encoder: TextEncoder) -> None:
        assert encoder.encode([]).shape == (0, WIDTH)

    def test_the_same_texts_give_the_same_bits_also_after_loading_again(
        self, encoder: TextEncoder, vectors: F32, spec: EncoderSpec
    ) -> None:
        assert np.array_equal(encoder.encode(TEXTS), vectors)
        assert np.array_equal(load_encoder(spec, n_threads=1).encode(TEXTS), vectors)

    def test_another_order_gives_the_same_vectors_in_that_order(self, encoder: TextEncoder, vectors: F32) -> None:
        order = np.random.default_rng(1).permutation(len(TEXTS))
        assert cosines(encoder.encode([TEXTS[row] for row in order]), vectors[order]).min() > self.near

    @pytest.mark.parametrize("batch_tokens", [1, 20, 4096])
    def test_a_vector_does_not_depend_on_the_batch(self, encoder: TextEncoder, vectors: F32, batch_tokens: int) -> None:
        batched = self.like(encoder, batch_tokens=batch_tokens)
        assert cosines(batched.encode(TEXTS), vectors).min() > self.near

    def test_vectors_are_near_transformers_in_float32(self, vectors: F32, spec: EncoderSpec) -> None:
        assert cosines(vectors, one_by_one(Path(spec.path), TEXTS)).min() > self.exact

    @pytest.mark.parametrize("text", ODD.values(), ids=ODD)
    def test_an_odd_text_has_a_vector_and_leaves_the_others_unchanged(
        self, encoder: TextEncoder, vectors: F32, text: str
    ) -> None:
        encoded = encoder.encode_each([*TEXTS[:2], text, *TEXTS[2:]])
        assert not encoded.reasons
        assert np.linalg.norm(encoded.vectors[2]) == pytest.approx(1, abs=1e-6)
        assert cosines(np.delete(encoded.vectors, 2, axis=0), vectors).min() > self.near

    def test_a_text_without_a_token_gets_zeros(self, encoder: TextEncoder) -> None:
        bare = type(encoder.tokenizer).from_str(encoder.tokenizer.to_str())
        bare.post_processor = processors.Sequence([])
        vectors = TextEncoder(encoder.backend, bare, encoder.spec, 0).encode(["", "jazz"])
        assert not vectors[0].any()
        assert np.linalg.norm(vectors[1]) == pytest.approx(1)

    def like(self, encoder: TextEncoder, **changes: Any) -> TextEncoder:
        return TextEncoder(encoder.backend, encoder.tokenizer, replace(encoder.spec, **changes), encoder.pad_id)


def one_by_one(folder: Path, texts: list[str], pooling: str = "mean", max_length: int = 64) -> np.ndarray:
    """The oracle: tokenizer and model of transformers, one text at a time, pooled by hand."""
    import torch
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
