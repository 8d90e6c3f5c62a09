"""embed where some texts, or all, cannot be encoded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pyspark.errors import PythonException
from pyspark.sql import SparkSession

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding.embed import build_embeddings, check_encoded, rejected_profiles
from recsys_spark.encoding.files.identity import resolve_encoder
from recsys_spark.encoding.kernels.spec import EncoderSpec
from recsys_spark.errors import EncoderError
from recsys_spark.spark.failures import worker_error
from recsys_spark.tables import ENCODED, ITEM_PROFILES, REJECTED_ROWS, USER_PROFILES
from tests.builders import frame
from tests.encoding.test_embed import hash_of, texts_of
from tests.tiny_encoder import poison, tiny_encoder, vocabulary

COLOURS = [f"{colour} dress {n}" for colour in ("red", "blue", "green") for n in range(60)]


def spec_of(folder: Path) -> EncoderSpec:
    return resolve_encoder(Encoder(model=str(folder), backend="torch-float32"))


def test_a_text_without_a_vector_is_a_row_with_a_reason_and_other_texts_are_encoded(
    spark: SparkSession, tmp_path: Path
) -> None:
    sound, spoilt = tiny_encoder(tmp_path), poison(tiny_encoder(tmp_path, name="spoilt"), "green")
    rows = {}
    for folder in (sound, spoilt):
        encoded = build_embeddings(texts_of(spark, COLOURS), spec_of(folder), n_texts=len(COLOURS), n_threads=1)
        assert encoded.schema == ENCODED.schema
        rows[folder] = {row.content_hash: row for row in encoded.collect()}
        assert len(rows[folder]) == len(COLOURS) == encoded.count()
    for text in COLOURS:
        row = rows[spoilt][hash_of(text)]
        if text.startswith("green"):
            assert (row.vector, row.reason) == (None, "not_finite")
        else:
            assert row.reason is None
            np.testing.assert_array_equal(row.vector, rows[sound][hash_of(text)].vector)


def test_an_encoder_without_a_single_vector_stops_the_stage_at_its_first_task(
    spark: SparkSession, tmp_path: Path
) -> None:
    spec = spec_of(poison(tiny_encoder(tmp_path), *vocabulary()))
    with pytest.raises(PythonException) as caught:
        build_embeddings(texts_of(spark, COLOURS), spec, n_texts=len(COLOURS), n_threads=1).collect()
    error = worker_error(str(caught.value))
    assert isinstance(error, EncoderError)
    assert error.what == "Not even a plain text gets a vector"
    assert error.where == spec.model
    assert error.action is not None
    assert error.action.startswith("check the model's weights and their precision (encoder.backend)")


def test_a_rejected_text_is_found_by_every_profile_that_has_it(spark: SparkSession) -> None:
    def profile(key: str, name: str, text: str | None) -> dict[str, str | None]:
        return {key: name, "text": text, "content_hash": text and hash_of(text)}

    long = "green " * 100
    items = [profile("item_id", name, text) for name, text in (("i1", long), ("i2", "red"), ("i3", None), ("i4", long))]
    users = [profile("user_id", name, text) for name, text in (("u1", "green"), ("u2", "red"))]
    rejected = [
        {"content_hash": hash_of(long), "encoder_id": "e", "reason": "out_of_memory"},
        {"content_hash": hash_of("green"), "encoder_id": "e", "reason": "not_finite"},
    ]
    found = rejected_profiles(
        frame(spark, ENCODED, rejected), frame(spark, USER_PROFILES, users), frame(spark, ITEM_PROFILES, items)
    )
    assert found.columns == REJECTED_ROWS.names
    named = {"content_hash": hash_of(long), "text": long[:200]}
    rows = [(row["table"], row["reason"], json.loads(row["row"])) for row in found.collect()]
    assert sorted(rows, key=str) == [
        ("item_profiles", "out_of_memory", {"item_id": "i1", **named}),
        ("item_profiles", "out_of_memory", {"item_id": "i4", **named}),
        ("user_profiles", "not_finite", {"user_id": "u1", "content_hash": hash_of("green"), "text": "green"}),
    ]


def test_more_than_half_of_all_texts_without_a_vector_is_an_error_and_half_is_not() -> None:
    check_encoded({}, 0, "m")
    check_encoded({"not_finite": 3, "out_of_memory": 2}, 10, "m")
    with pytest.raises(EncoderError, match=r"(?s)m\n.*6 of 10 without: not_finite 4, out_of_memory 2.*nvidia-smi"):
        check_encoded({"not_finite": 4, "out_of_memory": 2}, 10, "m")
