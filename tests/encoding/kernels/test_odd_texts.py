"""How odd texts are read: what can be read of them, and never more than their beginning."""

from __future__ import annotations

import numpy as np
import pytest

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding.files.identity import resolve_encoder
from recsys_spark.encoding.files.load import load_encoder
from recsys_spark.encoding.kernels.encoder import MAX_CHARACTERS_PER_TOKEN, TextEncoder
from tests.encoding.kernels.backend_contract import ODD
from tests.tiny_encoder import tiny_encoder

MAX_LENGTH = 16


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    cfg = Encoder(
        model=str(tiny_encoder(tmp_path_factory.mktemp("encoder"))), backend="torch-float32", max_length=MAX_LENGTH
    )
    return load_encoder(resolve_encoder(cfg), n_threads=1)


def test_odd_texts_of_different_content_have_different_vectors(encoder: TextEncoder) -> None:
    names = ["empty", "a megabyte", "half a surrogate pair", "emoji", "right to left", "mixed scripts"]
    vectors = encoder.encode([ODD[name] for name in names])
    cosines = vectors @ vectors.T
    assert cosines[np.triu_indices(len(names), 1)].max() < 0.999, cosines.round(4)


def test_whitespace_has_the_vector_of_the_empty_text(encoder: TextEncoder) -> None:
    empty, blank = encoder.encode([ODD["empty"], ODD["only whitespace"]])
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
    megabyte = ODD["a megabyte"]
    [ids] = encoder.tokenise([megabyte])
    assert given == [MAX_LENGTH * MAX_CHARACTERS_PER_TOKEN] != [len(megabyte)]
    assert ids == plain.encode(megabyte[:200]).ids
    assert len(ids) == MAX_LENGTH
