"""The loss over drawn items compared with the loss over all, and which items are negatives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys_spark.config.model import Model
from recsys_spark.model.kernels.choices import Choices
from recsys_spark.model.kernels.histories import Histories
from recsys_spark.model.kernels.recommender import Recommender
from recsys_spark.training.kernels.fit import fit
from recsys_spark.training.kernels.predictions import may_be_asked
from recsys_spark.training.kernels.run import Run
from tests.model.worlds import N_ITEMS, catalogue, data, histories

SETTINGS = Model(
    width=8,
    n_layers=1,
    trial_epochs=0,
    batch_positions=4096,
    dropout=0.0,
    id_dropout=0.0,
    link_penalty=2.0,
    n_sampled=512,
)
N_USERS, N_DRAWS = 150, 30


def popular_users(seed: int = 4) -> Histories:
    """Items of very different popularity, some chosen together; half of the behaviours are in a later slice of time."""
    rng = np.random.default_rng(seed)
    share = 1.0 / (1 + np.arange(N_ITEMS))
    rows = [list(rng.choice(N_ITEMS, size=5, replace=False, p=share / share.sum())) for _ in range(N_USERS)]
    users = histories(rows)
    return replace(users, times=users.times + np.repeat(rng.integers(100, size=N_USERS) * 86_400.0, 5))


def run_of(settings: Model) -> Run:
    """A run with a model that has learned a little, so that logits differ."""
    run = Run(data(popular_users()), settings, 0)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in (run.model.items.delta, run.model.items.correction):
            parameter.add_(torch.randn_like(parameter) * 0.5)
    return run


def loss_and_gradient(run: Run, seed: int) -> tuple[float, torch.Tensor]:
    """Loss and gradient only of the softmax; the seed decides the targets."""
    model = run.model
    found = run.objective(run.histories, np.random.default_rng(seed))
    assert found is not None
    wanted = [model.items.delta, model.items.correction, model.items.link, model.items.w_theta.weight]
    gradients = torch.autograd.grad(found[0], wanted, allow_unused=True)
    return found[1][0], torch.cat([g.flatten() for g in gradients if g is not None])


def test_the_loss_over_drawn_items_is_nearly_unbiased() -> None:
    full, sampled = (
        run_of(SETTINGS.model_copy(update={"max_softmax_items": n, "bce_weight": 0.0})) for n in (1_000, 10)
    )
    assert sampled.objective.sampled
    assert not full.objective.sampled
    over_all = [loss_and_gradient(full, seed) for seed in range(N_DRAWS)]
    drawn = [loss_and_gradient(sampled, seed) for seed in range(N_DRAWS)]
    one, other = (np.mean([loss for loss, _ in runs]) for runs in (over_all, drawn))
    assert other == pytest.approx(one, rel=0.01)
    one, other = (torch.stack([gradient for _, gradient in runs]).mean(0) for runs in (over_all, drawn))
    assert torch.cosine_similarity(one, other, dim=0) > 0.995
    assert float((one - other).norm() / one.norm()) < 0.1


def test_half_of_the_drawn_items_are_targets_of_the_batch() -> None:
    run = run_of(SETTINGS.model_copy(update={"max_softmax_items": 10}))
    targets = torch.full((20,), 31)
    draws = [run.objective.draw(targets, np.random.default_rng(seed)) for seed in range(200)]
    half = SETTINGS.n_sampled // 2
    items = torch.stack([drawn.items for drawn in draws])
    assert items.shape == (200, SETTINGS.n_sampled)
    assert (items[:, half:] == 31).all()
    assert (items[:, :half] < 10).float().mean() > 0.4
    # If targets come as often as they are asked for, the mean count of an item is `exp(log_expected)`.
    share, rngs = run.objective.share, map(np.random.default_rng, range(2_000))
    draws = [run.objective.draw(torch.from_numpy(rng.choice(len(share), 20, p=share)), rng) for rng in rngs]
    counts = np.bincount(torch.cat([drawn.items for drawn in draws]).numpy()) / len(draws)
    log_expected = dict(zip(draws[0].items.tolist(), draws[0].log_expected.tolist(), strict=True))
    for item in (0, 1, 5):
        assert log_expected[item] == pytest.approx(np.log(counts[item]), abs=0.05)


@pytest.mark.parametrize("sampled", [False, True])
def test_an_item_that_is_only_a_first_behaviour_is_not_a_negative(sampled: bool) -> None:
    # Item 7 begins histories, item 8 is all that its users have: nothing ever asks for them.
    rng = np.random.default_rng(0)
    rows = [[7, *rng.choice([0, 1, 2, 3], 2, replace=False)] for _ in range(100)] + [[8]] * 50
    settings = SETTINGS.model_copy(update={"max_softmax_items": 2 if sampled else 1_000, "n_sampled": 64, "epochs": 5})
    run = Run(data(histories([list(map(int, row)) for row in rows])), settings, 0)
    place = {int(item): k for k, item in enumerate(run.warm)}
    assert sorted(run.warm[run.objective.negatives]) == [0, 1, 2, 3]
    (gradient,) = torch.autograd.grad(
        run.objective(run.histories, np.random.default_rng(0))[0],
        [run.model.items.correction],  # type: ignore[index]
    )
    assert gradient[[place[0], place[3]]].abs().min() > 0
    assert not gradient[[place[7], place[8]]].any()
    # The part learned for histories is not their theta.
    assert run.artifact(Choices()).tensors["items.settled"].tolist() == [1, 1, 1, 1, 0, 0]
    artifact = fit(data(histories([list(map(int, row)) for row in rows])), settings, seed=0)
    world = catalogue()
    items = Recommender(artifact).item_vectors(world.ids, world.vectors, world.has_vector, world.popularity)
    assert np.isfinite(items.theta).all()
    assert np.isfinite(items.bias).all()
    # Links are counted, not learned, and used in scoring: two of the others lead to the item that begins histories.
    served = Recommender(artifact).user_boosts(histories([[0, 1]]), items.link)
    assert items.link[7] in served.item


@pytest.mark.parametrize(
    ("rows", "asked", "repeats"),
    [
        ([[1, 2, 3]], [0, 1, 1], False),
        ([[1], [2, 1]], [0, 0, 1], False),
        ([[1, 1, 2]], [0, 0, 1], False),
        ([[1, 1, 2]], [0, 1, 1], True),
        ([[]], [], False),
    ],
)
def test_targets_are_first_choices_after_another_behaviour_unless_repeats_count(
    rows: list[list[int]], asked: list[int], repeats: bool
) -> None:
    assert may_be_asked(histories(rows), repeats).astype(int).tolist() == asked


def test_all_behaviours_of_one_instant_or_of_a_known_profile_may_be_targets() -> None:
    together = replace(histories([[1, 2], [3]]), times=np.zeros(3))
    assert may_be_asked(together, False).tolist() == [True, True, False]
    known = histories([[1, 2], [3], [4]], texts={1: np.ones(8, np.float32)}, social={2: [5]})
    assert may_be_asked(known, False).tolist() == [False, True, True, True]
