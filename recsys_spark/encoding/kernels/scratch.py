"""Memory for the results of matrix products, which the next batch uses again."""

from __future__ import annotations

import torch
from torch import Tensor


class Scratch:
    """Pieces of memory by name. New pages for each product would cost a twentieth of its time."""

    def __init__(self) -> None:
        self._pieces: dict[tuple[str, torch.dtype], Tensor] = {}

    def __call__(self, name: str, n_rows: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return ``[n_rows, width]`` with arbitrary content, valid until the same name is asked for again."""
        piece = self._pieces.get((name, dtype))
        if piece is None or len(piece) < n_rows * width:
            piece = self._pieces[name, dtype] = torch.empty(n_rows * width, dtype=dtype)
        return piece[: n_rows * width].view(n_rows, width)
