"""Float32 products on a GPU in full float32: torch may shorten their inputs otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_precision() -> Iterator[None]:
    """Forbid torch to shorten the inputs of float32 products to TF32 and to sum float16 products in float16."""
    settings = torch.backends.cuda.matmul
    new = getattr(settings, "fp32_precision", None)
    try:
        tf32 = settings.allow_tf32
    except RuntimeError:  # set through ``fp32_precision`` alone: torch refuses to say
        tf32 = new != "tf32"
    halves = getattr(settings, "allow_fp16_accumulation", None)
    settings.allow_tf32 = False  # sets the new name as well
    if halves is not None:
        settings.allow_fp16_accumulation = False
    try:
        yield
    finally:
        settings.allow_tf32 = tf32
        if new is not None:
            settings.fp32_precision = new
        if halves is not None:
            settings.allow_fp16_accumulation = halves
