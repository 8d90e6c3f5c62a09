"""The user tower and the item side of the model, as in the table "The method" of docs/architecture.md.

A user is the token sequence ``[profile text] [start + social taste] [behaviour 1] ... [behaviour T]``, oldest first.
The tower reads it causally. The output at behaviour t is x_i after t behaviours. The output at the start token is x_i
of a user who is known only by tags and friends.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recsys_spark.model.kernels.histories import Histories, first_choices
from recsys_spark.model.kernels.links import MIN_EVIDENCE
from recsys_spark.model.kernels.popularity import POPULARITY_FLOOR

N_GAPS = 24
FLOOR_LOG_WEIGHT = -12.0
LINK_FLOOR = 0.02
FRIEND_FLOOR = 0.01
SCALAR_STEPS = 5.0


@dataclass(frozen=True)
class TowerShape:
    """Sizes of the towers; stored next to the weights."""

    width: int
    text_width: int
    n_behaviours: int
    max_history: int
    n_layers: int
    n_heads: int
    dropout: float

    def as_dict(self) -> dict[str, int | float]:
        """Return plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Tokens:
    """A padded batch of B users with up to T behaviours; positions beyond a user's length are padding."""

    items: Tensor
    """[B, T] positions in the item matrix"""
    behaviours: Tensor
    """[B, T] positions in the list of behaviour types"""
    gaps: Tensor
    """[B, T] time since the previous behaviour, in buckets"""
    log_weights: Tensor
    """[B, T] log of the weight, shifted so that the largest of a user is 0"""
    is_first: Tensor
    """[B, T] whether this is the user's first behaviour on the item"""
    lengths: Tensor
    """[B] number of behaviours"""
    texts: Tensor
    """[B, h] vectors of the profile texts"""
    has_text: Tensor
    """[B] whether the user has such a vector"""
    social_items: Tensor
    """[B, S] positions in the item matrix"""
    social_weights: Tensor
    """[B, S] sums to 1 per user; zero for a user without friends' items"""

    def to(self, device: torch.device) -> Tokens:
        """Return the same tokens on another device."""
        return Tokens(**{field.name: getattr(self, field.name).to(device) for field in fields(Tokens)})


def tokens_of(histories: Histories) -> Tokens:
    """Return a batch of histories as padded tokens."""
    n, lengths = histories.n_users, histories.lengths
    width = int(lengths.max(initial=0))
    rows = np.repeat(np.arange(n), lengths)
    columns = np.arange(histories.offsets[-1]) - np.repeat(histories.offsets[:-1], lengths)
    log_weights = np.log(np.maximum(histories.weights, 1e-30))
    if len(rows):
        largest = np.full(n, -np.inf, dtype=np.float32)
        np.maximum.at(largest, rows, log_weights)
        log_weights = np.maximum(log_weights - largest[rows], FLOOR_LOG_WEIGHT)
    since = np.diff(histories.times, prepend=histories.times[:1])
    since[columns == 0] = 0.0
    gaps = np.where(columns == 0, 0, 1 + np.floor(np.log2(np.maximum(since, 0.0) / 60.0 + 1.0)))

    def padded(values: np.ndarray, kind: type) -> Tensor:
        out: np.ndarray = np.zeros((n, width), dtype=kind)
        out[rows, columns] = values
        return torch.from_numpy(out)

    social_lengths = np.diff(histories.social_offsets)
    social_rows = np.repeat(np.arange(n), social_lengths)
    social_columns = np.arange(histories.social_offsets[-1]) - np.repeat(histories.social_offsets[:-1], social_lengths)
    social_items = np.zeros((n, int(social_lengths.max(initial=0))), dtype=np.int64)
    social_items[social_rows, social_columns] = histories.social_items
    social_weights = np.zeros(social_items.shape, dtype=np.float32)
    # Added user by user: the order of `sum` over a padded row depends on the others of the batch.
    sums = np.bincount(social_rows, histories.social_weights, minlength=n)[social_rows]
    social_weights[social_rows, social_columns] = histories.social_weights / np.maximum(sums, 1e-12)
    return Tokens(
        items=padded(histories.items, np.int64),
        behaviours=padded(histories.behaviours, np.int64),
        gaps=padded(np.clip(gaps, 0, N_GAPS - 1), np.int64),
        log_weights=padded(log_weights, np.float32),
        is_first=padded(first_choices(histories), np.bool_),
        lengths=torch.from_numpy(lengths.astype(np.int64)),
        texts=torch.from_numpy(histories.texts),
        has_text=torch.from_numpy(histories.has_text),
        social_items=torch.from_numpy(social_items),
        social_weights=torch.from_numpy(social_weights),
    )


