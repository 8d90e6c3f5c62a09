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
    """Returns ``[b, h]`` for token vectors ``[b, w, h]`` and int64 ``[b, w]``: 1 at tokens, 0 at padding after them."""


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of the token vectors in float32."""
    import torch

    # Summed in float32: a bfloat16 counts to 256 only.
    weights = mask.float().unsqueeze(1)
    return torch.bmm(weights, hidden.float()).squeeze(1) / weights.sum(2)


def _first(hidden: Tensor, _mask: Tensor) -> Tensor:
    """Return the vector of the first token, which BERT calls CLS."""
    return hidden[:, 0]


def _last(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the vector of each text's last token."""
    import torch

    return hidden[torch.arange(len(mask), device=mask.device), mask.sum(1) - 1]


POOLINGS = {
    "mean": Pooling("mean", _mean),
    "cls": Pooling("cls", _first),
    "last": Pooling("lasttoken", _last),
}
"""Pooling by its name in the configuration."""
