"""Mixed precision of training: the user tower's products in bfloat16, all else in float32."""

from __future__ import annotations

import torch

AUTO, BFLOAT16 = "auto", "bfloat16"


def mixed(precision: str, device: torch.device) -> torch.autocast:
    """The context of the tower's forward pass; `auto` is bfloat16 on GPUs that have it, and float32 elsewhere.

    Weights, optimiser, losses and the logits over the catalogue stay float32. Bfloat16 has the range of float32, so no
    gradient is lost that would have to be scaled up before.

    >>> [mixed(precision, torch.device("cpu"))._enabled for precision in ("auto", "float32", "bfloat16")]
    [False, False, True]
    """
    by_itself = precision == AUTO and device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == BFLOAT16 or by_itself)
