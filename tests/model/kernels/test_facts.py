"""model.json: it is read as it was written. A file that is not as `train` writes it is refused, and the error names
the wrong field."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from recsys_spark.errors import TrainingError
from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.model.kernels.epochs import EpochLoss, Found, TrialEpoch
from recsys_spark.model.kernels.facts import FORMAT_VERSION, ModelFacts
from tests.model.worlds import facts

LOSS = EpochLoss(epoch=1, of=2, loss=3.5, cross_entropy=3.0, bce=5.0, seconds=1.0)
FOUND = Found(ndcg=0.25, recall=0.5, nll=3.0, temperature=1.5)
FULL = facts(
    losses=(LOSS,), trial=(TrialEpoch(LOSS, None), TrialEpoch(LOSS, FOUND)), held_out=FOUND, started_from="2026-01-01"
)

CHOICES, SHAPE = asdict(FULL.choices), asdict(FULL.shape)


@pytest.mark.parametrize("written", [facts(), FULL], ids=["without a trial", "with one"])
def test_facts_are_read_as_they_were_written(written: ModelFacts) -> None:
    assert ModelFacts.parse(written.to_json()) == written


def test_a_model_whose_likelihood_was_not_a_number_is_read() -> None:
    written = facts(held_out=replace(FOUND, nll=float("nan")))
    read = ModelFacts.parse(written.to_json()).held_out
    assert read
    assert np.isnan(read.nll)


def test_an_artifact_is_read_as_it_was_written() -> None:
    written = Artifact({"items.beta": np.array([0.5, 0.25, -3.0], np.float32)}, FULL)
    read = Artifact.parse(written.tensor_bytes(), written.facts_json())
    assert (read.facts, read.model_id) == (FULL, written.model_id)
    assert read.tensors["items.beta"].tobytes() == written.tensors["items.beta"].tobytes()


def refused(**changed: Any) -> TrainingError:
    values = {name: value for name, value in (json.loads(FULL.to_json()) | changed).items() if value is not ...}
    with pytest.raises(TrainingError) as caught:
        ModelFacts.parse(json.dumps(values))
    assert caught.value.action
    return caught.value


@pytest.mark.parametrize("version", [4, FORMAT_VERSION + 1, "5", ...])
def test_a_model_of_another_version_is_refused(version: object) -> None:
    error = refused(format_version=version)
    assert "another version" in error.what
    assert error.found == ("nothing" if version is ... else version)
    assert error.expected == FORMAT_VERSION


@pytest.mark.parametrize(
    ("changed", "where", "found", "expected"),
    [
        ({"n_users": ...}, "n_users", "nothing", "int"),
        ({"n_users": "9"}, "n_users", "str 9", "int"),
        ({"n_users": True}, "n_users", "bool True", "int"),
        ({"last_time": None}, "last_time", "NoneType None", "float"),
        ({"behaviours": "browse"}, "behaviours", "str browse", "list"),
        ({"warm_item_ids": ["i1", 2]}, "warm_item_ids[1]", "int 2", "str"),
        ({"shape": {"width": 4}}, "shape.text_width", "nothing", "int"),
        ({"choices": CHOICES | {"temperature": "hot"}}, "choices.temperature", "str hot", "float"),
        ({"trial": [{"loss": None, "found": None}]}, "trial[0].loss", "NoneType None", "an object"),
        ({"choices": {}}, "choices.link_strength", "nothing", "float"),
        ({"encoder_id": ...}, "encoder_id", "nothing", "str"),
        ({"losses": ...}, "losses", "nothing", "list"),
        ({"config_fingerprint": ...}, "config_fingerprint", "nothing", "str"),
        ({"last_time": float("nan")}, "last_time", "float nan", "a finite number"),
        ({"choices": CHOICES | {"temperature": float("nan")}}, "choices.temperature", "float nan", "a finite number"),
        ({"choices": CHOICES | {"temperature": -1.0}}, "choices.temperature", "-1.0", "above 0"),
        ({"device": "tpu"}, "device", "tpu", "cpu or cuda"),
        ({"precision": "int8"}, "precision", "int8", "float32"),
        ({"shape": SHAPE | {"width": 0}}, "shape.width", "0", "at least 1"),
        ({"n_users": -1}, "n_users", "-1", "at least 0"),
        ({"extra": 1}, "extra", "an unknown field", "shape"),
    ],
)
def test_a_wrong_field_is_named(changed: dict[str, object], where: str, found: str, expected: str) -> None:
    error = refused(**changed)
    assert (error.where, error.found) == (f"model.json, {where}", found)
    assert expected in str(error.expected)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null"])
def test_text_that_is_not_the_facts_of_a_model_is_refused(text: str) -> None:
    with pytest.raises(TrainingError, match=r"model\.json"):
        ModelFacts.parse(text)


def test_tensors_that_are_cut_short_are_refused() -> None:
    written = Artifact({"items.beta": np.ones(3, np.float32)}, FULL)
    with pytest.raises(TrainingError, match="tensors of the model cannot be read"):
        Artifact.parse(written.tensor_bytes()[:-4], written.facts_json())
