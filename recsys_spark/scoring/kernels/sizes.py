"""Sizes on which the scoring kernels and their callers agree."""

from __future__ import annotations

NO_ITEM = -1
"""Stands for a missing item where a list is shorter than N."""
TILE = 1024
"""Items per step of the fold. Item blocks start at multiples of it, so that sums do not depend on the block size."""
CHUNK = 512
"""Users per matrix product: enough that packing a tile for the product is cheap, and two tiles of scores are 4 MiB."""
DEFAULT_BLOCK_BYTES = 64 * 1024 * 1024
"""Size of item blocks where the caller gives none."""
