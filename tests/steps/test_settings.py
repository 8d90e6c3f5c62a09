"""A key that a step reads and its stage does not declare is red; tests/e2e runs every stage under this check."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any, cast

import pytest
from pyspark import cloudpickle

from recsys_spark.config.sections import Config, Score
from recsys_spark.pipeline import STAGES
from recsys_spark.steps.context import Context, Facts
from recsys_spark.steps.stage import OwnInput, Stage
from recsys_spark.store.areas import Attempt
from tests.builders import config
from tests.steps.recording import EXEMPT, WHOLE, Recorded, UndeclaredSetting, checked, is_declared


def recorded(**sections: Any) -> tuple[Config, list[str]]:
    reads: list[str] = []
    return cast(Config, Recorded(config(**sections), reads.append)), reads


def context(cfg: Config) -> Context:
    """A context of which a step uses the configuration alone."""
    parts = dict.fromkeys(("spark", "store", "area", "run_date", "as_of", "now"))
    return Context(cfg=cfg, **cast(Any, parts))


def run(stage: Stage, cfg: Config) -> Facts:
    return checked(stage, set()).step(context(cfg), cast(Attempt, None))


def test_a_read_is_recorded_by_its_dotted_key() -> None:
    cfg, reads = recorded()
    assert cfg.run.top_n == 3
    assert isinstance(cfg.score, Score)
    assert reads == ["run.top_n"]


def test_methods_and_copies_of_a_section_record_what_they_read() -> None:
    cfg, reads = recorded()
    assert cfg.score.chosen(0.5).w_cos == 0.5
    assert set(reads) == {"score.w_cos", "score.w_ce", "score.temperature"}
    reads.clear()
    assert cfg.model_copy(update={"score": cfg.score.model_copy(update={"w_ce": 2.0})}).score.w_ce == 2.0
    assert reads == ["score.w_ce"]


def test_a_dump_reads_the_whole_section() -> None:
    cfg, reads = recorded()
    cfg.score.model_dump()
    cfg.model_dump(mode="json")
    assert reads == ["score", WHOLE]


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps])
def test_on_its_way_into_a_worker_a_section_is_read_whole_and_arrives_plain(dumps: Any) -> None:
    cfg, reads = recorded()
    arrived = pickle.loads(dumps(cfg.score))
    assert type(arrived) is Score
    assert arrived == config().score
    assert reads == ["score"]


def test_a_name_declares_itself_and_everything_below_it() -> None:
    assert is_declared("score.w_ce", ("score",))
    assert is_declared("score.w_ce", ("score.w_ce",))
    assert not is_declared("score", ("score.w_ce",))
    assert not is_declared("score.w_cos", ("score.w_c",))
    assert all(is_declared(key, ()) for key in EXEMPT)


def test_an_undeclared_read_is_red() -> None:
    stage = Stage("planted", (), ("rerank",), lambda ctx, _: {"n": ctx.cfg.rerank.n_reasons, "k": ctx.cfg.run.top_n})
    with pytest.raises(UndeclaredSetting, match=r"stage `planted` reads `run\.top_n`"):
        run(stage, config())
    assert run(replace(stage, settings=("rerank", "run.top_n")), config()) == {"n": 2, "k": 3}


def test_a_dump_of_the_whole_configuration_is_red() -> None:
    with pytest.raises(UndeclaredSetting, match=WHOLE):
        run(Stage("planted", (), ("rerank",), lambda ctx, _: {"all": ctx.cfg.model_dump()}), config())


def test_the_check_of_an_own_input_is_part_of_the_step() -> None:
    own = OwnInput("it", lambda _: None, lambda ctx, _: cast(None, ctx.cfg.encoder.model))
    stage = checked(Stage("planted", (), ("rerank",), lambda _ctx, _attempt: {}, own), set())
    assert stage.own_input is not None
    with pytest.raises(UndeclaredSetting, match=r"encoder\.model"):
        stage.own_input.check(context(config()), None)


def test_the_stages_of_a_backtest_answer_for_their_own_reads() -> None:
    def evaluate(ctx: Context, _: Attempt) -> Facts:
        assert ctx.run_backtest is not None
        ctx.run_backtest(replace(ctx, run_backtest=None))
        return {}

    seen: list[int] = []
    outer = replace(context(config()), run_backtest=lambda back: seen.append(back.cfg.run.top_n))
    checked(Stage("planted", (), (), evaluate), set()).step(outer, cast(Attempt, None))
    assert seen == [3]


def test_every_declared_setting_is_a_key() -> None:
    for stage in STAGES:
        for name in stage.settings:
            value: Any = config()
            for part in name.split("."):
                value = getattr(value, part)
