"""From token vectors to a text vector: the ways that ``encoder.pooling`` names. A new way is one entry of POOLINGS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Pooling:
    """One way of pooling."""

    mode: str
    """Its name in the files of sentence-transformers."""
    pool: Callable[[Tensor, Tensor], Tensor]
    """Returns ``[b, h]`` for token vectors ``[b, w, h]`` and int64 ``[b, w]``: 1 at the tokens that count, which lie
    next to one another. Tokens of a prompt may stand before them and padding after them, both 0."""


JOINED = "+"
"""Stands between the names of poolings whose vectors are joined: `cls+mean`."""


def pool(names: str, hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the pooled vectors ``[b, n * h]`` of the n poolings in ``names``, one after the other."""
    import torch

    pooled = [POOLINGS[name].pool(hidden, mask) for name in names.split(JOINED)]
    return pooled[0] if len(pooled) == 1 else torch.cat([vectors.float() for vectors in pooled], dim=1)


def _sum(hidden: Tensor, weights: Tensor) -> Tensor:
    import torch

    # Summed in float32: a bfloat16 counts to 256 only.
    return torch.bmm(weights.unsqueeze(1), hidden.float()).squeeze(1)


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of the token vectors in float32."""
    weights = mask.float()
    return _sum(hidden, weights) / weights.sum(1, keepdim=True)


def _mean_of_root(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the sum of the token vectors over the square root of their number, in float32."""
    weights = mask.float()
    return _sum(hidden, weights) / weights.sum(1, keepdim=True).sqrt()


def _weighted_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of the token vectors in float32, each weighted by its position, which counts from 1."""
    import torch

    weights = mask.float() * torch.arange(1, mask.shape[1] + 1, device=mask.device)
    return _sum(hidden, weights) / weights.sum(1, keepdim=True)


def _largest(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the largest value of each coordinate over the tokens."""
    return hidden.masked_fill(mask.unsqueeze(2) == 0, float("-inf")).amax(1)


def _first(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the vector of the first token that counts; BERT's first token is CLS."""
    import torch

    first = (mask.cumsum(1) == 0).sum(1)
    return hidden[torch.arange(len(mask), device=mask.device), first]


def _last(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the vector of each text's last token."""
    import torch

    last = (mask * torch.arange(mask.shape[1], device=mask.device)).amax(1)
    return hidden[torch.arange(len(mask), device=mask.device), last]


POOLINGS = {
    "mean": Pooling("mean", _mean),
    "cls": Pooling("cls", _first),
    "last": Pooling("lasttoken", _last),
    "max": Pooling("max", _largest),
    "mean_sqrt_len_tokens": Pooling("mean_sqrt_len_tokens", _mean_of_root),
    "weightedmean": Pooling("weightedmean", _weighted_mean),
}
"""Pooling by its name in the configuration."""
