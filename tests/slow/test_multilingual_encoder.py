"""Chinese and English in one space, with multilingual-e5-small: skipped unless RECSYS_E5_DIR names its folder."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding.files.identity import resolve_encoder
from recsys_spark.encoding.files.load import load_encoder
from recsys_spark.encoding.kernels.encoder import TextEncoder

FOLDER = os.environ.get("RECSYS_E5_DIR", "")
GOLDEN = Path(__file__).parent / "golden"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER, reason="RECSYS_E5_DIR names no folder with multilingual-e5-small"),
]
QUERY, PASSAGE = "query: ", "passage: "
COSINES = {"torch-float32": 0.999_999, "int8": 0.999}
"""The least cosine with the golden vectors."""
MEANINGS = {
    "机器学习入门": "introduction to machine learning",
    "红色连衣裙": "a red dress",
    "中国古代史": "history of ancient China",
    "如何写商业计划书": "how to write a business plan",
    "人体解剖学": "human anatomy",
    "太空恐怖电影": "a horror film in space",
    "爵士乐唱片": "a jazz record",
    "蓝牙耳机": "bluetooth headphones",
}
MARGIN = 0.05
"""Of cosine, by which a translation is nearer than any other meaning; the least that was found is 0.065."""


def load(**options: Any) -> TextEncoder:
    cfg = Encoder(model=FOLDER, device="cpu", item_prefix=PASSAGE, user_prefix=QUERY, **options)
    return load_encoder(resolve_encoder(cfg), n_threads=1)


@pytest.fixture(scope="module", params=COSINES)
def encoder(request: pytest.FixtureRequest) -> TextEncoder:
    return load(backend=request.param)


# Vectors of SentenceTransformer.encode (sentence-transformers 6.2.0, transformers 5.23.0, torch 2.13.0 on a CPU, one
# thread) in float32, normalised, one text at a time, max_seq_length 128; the last text is longer than that.
@pytest.mark.parametrize("batch_tokens", [1, 1024])
def test_the_real_model_gives_the_golden_vectors(encoder: TextEncoder, batch_tokens: int) -> None:
    texts, golden = json.loads((GOLDEN / "e5_texts.json").read_text(encoding="utf-8")), np.load(GOLDEN / "e5.npy")
    spec = replace(encoder.spec, batch_tokens=batch_tokens)
    vectors = TextEncoder(encoder.backend, encoder.tokenizer, spec, encoder.pad_id).encode(texts)
    assert (vectors * golden).sum(1).min() > COSINES[encoder.spec.backend]
    if encoder.spec.backend == "torch-float32":
        np.testing.assert_allclose(vectors, golden, rtol=0, atol=2e-6)


def test_golden_texts_are_read_and_cut(encoder: TextEncoder) -> None:
    """Neither unknown, nor so short that the golden vectors say nothing of long texts."""
    tokens = encoder.tokenise(json.loads((GOLDEN / "e5_texts.json").read_text(encoding="utf-8")))
    unknown = encoder.tokenizer.token_to_id("<unk>")
    assert [unknown in text for text in tokens] == [False] * 8
    assert max(len(text) for text in tokens) == encoder.spec.max_length


def test_texts_of_one_meaning_are_nearest_across_languages(encoder: TextEncoder) -> None:
    chinese = encoder.encode([QUERY + text for text in MEANINGS])
    english = encoder.encode([QUERY + text for text in MEANINGS.values()])
    cosines = chinese @ english.T
    same, others = np.diag(cosines), np.where(np.eye(len(cosines), dtype=bool), -np.inf, cosines)
    assert (same > np.maximum(others.max(0), others.max(1)) + MARGIN).all(), cosines.round(3)


def test_a_query_finds_its_passage_in_the_other_language(encoder: TextEncoder) -> None:
    items = encoder.encode([PASSAGE + text for text in [*MEANINGS, *MEANINGS.values()]])
    for side, texts in enumerate((list(MEANINGS), list(MEANINGS.values()))):
        cosines = encoder.encode([QUERY + text for text in texts]) @ items.T
        # Its own words first, then its translation, then other meanings.
        found = np.argsort(-cosines, axis=1)[:, :2]
        n = len(MEANINGS)
        assert [set(row) for row in found.tolist()] == [{row, row + n} for row in range(n)], (side, cosines.round(3))


def test_prefixes_count(encoder: TextEncoder) -> None:
    for text in ("红色连衣裙", "a red dress"):
        vectors = encoder.encode([QUERY + text, PASSAGE + text, text])
        cosines = vectors @ vectors.T
        assert cosines[np.triu_indices(3, 1)].max() < 0.995, cosines.round(4)
    bare = resolve_encoder(Encoder(model=FOLDER, backend=encoder.spec.backend, device="cpu"))
    assert bare.encoder_id != encoder.spec.encoder_id
