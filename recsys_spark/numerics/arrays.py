"""Array types of the project, and the sizes on which the scoring kernel and its callers agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I8 = NDArray[np.int8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Bools = NDArray[np.bool_]
Number = float | np.floating[Any]
NO_ITEM = -1
"""Stands for a missing item where a list is shorter than N."""
TILE = 1024
"""Items per step of the fold. Item blocks start at multiples of it, so that sums do not depend on the block size."""
CHUNK = 512
"""Users per matrix product: enough that packing a tile for the product is cheap, and two tiles of scores are 4 MiB."""
DEFAULT_BLOCK_BYTES = 64 * 1024 * 1024
"""Size of item blocks where the caller gives none."""
