"""Training on a planted world: the loss falls, tastes are found, cold items and profile users are served."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys_spark.config.model import Model
from recsys_spark.errors import TrainingError
from recsys_spark.model.kernels.artifact import Artifact
from recsys_spark.model.kernels.epochs import EpochLoss
from recsys_spark.model.kernels.recommender import Recommender
from recsys_spark.training.kernels.batches import batches
from recsys_spark.training.kernels.fit import fit
from recsys_spark.training.kernels.mixed_precision import in_bfloat16
from tests.model.worlds import N_ITEMS, TEXT_WIDTH, catalogue, data, histories, tasteful_users

SETTINGS = Model(width=16, n_layers=1, epochs=8, trial_epochs=0, batch_positions=256, learning_rate=1e-2, dropout=0.0)
HALF = N_ITEMS // 2


def train(settings: Model = SETTINGS, seed: int = 0, **changed: object) -> tuple[Artifact, list[EpochLoss]]:
    seen: list[EpochLoss] = []
    users = replace(tasteful_users(), **changed) if changed else tasteful_users()
    artifact = fit(data(users), settings, seed=seed, on_epoch=seen.append)
    return artifact, seen


@pytest.fixture(scope="module")
def trained() -> tuple[Artifact, list[EpochLoss]]:
    return train()


def scores(artifact: Artifact, users: object) -> np.ndarray:
    recommender, world = Recommender(artifact), catalogue()
    items = recommender.item_vectors(world.ids, world.vectors, world.has_vector, world.popularity)
    x = recommender.user_vectors(users, items.token)  # type: ignore[arg-type]
    return x @ items.theta.T + items.bias


def test_the_loss_of_every_epoch_is_reported_and_falls(trained: tuple[Artifact, list[EpochLoss]]) -> None:
    artifact, losses = trained
    assert [loss.epoch for loss in losses] == list(range(1, 9))
    assert losses[-1].cross_entropy < losses[0].cross_entropy - 0.3
    assert losses[-1].bce < losses[0].bce
    assert len(artifact.facts.losses) == 8


def test_a_user_gets_items_of_the_planted_taste(trained: tuple[Artifact, list[EpochLoss]]) -> None:
    logits = scores(trained[0], histories([[0, 1, 2], [20, 21, 22]]))
    assert logits[0, :16].mean() > logits[0, HALF : HALF + 16].mean() + 1
    assert logits[1, HALF : HALF + 16].mean() > logits[1, :16].mean() + 1


def test_an_item_never_touched_is_ranked_by_its_text(trained: tuple[Artifact, list[EpochLoss]]) -> None:
    logits = scores(trained[0], histories([[0, 1, 2]]))[0]
    assert logits[16:HALF].min() > logits[HALF + 16 :].max()


def test_an_untouched_item_has_no_learned_part(trained: tuple[Artifact, list[EpochLoss]]) -> None:
    artifact, world = trained[0], catalogue()
    assert "i16" not in artifact.facts.warm_item_ids
    t = artifact.tensors
    e = (world.vectors[16] - t["text_mean"]) / t["text_scale"]
    items = Recommender(artifact).item_vectors(world.ids, world.vectors, world.has_vector, world.popularity)
    np.testing.assert_allclose(items.theta[16], t["items.w_theta.weight"] @ e, rtol=1e-4, atol=1e-5)


def test_a_user_known_only_by_a_friend_gets_items_of_the_friends_taste() -> None:
    plain = tasteful_users()
    friends = [[int(i)] for i in plain.items[plain.offsets[:-1]]]
    users = histories(
        [list(plain.items[a:b]) for a, b in zip(plain.offsets[:-1], plain.offsets[1:], strict=True)],
        social=dict(enumerate(friends)),
    )
    artifact = fit(data(users), SETTINGS, seed=0)
    logits = scores(artifact, histories([[], []], social={0: [3], 1: [23]}))
    assert logits[0, :16].mean() > logits[0, HALF : HALF + 16].mean() + 0.5
    assert logits[1, HALF : HALF + 16].mean() > logits[1, :16].mean() + 0.5


def test_a_user_known_only_by_tags_gets_items_of_that_taste() -> None:
    """The tags are words that no item has, so only users with both tags and a history show their meaning."""
    plain, words = tasteful_users(), np.eye(TEXT_WIDTH, dtype=np.float32)[[5, 6]]
    texts = words[np.arange(plain.n_users) % 2]
    artifact = fit(data(replace(plain, texts=texts, has_text=np.ones(plain.n_users, bool))), SETTINGS, seed=0)
    logits = scores(artifact, histories([[], []], texts={0: words[0], 1: words[1]}))
    assert logits[0, :16].mean() > logits[0, HALF : HALF + 16].mean() + 0.5
    assert logits[1, HALF : HALF + 16].mean() > logits[1, :16].mean() + 0.5


def test_the_same_seed_gives_the_same_model() -> None:
    short = SETTINGS.model_copy(update={"epochs": 2})
    one, same, other = train(short)[0], train(short)[0], train(short, seed=1)[0]
    assert one.model_id == same.model_id != other.model_id


def test_the_sampled_softmax_finds_the_same_tastes() -> None:
    sampled = SETTINGS.model_copy(update={"max_softmax_items": 10, "n_sampled": 16})
    logits = scores(train(sampled)[0], histories([[0, 1, 2]]))[0]
    assert logits[:16].mean() > logits[HALF : HALF + 16].mean() + 1


def test_a_diverged_loss_stops_with_a_clear_error() -> None:
    world = catalogue()
    world.vectors[3] = np.nan
    with pytest.raises(TrainingError, match="no longer a number"):
        fit(data(tasteful_users(), world=world), SETTINGS, seed=0)


def test_training_without_behaviours_stops_with_a_clear_error() -> None:
    with pytest.raises(TrainingError, match="nothing to train on"):
        fit(data(histories([[], []])), SETTINGS, seed=0)


def test_an_item_is_a_target_only_the_first_time_unless_repeats_are_wanted() -> None:
    users = histories([[1, 1, 1, 1, 1, 2]] * 32)
    trained = [fit(data(users, predict_repeats=repeats), SETTINGS, seed=0) for repeats in (False, True)]
    never, often = (scores(artifact, histories([[1]]))[0] for artifact in trained)
    assert never[2] > never[1]
    assert often[1] > often[2]


def test_users_with_a_single_behaviour_train_without_error() -> None:
    artifact = fit(data(histories([[1], [2]])), SETTINGS, seed=0)
    assert np.isfinite(artifact.tensors["items.delta"]).all()


def test_every_user_is_in_one_batch_of_an_epoch_and_no_batch_is_too_large() -> None:
    rng = np.random.default_rng(0)
    users = histories([list(rng.integers(N_ITEMS, size=n)) for n in rng.integers(0, 9, size=100)])
    cut = list(batches(users, 40, rng))
    assert sorted(np.concatenate(cut)) == sorted(np.flatnonzero(users.lengths > 0))
    assert all(len(rows) * (users.lengths[rows].max() + 2) <= 40 for rows in cut)


def test_an_artifact_read_from_its_files_is_the_same(trained: tuple[Artifact, list[EpochLoss]]) -> None:
    artifact = trained[0]
    again = Artifact.parse(artifact.tensor_bytes(), artifact.facts_json())
    assert again.model_id == artifact.model_id
    np.testing.assert_array_equal(scores(again, histories([[1]])), scores(artifact, histories([[1]])))


def test_an_item_that_was_a_target_only_while_cold_is_scored_by_its_text() -> None:
    """Its learned part comes only from histories, so theta is the theta of its text."""
    users = tasteful_users()
    times = np.arange(len(users.items)) * 86_400.0
    items = np.where(times == times.max(), N_ITEMS - 1, users.items)
    artifact = fit(data(replace(users, times=times, items=items)), SETTINGS, seed=0)
    world, t = catalogue(), artifact.tensors
    vectors = Recommender(artifact).item_vectors(world.ids, world.vectors, world.has_vector, world.popularity)
    text = (world.vectors - t["text_mean"]) / t["text_scale"] @ t["items.w_theta.weight"].T
    np.testing.assert_allclose(vectors.theta[-1], text[-1], rtol=1e-4, atol=1e-5)
    assert not np.allclose(vectors.theta[0], text[0], atol=1e-3)


def test_the_sampled_softmax_learns_tastes_over_several_slices_of_time() -> None:
    users = tasteful_users()
    times = np.arange(len(users.items)) * 86_400.0
    sampled = SETTINGS.model_copy(update={"max_softmax_items": 10, "n_sampled": 16})
    logits = scores(fit(data(replace(users, times=times)), sampled, seed=0), histories([[0, 1, 2]]))[0]
    assert logits[:16].mean() > logits[HALF : HALF + 16].mean() + 0.5


def test_a_behaviour_type_without_a_weight_has_the_default_weight() -> None:
    told = data(tasteful_users(), behaviours=("browse", "purchase"))
    assert replace(told, type_weights=[0.5, 2.0], default_weight=0.25).all_weights.tolist() == [0.5, 2.0, 0.25]
    only_default = replace(told, behaviours=(), type_weights=[], default_weight=1.0)
    assert np.isfinite(fit(only_default, SETTINGS, seed=0).tensors["items.delta"]).all()


@pytest.mark.parametrize(("type_weights", "likelier", "other"), [([1.0, 5.0], 2, 1), ([5.0, 1.0], 1, 2)])
def test_an_item_chosen_by_a_behaviour_of_larger_weight_is_likelier(
    type_weights: list[float], likelier: int, other: int
) -> None:
    """After item 0, as many users take item 1 by one type as take item 2 by the other."""
    users = histories([[0, 1], [0, 2]] * 100, behaviours=[[0, 0], [0, 1]] * 100)
    told = replace(data(users, behaviours=("browse", "purchase")), type_weights=type_weights)
    logits = scores(fit(told, SETTINGS, seed=0), histories([[0]]))[0]
    assert logits[likelier] > logits[other] + 0.5


def test_mixed_precision_learns_what_single_precision_does(trained: tuple[Artifact, list[EpochLoss]]) -> None:
    artifact, losses = train(SETTINGS.model_copy(update={"precision": "bfloat16"}))
    assert artifact.model_id != trained[0].model_id, "nothing was computed in another precision"
    assert (artifact.facts.precision, trained[0].facts.precision) == ("bfloat16", "float32")
    assert {name: values.dtype for name, values in artifact.tensors.items()} == {
        name: values.dtype for name, values in trained[0].tensors.items()
    }
    for mixed, single in zip(losses, trained[1], strict=True):
        assert mixed.loss == pytest.approx(single.loss, rel=0.02)
    users = histories([[0, 1, 2], [20, 21, 22]])
    np.testing.assert_allclose(scores(artifact, users), scores(trained[0], users), atol=0.5)


@pytest.mark.parametrize(
    ("supported", "precision", "half"), [(True, "auto", True), (False, "auto", False), (True, "float32", False)]
)
def test_auto_is_bfloat16_on_gpus_that_have_it(
    supported: bool, precision: str, half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert in_bfloat16(precision, torch.device("cuda")) is half
    assert not in_bfloat16("auto", torch.device("cpu"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_learns_what_the_cpu_does(trained: tuple[Artifact, list[EpochLoss]]) -> None:
    seen: list[EpochLoss] = []
    artifact, again = (
        fit(data(tasteful_users()), SETTINGS, seed=0, on_epoch=seen.append, device="cuda") for _ in range(2)
    )
    assert artifact.tensor_bytes() == again.tensor_bytes(), "two runs of one seed differ"
    for on_gpu, on_cpu in zip(seen[:8], trained[1], strict=True):
        assert on_gpu.loss == pytest.approx(on_cpu.loss, rel=0.02)
    users = histories([[0, 1, 2], [20, 21, 22]])
    np.testing.assert_allclose(scores(artifact, users), scores(trained[0], users), atol=0.5)
