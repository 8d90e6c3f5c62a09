"""The loss of training: softmax cross-entropy of a later behaviour plus the article's BCE on the cosine.

Every position of a history predicts a behaviour after it, weighted by the configured weight of that behaviour's type.
The softmax runs only over items that may be targets. An item that is never a target must not be a negative either: else
the text path learns to push every new item down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from recsys_spark.config.model import Model as ModelConfig
from recsys_spark.model.kernels.histories import Histories
from recsys_spark.model.kernels.links import Evidence
from recsys_spark.model.kernels.popularity import Replay
from recsys_spark.model.kernels.tower import Tokens, friend_boosts, link_boosts, tokens_of
from recsys_spark.numerics.arrays import F64, I64, Bools
from recsys_spark.training.kernels.data import Catalogue
from recsys_spark.training.kernels.loss import Boosts, softmax_loss
from recsys_spark.training.kernels.mixed_precision import mixed
from recsys_spark.training.kernels.predictions import Predictions
from recsys_spark.training.kernels.trainable import Trainable

MIN_LOSS_WEIGHT = 0.05
EvidenceOf = Callable[[Histories, I64, I64], Evidence]
"""Returns the evidence at behaviours (row, column) of a batch, as `link_fit.evidence_without_self` does."""


class Drawn(NamedTuple):
    """The k negatives of a step; an item may be among them several times."""

    items: Tensor
    """[k] rows among the warm items"""
    log_expected: Tensor
    """[k] log of how often the item is drawn on average; its logit is lowered by it (log-Q correction)"""


class Objective:
    """The loss of one batch; ``asked`` [n_warm] counts the behaviours on each item that may be targets
    (`may_be_asked`)."""

    def __init__(
        self,
        model: Trainable,
        catalogue: Catalogue,
        warm: I64,
        asked: I64,
        replayed: Replay,
        type_weights: F64,
        settings: ModelConfig,
        predict_repeats: bool,
        evidence: EvidenceOf,
    ) -> None:
        self.evidence, self.device = evidence, model.items.delta.device
        self.model, self.settings, self.predict_repeats = model, settings, predict_repeats
        self.vectors = model.centred(catalogue.vectors[warm], catalogue.has_vector[warm])
        self.replayed = replayed
        self.type_weights = np.clip(type_weights / (type_weights.max() or 1.0), MIN_LOSS_WEIGHT, 1.0).astype(np.float32)
        self.features, self.known = self._here(replayed.features), self._here(replayed.known)
        never = self._here(np.where(asked > 0, 0.0, -np.inf).astype(np.float32))
        # The first slice has its own popularity, so items of later slices are not candidates there; elsewhere they are.
        self.absent = (torch.where(self.known[0], never, -torch.inf), never)
        self.is_asked, self.negatives = asked > 0, np.flatnonzero(asked)
        self.share = asked / max(1, asked.sum())
        self.popular_share = self.share**0.75 / max((self.share**0.75).sum(), 1e-12)
        self.sampled = len(self.negatives) > settings.max_softmax_items

    def __call__(self, batch: Histories, rng: np.random.Generator) -> tuple[Tensor, tuple[float, float], int] | None:
        """Return (loss, (cross-entropy, BCE), number of predictions), or None if the batch predicts nothing."""
        model = self.model
        tokens = tokens_of(batch)
        # One mask for histories, candidates and links: hidden items are known only by text and popularity.
        shown = rng.random(len(self.vectors)) >= self.settings.id_dropout
        delta = model.items.delta * self._here(shown.astype(np.float32)).unsqueeze(1)
        outputs = self._outputs(tokens, delta)
        made = self._predictions(outputs, tokens, batch, shown, rng)
        if not len(made.target):
            return None
        ce = self._softmax(made, delta, rng)
        bce = (self._cosine_bce(made.x, made.target, rng) * made.weight).sum()
        return ce + self.settings.bce_weight * bce, (ce.item(), bce.item()), len(made.target)

    def _outputs(self, tokens: Tokens, delta: Tensor) -> Tensor:
        """Return the tower's outputs. Only items of the batch get tokens, so that a step of a large catalogue costs
        no more."""
        items, social = tokens.items.numpy(), tokens.social_items.numpy()
        used, place = np.unique(np.concatenate([items.ravel(), social.ravel()]), return_inverse=True)
        local = replace(
            tokens,
            items=torch.from_numpy(place[: items.size].reshape(items.shape)),
            social_items=torch.from_numpy(place[items.size :].reshape(social.shape)),
        )
        rows = self._here(used)
        item_tokens = self.model.items.w_in(self.vectors[rows]) + F.embedding(rows, delta)
        with mixed(self.settings.precision, self.device):
            outputs: Tensor = self.model.tower(local.to(self.device), item_tokens)
        return outputs.float()

    def _here(self, values: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(self.device)

    def _predictions(
        self, outputs: Tensor, tokens: Tokens, batch: Histories, shown: Bools, rng: np.random.Generator
    ) -> Predictions:
        """Return pairs (x, later item) of every position, and of the start token if tags or friends are known.

        The target is drawn anew each epoch from the next `target_window` behaviours: a list is for tomorrow, not for
        the very next click.
        """
        t = tokens.items.shape[1]
        row, column = (torch.arange(t).unsqueeze(0) < (tokens.lengths - 1).unsqueeze(1)).nonzero(as_tuple=True)
        ahead = torch.clamp(tokens.lengths[row] - 1 - column, max=self.settings.target_window)
        later = column + 1 + (torch.from_numpy(rng.random(len(row))) * ahead).long()
        if not self.predict_repeats:
            first = tokens.is_first[row, later]
            row, column, later = row[first], column[first], later[first]
        # For users known only by profile: the start token predicts one behaviour of the user, drawn anew each epoch.
        served = (tokens.has_text | (tokens.social_weights.sum(1) > 0)) & (tokens.lengths > 0)
        rows = served.nonzero().squeeze(1)
        chosen = torch.from_numpy((rng.random(len(rows)) * tokens.lengths[rows].numpy()).astype(np.int64))
        x = torch.cat([outputs[row, column + 2], outputs[rows, 1]])
        row, later = torch.cat([row, rows]), torch.cat([later, chosen])
        flat = batch.offsets[row.numpy()] + later.numpy()
        # By type only: old behaviours and short plays show as well as others which items go together.
        weight = self._here(self.type_weights[batch.behaviours[flat]])
        slices = self.replayed.slice_of(batch.times[flat])
        # Predictions of the start token have no behaviour before them, so no links.
        after = len(row) - len(rows)
        evidence = self.evidence(batch, row[:after].numpy(), column.numpy())
        known = self.replayed.known[slices[evidence.row], evidence.item] & (shown & self.is_asked)[evidence.item]
        evidence = evidence.where(known)
        n_items = tokens.is_first.numpy().cumsum(1)[row[evidence.row], column[evidence.row]]
        at, item, value, n = (self._here(values) for values in (*evidence, n_items))
        of_links = Boosts(at, item, link_boosts(value, n, self.model.items.link))
        boosts = of_links.before(self._of_friends(tokens, rows, after, slices))
        return Predictions(x, tokens.items[row, later].to(self.device), weight / weight.sum(), slices, boosts)

    def _of_friends(self, tokens: Tokens, rows: Tensor, after: int, slices: I64) -> Boosts:
        """Return the boosts by friends to predictions of start tokens, which have no history.

        These predictions come ``after`` the others; they are of users ``rows``.
        """
        share = tokens.social_weights[rows]
        k, column = (share > 0).nonzero(as_tuple=True)
        at, item = after + k, tokens.social_items[rows][k, column]
        known = torch.from_numpy(self.replayed.known[slices[at.numpy()], item.numpy()] & self.is_asked[item.numpy()])
        value = share[k, column][known].to(self.device)
        return Boosts(
            at[known].to(self.device), item[known].to(self.device), friend_boosts(value, self.model.items.friend)
        )

    def _softmax(self, made: Predictions, delta: Tensor, rng: np.random.Generator) -> Tensor:
        """Return the weighted sum of -log P(target), over all warm items or over drawn ones with log-Q correction."""
        loss = made.x.new_zeros(())
        drawn = self.draw(made.target, rng) if self.sampled else None
        text = self.model.items.w_theta(self.vectors if drawn is None else self.vectors[drawn.items])
        for s in np.unique(made.slices).tolist():
            at = self._here(np.flatnonzero(made.slices == s))
            x, target, weight = made.x[at], made.target[at], made.weight[at]
            boosts = made.boosts.of_rows(at, len(made.x))
            if drawn:
                loss = loss + self._over_drawn(s, x, target, weight, delta, drawn, text, boosts)
            else:
                loss = loss + softmax_loss(x, *self._candidates(s, text, delta, slice(None)), target, weight, boosts)
        return loss

    def draw(self, target: Tensor, rng: np.random.Generator) -> Drawn:
        """Return drawn negatives. Half of them are targets of this batch: the model has to tell these apart now."""
        n_batch = self.settings.n_sampled // 2
        n_popular = self.settings.n_sampled - n_batch
        popular = rng.choice(len(self.share), size=n_popular, p=self.popular_share)
        items = np.concatenate([popular, target.cpu().numpy()[rng.integers(len(target), size=n_batch)]])
        expected = n_popular * self.popular_share[items] + n_batch * self.share[items]
        return Drawn(self._here(items), self._here(np.log(expected).astype(np.float32)))

    def _candidates(self, s: int, text: Tensor, delta: Tensor, rows: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Return theta [n, d] and bias [n] of warm items when slice ``s`` began.

        Items that were new then have only their text (W_theta e).
        """
        items = self.model.items
        known = self.known[s, rows].float()
        bias = self.features[s, rows] @ items.beta + items.correction[rows] * known
        return text + delta[rows] * known.unsqueeze(1), bias + self.absent[min(s, 1)][rows]

    def _over_drawn(
        self,
        s: int,
        x: Tensor,
        target: Tensor,
        weight: Tensor,
        delta: Tensor,
        drawn: Drawn,
        text: Tensor,
        boosts: Boosts,
    ) -> Tensor:
        """Return the loss over the targets and the ``drawn`` items; ``text`` is W_theta e of the drawn ones."""
        theta, bias = self._candidates(s, self.model.items.w_theta(self.vectors[target]), delta, target)
        own = (x * theta).sum(1) + bias + boosts.at(target.unsqueeze(1), len(self.share)).squeeze(1)
        theta, bias = self._candidates(s, text, delta, drawn.items)
        others = x @ theta.T + (bias - drawn.log_expected) + boosts.over(drawn.items, len(x))
        others = others.masked_fill(target.unsqueeze(1) == drawn.items.unsqueeze(0), -torch.inf)
        nll: Tensor = torch.logsumexp(torch.cat([own.unsqueeze(1), others], dim=1), dim=1) - own
        return (nll * weight).sum()

    def _cosine_bce(self, x: Tensor, target: Tensor, rng: np.random.Generator) -> Tensor:
        """Return the article's BCE on a learned scale of the cosine, [n]: label 1 for the next item, 0 for drawn
        ones."""
        model = self.model
        drawn = self._here(self.negatives[rng.integers(len(self.negatives), size=self.settings.n_negatives)])
        y = F.normalize(model.items.w_y(self.vectors[torch.cat([target, drawn])]), dim=1)
        unit = F.normalize(x, dim=1)
        own = (unit * y[: len(target)]).sum(1) * model.cosine_scale + model.cosine_shift
        others = unit @ y[len(target) :].T * model.cosine_scale + model.cosine_shift
        wrong = (target.unsqueeze(1) != drawn.unsqueeze(0)).float()
        negative = (F.softplus(others) * wrong).sum(1) / wrong.sum(1).clamp(min=1)
        bce: Tensor = F.softplus(-own) + negative
        return bce
