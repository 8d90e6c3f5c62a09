"""The combined rank on a GPU, or any torch device: float32 in place, because a tile fills much of the memory."""

from __future__ import annotations

import torch

from recsys_spark.scoring.kernels.rank import Rank


def logits_of(products: torch.Tensor, length: torch.Tensor, bias: torch.Tensor, rank: Rank) -> torch.Tensor:
    """Return logits [m, n] in the memory of ``products`` with unit vectors.

    ``length`` [m] is what a product of user i is multiplied by, the scale included; ``bias`` [n].
    """
    return torch.addcmul(bias * rank.scale, products, length[:, None], out=products)


def scores_of(cosines: torch.Tensor, logits: torch.Tensor, closed: torch.Tensor, rank: Rank) -> torch.Tensor:
    """Return raw scores [m, n] in the memory of ``cosines``.

    ``closed`` [n] is -inf for items that nobody may get, else 0.
    """
    return torch.add(closed, cosines, alpha=rank.w_cos, out=cosines).add_(logits, alpha=rank.w_ce)
