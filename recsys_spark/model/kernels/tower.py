"""The user tower and the item side of the model, as in the table "The method" of docs/architecture.md.

A user is the token sequence ``[profile text] [start + social taste] [behaviour 1] ... [behaviour T]``, oldest first,
read causally: the output at behaviour t is x_i after t behaviours, the output at the start token is x_i of a user
known by tags and friends only.
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
    """Sizes of the towers; stored beside the weights."""

    width: int
    text_width: int
    n_behaviours: int
    max_history: int
    n_layers: int
    n_heads: int
    dropout: float

    def as_dict(self) -> dict[str, int | float]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Tokens:
    """A padded batch of B users with up to T behaviours; positions beyond a user's length are padding."""

    items: Tensor
    """[B, T] positions in the item matrix"""
    behaviours: Tensor
    """[B, T]"""
    gaps: Tensor
    """[B, T] bucketed time since the behaviour before"""
    log_weights: Tensor
    """[B, T] log of weight, the largest of a user at 0"""
    is_first: Tensor
    """[B, T] whether the user had not touched the item before"""
    lengths: Tensor
    """[B]"""
    texts: Tensor
    """[B, h]"""
    has_text: Tensor
    """[B]"""
    social_items: Tensor
    """[B, S]"""
    social_weights: Tensor
    """[B, S] sums to 1 per user, zero where there is none"""

    def to(self, device: torch.device) -> Tokens:
        """The same on another device."""
        return Tokens(**{field.name: getattr(self, field.name).to(device) for field in fields(Tokens)})


def tokens_of(histories: Histories) -> Tokens:
    """Pad a batch of histories."""
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
    social_weights[social_rows, social_columns] = histories.social_weights
    social_weights /= np.maximum(social_weights.sum(1, keepdims=True), 1e-12)
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

    ``attention_k ~ weight_k^gamma * exp(q.k)``, gamma learned per head. A factor common to a user's weights cancels,
    and exponential decay to a later date is such a factor: the same history has the same x on every night.
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
        """[B, S, d] -> [B, S, d]; ``blocked`` [B, S, S] is true where a query must not look."""
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
        # What was chosen together, whatever the order: on shops a linear model of that alone beats many a deep one.
        self.bag, self.bag_gamma = nn.Linear(d, d, bias=False), nn.Parameter(torch.tensor(0.5))
        nn.init.zeros_(self.bag.weight)
        self.drop = nn.Dropout(shape.dropout)
        for table in (self.behaviour, self.gap, self.position):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, tokens: Tokens, item_tokens: Tensor) -> Tensor:
        """Outputs [B, 2 + T, d] at every token, from item tokens [n_items, d]; see :func:`last_outputs`."""
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
        """[B, T, d] weighted sums of the item tokens so far, over the root of the squared weights, so that they keep
        a scale."""
        places = torch.arange(tokens.items.shape[1], device=item_tokens.device)
        absent = places.unsqueeze(0) >= tokens.lengths.unsqueeze(1)
        share = (self.bag_gamma * tokens.log_weights).exp().masked_fill(absent, 0.0)
        sums = (F.embedding(tokens.items, item_tokens) * share.unsqueeze(-1)).cumsum(1)
        together: Tensor = sums / share.square().cumsum(1).clamp(min=1e-12).sqrt().unsqueeze(-1)
        return together


class ItemSide(nn.Module):
    """Item vectors from text vectors and, for items seen in training, a learned part.

    token_j = W_in e_j + delta_j (what a history is made of), theta_j = W_theta e_j + delta_j, y_j = W_y e_j,
    b_j = beta . popularity features of j + c_j.
    """

    def __init__(self, text_width: int, width: int, n_warm: int) -> None:
        super().__init__()
        self.w_in = nn.Linear(text_width, width)
        self.w_theta = nn.Linear(text_width, width, bias=False)
        self.w_y = nn.Linear(text_width, width, bias=False)
        self.delta = nn.Parameter(torch.randn(n_warm, width) * 0.02)
        self.correction = nn.Parameter(torch.zeros(n_warm))
        # A cold item begins where one does that hardly anybody chose.
        self.beta = nn.Parameter(torch.tensor([0.5, 0.5, math.log(POPULARITY_FLOOR)]))
        self.link = nn.Parameter(torch.zeros(3))
        self.friend = nn.Parameter(torch.zeros(2))


def link_boosts(evidence: Tensor, n_items: Tensor, link: Tensor) -> Tensor:
    """What evidence [nnz] adds to logits: strength * log((evidence + floor) / (MIN_EVIDENCE + floor)).

    ``n_items`` [nnz] is the number of distinct items of the history.

    ``link`` [3]: log strength and log floor in units of SCALAR_STEPS, so that steps of a size that suits vectors move
    scalars, too, and the power of n_items that strength goes with: a sum over many items says less than the same over
    few.
    """
    strength = (SCALAR_STEPS * link[0] + link[2] * n_items.log()).exp()
    floor = LINK_FLOOR * (SCALAR_STEPS * link[1]).exp()
    return strength * ((evidence.clamp(min=MIN_EVIDENCE) + floor).log() - (MIN_EVIDENCE + floor).log())


def friend_boosts(share: Tensor, friend: Tensor) -> Tensor:
    """What friends add to the logits of their items for a user without a history: strength * log((share + floor) /
    floor).

    ``share`` [nnz] of the weight of what the user's neighbours like, ``friend`` [2] log strength and log floor in
    units of SCALAR_STEPS.
    """
    strength, floor = (SCALAR_STEPS * friend[0]).exp(), FRIEND_FLOOR * (SCALAR_STEPS * friend[1]).exp()
    return strength * ((share + floor).log() - floor.log())


def last_outputs(outputs: Tensor, lengths: Tensor) -> Tensor:
    """x_i [B, d]: the output at each user's last behaviour, or at the start token where there is none."""
    return outputs[torch.arange(len(lengths), device=outputs.device), lengths + 1]
