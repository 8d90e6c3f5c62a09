"""What a text may hold: it costs no more than a text, reads as what can be read of it, and leaves the others alone."""

from __future__ import annotations

import numpy as np
import pytest

from recsys_spark.config.sections import Encoder
from recsys_spark.encoding.files.identity import resolve_encoder
from recsys_spark.encoding.files.load import load_encoder
from recsys_spark.encoding.kernels.encoder import MAX_CHARACTERS_PER_TOKEN, TextEncoder
from tests.tiny_encoder import tiny_encoder

MAX_LENGTH = 16
HOSTILE = {
    "empty": "",
    "only whitespace": " \t\r\n\u00a0\u3000",
    "a megabyte": "red cotton dress " * 2**16,
    "a megabyte in one word": "x" * 2**20,
    "a megabyte of what is not read": "\u200b" * 2**20,
    "half a surrogate pair": "jazz \ud83d",
    "two halves the wrong way round": "\udc00\ud83d jazz",
    "control characters": "\x00\x1b[31m\ufffe",
    "emoji": "🙂 album 👩‍👩‍👧 🏳️‍🌈",
    "right to left": "שלום עולם مرحبا \u202egame\u202c",
    "mixed scripts": "red 购买 Дом مرحبا ドレス",
}
SOUND = ["red cotton dress", "space horror", "jazz", "购买"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    cfg = Encoder(
        model=str(tiny_encoder(tmp_path_factory.mktemp("encoder"))), backend="torch-float32", max_length=MAX_LENGTH
    )
    return load_encoder(resolve_encoder(cfg), n_threads=1)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_has_a_vector_and_leaves_its_batch_mates_theirs(encoder: TextEncoder, text: str) -> None:
    encoded = encoder.encode_each([*SOUND[:2], text, *SOUND[2:]])
    assert not encoded.reasons
    assert np.linalg.norm(encoded.vectors[2]) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(np.delete(encoded.vectors, 2, axis=0), encoder.encode(SOUND), atol=2e-6)


def test_hostile_texts_of_other_content_have_other_vectors(encoder: TextEncoder) -> None:
    """But for the empty ones: not one vector for all that is strange."""
    names = ["empty", "a megabyte", "half a surrogate pair", "emoji", "right to left", "mixed scripts"]
    vectors = encoder.encode([HOSTILE[name] for name in names])
    cosines = vectors @ vectors.T
    assert cosines[np.triu_indices(len(names), 1)].max() < 0.999, cosines.round(4)


def test_whitespace_says_no_more_than_nothing(encoder: TextEncoder) -> None:
    empty, blank = encoder.encode([HOSTILE["empty"], HOSTILE["only whitespace"]])
    np.testing.assert_allclose(blank, empty, atol=2e-6)


@pytest.mark.parametrize(
    ("broken", "read"), [("jazz \ud83d", "jazz \ufffd"), ("\udc00\ud83d jazz", "\ufffd\ufffd jazz")]
)
def test_half_a_surrogate_pair_is_the_replacement_character_and_the_rest_is_read(
    encoder: TextEncoder, broken: str, read: str
) -> None:
    # BERT's normaliser drops that character.
    assert encoder.tokenise([broken]) == encoder.tokenise([read]) == encoder.tokenise(["jazz"])


def test_a_megabyte_is_read_as_its_beginning_and_never_tokenised_whole(
    encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []

    class Counting:
        def encode_batch_fast(self, texts: list[str]) -> object:
            given.extend(map(len, texts))
            return plain.encode_batch_fast(texts)

    plain = encoder.tokenizer
    monkeypatch.setattr(encoder, "tokenizer", Counting())
    megabyte = HOSTILE["a megabyte"]
    [ids] = encoder.tokenise([megabyte])
    assert given == [MAX_LENGTH * MAX_CHARACTERS_PER_TOKEN] != [len(megabyte)]
    assert ids == plain.encode(megabyte[:200]).ids
    assert len(ids) == MAX_LENGTH
