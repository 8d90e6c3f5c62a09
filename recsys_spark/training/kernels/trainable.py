"""All weights that training adjusts: the towers, the item side and the scale of the cosine's BCE."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from recsys_spark.model.kernels.tower import ItemSide, TowerShape, UserTower
from recsys_spark.numerics.arrays import F32, I64, Bools
from recsys_spark.training.kernels.data import Catalogue


class Trainable(nn.Module):
    """Towers, item side and the learned scale of the cosine's BCE, with the frozen inputs next to them."""

    def __init__(self, shape: TowerShape, catalogue: Catalogue, warm: I64) -> None:
        super().__init__()
        self.tower = UserTower(shape)
        self.items = ItemSide(shape.text_width, shape.width, len(warm))
        self.cosine_scale = nn.Parameter(torch.tensor(5.0))
        self.cosine_shift = nn.Parameter(torch.tensor(0.0))
        known = catalogue.vectors[warm][catalogue.has_vector[warm]]
        mean = known.mean(0) if len(known) else np.zeros(shape.text_width, dtype=np.float32)
        scale = float(np.sqrt(((known - mean) ** 2).mean())) if len(known) else 1.0
        self.text_mean: Tensor
        self.text_scale: Tensor
        self.register_buffer("text_mean", torch.from_numpy(mean.astype(np.float32)))
        self.register_buffer("text_scale", torch.tensor(max(scale, 1e-6)))
        self.popularity_units: Tensor
        self.register_buffer("popularity_units", torch.from_numpy(catalogue.popularity.units()))

    def centred(self, vectors: F32, present: Bools) -> Tensor:
        """Return text vectors minus their mean, at unit scale; absent ones are zero."""
        device = self.text_mean.device
        out = (torch.from_numpy(vectors).to(device) - self.text_mean) / self.text_scale
        return out * torch.from_numpy(present).to(device).unsqueeze(1)
