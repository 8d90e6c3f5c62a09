"""Texts that cannot be encoded, one by one or in batches of that size: the others get their vectors, in their rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding.files.identity import resolve_encoder
from recsys_spark.encoding.files.load import load_encoder
from recsys_spark.encoding.kernels.backends import Backend
from recsys_spark.encoding.kernels.encoder import NOT_FINITE, OUT_OF_MEMORY, TextEncoder
from recsys_spark.errors import EncoderError
from tests.tiny_encoder import poison, tiny_encoder

TEXTS = ["red cotton dress", "space horror", "", "jazz", "horror of the blue album", "game"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    return load(tiny_encoder(tmp_path_factory.mktemp("encoder")))


def load(folder: Path) -> TextEncoder:
    return load_encoder(resolve_encoder(Encoder(model=str(folder), backend="torch-float32")), n_threads=1)


class Small:
    """A backend on a GPU that has memory for ``limit`` tokens at once, and notes ``(tokens, fits)`` of each batch."""

    packs = False

    def __init__(self, inner: Backend, limit: int) -> None:
        self.inner, self.limit, self.asked, self.rows = inner, limit, list[tuple[int, bool]](), 0

    def hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        fits = ids.numel() <= self.limit
        self.asked.append((ids.numel(), fits))
        if not fits:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        self.rows += len(ids)
        return self.inner.hidden(ids, mask)

    def to(self, device: str) -> Any:
        raise AssertionError("not asked for")


class Nan(Small):
    def hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        return super().hidden(ids, mask) * torch.nan


def on(backend: Backend, encoder: TextEncoder, batch_tokens: int = 1024) -> TextEncoder:
    return TextEncoder(backend, encoder.tokenizer, replace(encoder.spec, batch_tokens=batch_tokens), encoder.pad_id)


def test_a_text_that_is_not_finite_has_a_reason_and_other_texts_have_vectors(
    encoder: TextEncoder, tmp_path: Path
) -> None:
    spoilt = load(poison(tiny_encoder(tmp_path), "horror"))
    encoded = spoilt.encode_each(TEXTS)
    assert encoded.reasons == {1: NOT_FINITE, 4: NOT_FINITE}
    assert not encoded.vectors[[1, 4]].any()
    assert np.array_equal(encoded.vectors[[0, 2, 3, 5]], encoder.encode(TEXTS)[[0, 2, 3, 5]])
    with pytest.raises(EncoderError, match=r"(?s)2 of 6 without: not_finite 2.*precision"):
        spoilt.encode(TEXTS)


def test_vectors_that_are_not_normalised_are_checked_as_well(tmp_path: Path) -> None:
    spoilt = load(poison(tiny_encoder(tmp_path), "horror"))
    raw = TextEncoder(spoilt.backend, spoilt.tokenizer, replace(spoilt.spec, normalise=False), spoilt.pad_id)
    assert raw.encode_each(TEXTS).reasons == {1: NOT_FINITE, 4: NOT_FINITE}


@settings(max_examples=60, deadline=None)
@given(
    n_words=st.lists(st.integers(0, 12), max_size=12),
    budget=st.integers(1, 200),
    limit=st.integers(1, 120),
)
def test_with_any_memory_every_row_has_its_vector_or_a_reason(
    encoder: TextEncoder, n_words: list[int], budget: int, limit: int
) -> None:
    texts = [" ".join((["red"] * n + ["jazz"])[: n + row % 2]) for row, n in enumerate(n_words)]
    lengths = [len(ids) for ids in encoder.tokenise(texts)]
    backend = Small(encoder.backend, limit)
    small = on(backend, encoder, budget)
    encoded = small.encode_each(texts)
    too_long = {row for row, length in enumerate(lengths) if length > limit}
    assert encoded.reasons == dict.fromkeys(too_long, OUT_OF_MEMORY)
    for row, text in enumerate(texts):
        expected = np.zeros(encoder.spec.width) if row in too_long else encoder.encode([text])[0]
        np.testing.assert_allclose(encoded.vectors[row], expected, atol=2e-6)
    assert backend.rows == len(texts) - len(too_long), "a text went through the network twice"
    assert encoded.n_tokens == sum(lengths) <= encoded.n_slots
    assert small.batch_tokens <= budget


def test_the_budget_is_halved_until_batches_fit_and_stays_so(
    encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    freed: list[int] = []
    backend = Small(encoder.backend, limit=50)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: freed.append(len(backend.asked)))
    small, texts = on(backend, encoder, batch_tokens=160), ["red"] * 64
    with caplog.at_level("WARNING", "recsys_spark"):
        assert not small.encode_each(texts).reasons
    # 53 texts of 3 tokens are in the first batch: 159, then at most 79, then 39.
    assert [size for size, fits in backend.asked if not fits] == [159, 78]
    assert freed == [1, 2], "the cache is freed before the next attempt"
    assert small.batch_tokens == 39
    assert ["out of memory" in record.message for record in caplog.records] == [True, True]
    backend.asked.clear()
    small.encode_each(texts)
    assert {fits for _, fits in backend.asked} == {True}


class Crowded(Small):
    """The same where it is cuBLAS that finds no room for its own, or the network that fails."""

    message = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"

    def hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        try:
            return super().hidden(ids, mask)
        except torch.OutOfMemoryError:
            raise RuntimeError(self.message) from None


def test_missing_memory_of_cublas_halves_the_batch_and_other_errors_are_raised(encoder: TextEncoder) -> None:
    crowded = Crowded(encoder.backend, 12)
    np.testing.assert_allclose(on(crowded, encoder).encode(TEXTS), encoder.encode(TEXTS), atol=1e-6)
    crowded.message = "CUDA error: device-side assert triggered"
    with pytest.raises(RuntimeError, match="device-side assert"):
        on(crowded, encoder).encode(TEXTS)


def test_only_a_text_that_fails_alone_has_no_vector(encoder: TextEncoder) -> None:
    texts = ["red", "red " * 30, "jazz"]
    encoded = on(Small(encoder.backend, limit=10), encoder).encode_each(texts)
    assert encoded.reasons == {1: OUT_OF_MEMORY}
    np.testing.assert_allclose(encoded.vectors[[0, 2]], encoder.encode(texts)[[0, 2]], atol=2e-6)


def test_other_failures_of_the_network_are_raised(encoder: TextEncoder) -> None:
    class Broken(Small):
        def hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
            raise RuntimeError("an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="illegal"):
        on(Broken(encoder.backend, 0), encoder).encode_each(["red", "blue"])


@pytest.mark.parametrize(
    ("make", "limit", "words"), [(Nan, 99, "check the model's weights"), (Small, 1, "who else is on the GPU")]
)
def test_an_encoder_without_any_vector_is_refused_before_the_work(
    encoder: TextEncoder, make: type[Small], limit: int, words: str
) -> None:
    with pytest.raises(EncoderError, match=f"(?s)Not even a plain text.*{words}"):
        on(make(encoder.backend, limit), encoder).prove()


def test_an_encoder_is_proven_once_per_device(encoder: TextEncoder) -> None:
    backend = Small(encoder.backend, 99)
    sound = on(backend, encoder)
    sound.prove()
    sound.prove()
    assert len(backend.asked) == 1
    sound.device = "meta"
    with pytest.raises(EncoderError, match="Not even"):
        on(Nan(encoder.backend, 99), encoder).prove()