class Block(nn.Module):
    """One pre-norm transformer layer whose attention has the behaviour weights as a prior.

    ``attention_k ~ weight_k^gamma * exp(q.k)``, with a gamma learned for each head. A factor common to a user's weights
    cancels. Exponential decay to a later date is such a factor, so the same history has the same x on every night.
    """

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        d = shape.width
        self.n_heads, self.dropout = shape.n_heads, shape.dropout
        self.norm_in, self.norm_mlp = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))
        self.gamma = nn.Parameter(torch.full((shape.n_heads,), 0.3))
        self.drop = nn.Dropout(shape.dropout)

    def forward(self, h: Tensor, blocked: Tensor, log_weights: Tensor) -> Tensor:
        """Return [B, S, d] from [B, S, d]; ``blocked`` [B, S, S] is true where a query must not look."""
        b, s, d = h.shape
        q, k, v = self.qkv(self.norm_in(h)).view(b, s, 3, self.n_heads, d // self.n_heads).permute(2, 0, 3, 1, 4)
        prior = self.gamma.view(1, -1, 1, 1) * log_weights[:, None, None, :]
        mask = prior.expand(b, self.n_heads, s, s).masked_fill(blocked[:, None], -math.inf)
        attended = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, dropout_p=self.dropout if self.training else 0.0
        )
        h = h + self.drop(self.out(attended.transpose(1, 2).reshape(b, s, d)))
        return torch.add(h, self.drop(self.mlp(self.norm_mlp(h))))


class UserTower(nn.Module):
    """x_i = f(history, interest tags, social neighbours)."""

    def __init__(self, shape: TowerShape) -> None:
        super().__init__()
        d = shape.width
        self.shape = shape
        self.behaviour = nn.Embedding(shape.n_behaviours + 1, d)
        self.gap = nn.Embedding(N_GAPS, d)
        self.position = nn.Embedding(shape.max_history, d)
        self.text = nn.Linear(shape.text_width, d)
        self.social = nn.Linear(d, d)
        self.start = nn.Parameter(torch.zeros(d))
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.n_layers))
        self.norm, self.out = nn.LayerNorm(d), nn.Linear(d, d)
        # Items chosen together, in any order: on shops a linear model of these pairs beats many deep models.
        self.bag, self.bag_gamma = nn.Linear(d, d, bias=False), nn.Parameter(torch.tensor(0.5))
        nn.init.zeros_(self.bag.weight)
        self.drop = nn.Dropout(shape.dropout)
        for table in (self.behaviour, self.gap, self.position):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, tokens: Tokens, item_tokens: Tensor) -> Tensor:
        """Return the outputs [B, 2 + T, d] at every token, from item tokens [n_items, d]; see :func:`last_outputs`."""
        t, device = tokens.items.shape[1], item_tokens.device
        history = F.embedding(tokens.items, item_tokens) + self.behaviour(tokens.behaviours) + self.gap(tokens.gaps)
        history = history + self.position.weight[:t].unsqueeze(0)
        taste = (F.embedding(tokens.social_items, item_tokens) * tokens.social_weights.unsqueeze(-1)).sum(1)
        has_social = tokens.social_weights.sum(1, keepdim=True) > 0
        start = self.start + torch.where(has_social, self.social(taste), 0.0)
        h = self.drop(torch.cat([self.text(tokens.texts).unsqueeze(1), start.unsqueeze(1), history], dim=1))
        s = t + 2
        absent = torch.arange(s, device=device).unsqueeze(0) >= tokens.lengths.unsqueeze(1) + 2
        absent[:, 0] = ~tokens.has_text
        later = torch.ones(s, s, dtype=torch.bool, device=device).triu(1)
        blocked = (later | absent[:, None, :]) & ~torch.eye(s, dtype=torch.bool, device=device)
        log_weights = F.pad(tokens.log_weights, (2, 0))
        for block in self.blocks:
            h = block(h, blocked, log_weights)
        x: Tensor = self.out(self.norm(h))
        return x + F.pad(self.drop(self.bag(self._together(tokens, item_tokens))), (0, 0, 2, 0))

    def _together(self, tokens: Tokens, item_tokens: Tensor) -> Tensor:
        """Return weighted sums of the item tokens so far, [B, T, d].

        A sum is divided by the root of the summed squares of its weights, so that its scale does not grow with the
        history.
        """
        places = torch.arange(tokens.items.shape[1], device=item_tokens.device)
        absent = places.unsqueeze(0) >= tokens.lengths.unsqueeze(1)
        share = (self.bag_gamma * tokens.log_weights).exp().masked_fill(absent, 0.0)
        sums = (F.embedding(tokens.items, item_tokens) * share.unsqueeze(-1)).cumsum(1)
        together: Tensor = sums / share.square().cumsum(1).clamp(min=1e-12).sqrt().unsqueeze(-1)
        return together


