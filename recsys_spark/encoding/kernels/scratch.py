"""Memory for the results of matrix products, used again by the next batch."""

from __future__ import annotations

import torch
from torch import Tensor


class Scratch:
    """Pieces of memory by name. Fresh pages for each product would cost a twentieth of the product."""

    def __init__(self) -> None:
        self._pieces: dict[tuple[str, torch.dtype], Tensor] = {}

    def __call__(self, name: str, n_rows: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """``[n_rows, width]``, whatever is in it; good until the same name is asked for again."""
        piece = self._pieces.get((name, dtype))
        if piece is None or len(piece) < n_rows * width:
            piece = self._pieces[name, dtype] = torch.empty(n_rows * width, dtype=dtype)
        return piece[: n_rows * width].view(n_rows, width)
