"""The model card says what the facts hold, and leaves out what they do not."""

from __future__ import annotations

from datetime import UTC, datetime

from recsys_spark.config.model import Model
from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.model.kernels.choices import COLD_ITEM_BOOSTS, LINK_STRENGTHS, Choices
from recsys_spark.training.card import model_card
from recsys_spark.training.kernels.fit import fit
from tests.model.worlds import N_ITEMS, data, tasteful_users

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


BEYOND = "At the last value that a trial tries, so a better value may lie beyond: "


def card(trial_epochs: int, chosen: Choices | None = None) -> tuple[str, Artifact]:
    settings = Model(width=16, n_layers=1, epochs=2, batch_positions=256, trial_epochs=trial_epochs)
    artifact = fit(data(tasteful_users(600)), settings, seed=0).noting(encoder_id="enc-7")
    if chosen:
        artifact = artifact.noting(choices=chosen)
    text = model_card(
        artifact.facts,
        model_id=artifact.model_id,
        version="1.2",
        config_fingerprint="c0ffee",
        seed=5,
        encoder="minilm",
        weights={"browse": 1.0, "buy": 4.0},
        n_items=N_ITEMS,
        n_parameters=99,
        n_links=7,
        as_of=NOON,
        now=NOON,
    )
    return text, artifact


def test_the_card_names_the_model_its_data_and_its_metrics() -> None:
    text, artifact = card(trial_epochs=2)
    facts = artifact.facts
    assert facts.held_out
    for part in (
        artifact.model_id,
        "`enc-7` (minilm), width 8",
        "configuration `c0ffee`, seed 5",
        "2026-01-02 12:00 UTC",
        f"600 users, 3600 behaviours, 32 items of {N_ITEMS}",
        "browse (weight 1.0), buy (weight 4.0)",
        "1970-01-01, 1970-01-01",
        f"ndcg@10 {facts.held_out.ndcg:.4f}",
        f"{facts.losses[-1].loss:.4f} in the last",
        "A trial run of 2 epochs",
        "an even guess over 40 items: 3.689",
        f"It chose what this model has built in: {facts.choices.clauses()}.",
    ):
        assert part in text
    assert "No trial" not in text


def test_the_card_says_if_there_was_no_trial() -> None:
    text, _ = card(trial_epochs=0)
    assert "No trial was run" in text
    assert "ndcg@10" not in text


def test_the_card_names_choices_at_the_end_of_their_grid() -> None:
    text, _ = card(2, Choices(link_strength=LINK_STRENGTHS[-1], cold_item_boost=COLD_ITEM_BOOSTS[-1]))
    assert f"{BEYOND}link_strength, cold_item_boost." in text
    assert BEYOND not in card(2, Choices())[0]


def test_without_a_trial_the_card_names_no_end_of_a_grid() -> None:
    assert BEYOND not in card(0, Choices(link_strength=LINK_STRENGTHS[-1]))[0]