class ItemSide(nn.Module):
    """Item vectors from text vectors and, for items seen in training, a learned part.

    token_j = W_in e_j + delta_j (the tokens of a history)
    theta_j = W_theta e_j + delta_j
    y_j = W_y e_j
    b_j = beta . popularity features of j + c_j
    """

    def __init__(self, text_width: int, width: int, n_warm: int) -> None:
        super().__init__()
        self.w_in = nn.Linear(text_width, width)
        self.w_theta = nn.Linear(text_width, width, bias=False)
        self.w_y = nn.Linear(text_width, width, bias=False)
        self.delta = nn.Parameter(torch.randn(n_warm, width) * 0.02)
        self.correction = nn.Parameter(torch.zeros(n_warm))
        # A cold item begins where an item begins that hardly anybody chose.
        self.beta = nn.Parameter(torch.tensor([0.5, 0.5, math.log(POPULARITY_FLOOR)]))
        self.link = nn.Parameter(torch.zeros(3))
        self.friend = nn.Parameter(torch.zeros(2))


def link_boosts(evidence: Tensor, n_items: Tensor, link: Tensor) -> Tensor:
    """Return the additions of link evidence [nnz] to logits.

        strength * log((evidence + floor) / (MIN_EVIDENCE + floor))

    ``n_items`` [nnz] is the number of distinct items of the history.

    ``link`` [3] holds the log strength, the log floor, and the power of ``n_items`` in the strength. The two logs are
    in units of SCALAR_STEPS, so that learning steps that suit vectors also move scalars. The power is learned because a
    sum over many items says less than the same sum over few.
    """
    strength = (SCALAR_STEPS * link[0] + link[2] * n_items.log()).exp()
    floor = LINK_FLOOR * (SCALAR_STEPS * link[1]).exp()
    return strength * ((evidence.clamp(min=MIN_EVIDENCE) + floor).log() - (MIN_EVIDENCE + floor).log())


def friend_boosts(share: Tensor, friend: Tensor) -> Tensor:
    """Return the additions to the logits of friends' items for a user without a history.

        strength * log((share + floor) / floor)

    ``share`` [nnz] is an item's share of the weight of all items that the user's neighbours like. ``friend`` [2] holds
    log strength and log floor, in units of SCALAR_STEPS.
    """
    strength, floor = (SCALAR_STEPS * friend[0]).exp(), FRIEND_FLOOR * (SCALAR_STEPS * friend[1]).exp()
    return strength * ((share + floor).log() - floor.log())


def last_outputs(outputs: Tensor, lengths: Tensor) -> Tensor:
    """Return x_i [B, d]: the output at each user's last behaviour, or at the start token if the user has none."""
    return outputs[torch.arange(len(lengths), device=outputs.device), lengths + 1]
