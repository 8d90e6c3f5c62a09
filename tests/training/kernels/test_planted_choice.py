"""A trial choice is one entry: a field that a test adds reaches search, tensors, facts, log and card without another
edit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pytest

from recsys_spark.config.model import Model
from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.model.kernels.choices import Choices, choice
from recsys_spark.model.kernels.epochs import EpochLoss
from recsys_spark.training.card import model_card
from recsys_spark.training.kernels.asked import Asked
from recsys_spark.training.kernels.choosing import choose
from recsys_spark.training.kernels.run import Run
from tests.model.worlds import catalogue, data
from tests.training.trial_worlds import Fixed, asked, seen_by, users_over_time

SETTINGS = Model(width=16, n_layers=1, epochs=1, batch_positions=256)
LOSS = EpochLoss(epoch=1, of=1, loss=3.0, cross_entropy=2.9, bce=0.1, seconds=1.0)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@dataclass(frozen=True)
class WithStretch(Choices):
    """The choices and one more."""

    stretch: float = choice(
        usual=1.0,
        grid=(0.5, 1.0, 2.0),
        clause="learned parts count {:.1f} times",
        short="stretch {:.1f}",
        heading="stretch",
        put_in=lambda tensors, times: {**tensors, "items.delta": tensors["items.delta"] * np.float32(times)},
        take_out=lambda tensors, times: {**tensors, "items.delta": tensors["items.delta"] / np.float32(times)},
    )


@pytest.fixture(scope="module")
def plain() -> Artifact:
    return Run(data(users_over_time()), SETTINGS, 0).artifact(WithStretch.as_trained())


def test_chosen_values_are_put_into_the_tensors_and_taken_out_again(plain: Artifact) -> None:
    chosen = WithStretch(link_strength=4.0, temperature=2.0, cold_item_boost=1.5, w_cos=0.5, stretch=2.0)
    before = {name: tensor.copy() for name, tensor in plain.tensors.items()}
    applied = chosen.apply(plain.tensors)
    changed = {name for name in applied if not np.array_equal(applied[name], before[name])}
    assert changed == {"items.link", "items.beta", "items.delta", "temperature"}
    back = chosen.remove(applied)
    assert back.keys() == before.keys()
    for name, tensor in before.items():
        np.testing.assert_array_equal(plain.tensors[name], tensor, err_msg="the given tensors stay as they are")
        np.testing.assert_allclose(back[name], tensor, rtol=1e-6, atol=1e-7)
        assert back[name].dtype == tensor.dtype


def test_one_choice_can_be_taken_out_without_the_others(plain: Artifact) -> None:
    chosen = WithStretch(link_strength=4.0, cold_item_boost=1.5, stretch=2.0)
    rest = replace(chosen, cold_item_boost=0.0).apply(plain.tensors)
    alone = chosen.remove(chosen.apply(plain.tensors), ["cold_item_boost"])
    for name, tensor in rest.items():
        np.testing.assert_allclose(alone[name], tensor, rtol=1e-6, atol=1e-7)


def test_an_added_choice_is_in_facts_log_and_card(plain: Artifact) -> None:
    artifact = plain.noting(choices=WithStretch(stretch=2.0), started_from="2026-01-01")
    assert '"stretch": 2.0' in artifact.facts_json()
    assert artifact.facts.choices.line().endswith(", stretch 2.0")
    assert artifact.facts.choices.at_grid_ends() == ["stretch"]
    card = model_card(
        artifact.noting(losses=(LOSS,)).facts,
        model_id="m",
        version="1",
        config_fingerprint="c",
        seed=0,
        encoder="e",
        weights={},
        n_items=40,
        n_parameters=1,
        n_links=0,
        as_of=NOON,
        now=NOON,
    )
    assert "stretch 2.0" in card


@pytest.mark.parametrize(("wanted", "stretch"), [(1, 1.0), (3, 2.0)])
def test_a_trial_tries_an_added_choice_with_the_whole_model(wanted: int, stretch: float) -> None:
    """Item 3 comes first with twice the stretch; otherwise item 1 does."""
    held = asked([[0]] * 200, [[wanted]] * 200)
    logits = np.tile(-np.arange(40, dtype=np.float32), (200, 1))

    def asked_with(choices: Choices) -> Asked:
        assert isinstance(choices, WithStretch)
        moved = logits.copy()
        moved[:, 3] += 5.0 * (choices.stretch == 2.0)
        return seen_by(Fixed(moved), held, catalogue())

    chosen, _ = choose(asked_with(WithStretch()), 0.005, asked_with, WithStretch)
    assert isinstance(chosen, WithStretch)
    assert chosen.stretch == stretch
    without, _ = choose(asked_with(WithStretch()), 0.005, None, WithStretch)
    assert isinstance(without, WithStretch)
    assert without.stretch == 1.0
