"""Mixed precision of training: the user tower's products in bfloat16, all else in float32."""

from __future__ import annotations

import torch

AUTO, FLOAT32, BFLOAT16 = "auto", "float32", "bfloat16"


def in_bfloat16(precision: str, device: torch.device) -> bool:
    """Return whether ``model.precision`` means bfloat16 on a device: `auto` does on GPUs that have it.

    >>> [in_bfloat16(precision, torch.device("cpu")) for precision in ("auto", "float32", "bfloat16")]
    [False, False, True]
    """
    if precision == AUTO and device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return precision == BFLOAT16


def mixed(precision: str, device: torch.device) -> torch.autocast:
    """Return the context of the tower's forward pass.

    Weights, optimiser, losses and the logits over the catalogue stay float32. Bfloat16 has the range of float32, so
    gradients need no scaling.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=in_bfloat16(precision, device))
