"""The limit of encoding: a model's matrix products and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.encode.cases import parameters

if TYPE_CHECKING:
    import torch

    from recsys_spark.encoding.kernels.encoder import TextEncoder
    from recsys_spark.encoding.kernels.spec import EncoderSpec

ROWS = 1_024
"""Of a product: as many as the default batch has tokens, which stay in cache."""
ENOUGH = 40_000
"""Tokens that give a steady figure."""


class Products:
    """A model's matrix products: query, key and value in one, attention's output, feed-forward in and out.

    Preallocated, one matrix of each shape for all layers, so that it stays in cache: the strictest form of this limit.
    """

    def __init__(self, spec: EncoderSpec, dtype: torch.dtype, device: str) -> None:
        import torch

        from recsys_spark.encoding.files.checks import read_config
        from recsys_spark.encoding.files.identity import verified_folder

        folder = verified_folder(spec)
        config = read_config(folder, False)
        h, f = config["hidden_size"], config["intermediate_size"]
        self.n_layers, self.device = config["num_hidden_layers"], device
        self.per_token = 2 * parameters(folder)
        """FLOP that the model's parameters cost a token."""
        self.flop = sum(2 * ROWS * k * n for k, n in ((h, 3 * h), (h, h), (h, f), (f, h))) * self.n_layers
        """FLOP of one pass over ROWS tokens."""
        generator = torch.Generator().manual_seed(0)

        def matrix(rows: int, columns: int) -> torch.Tensor:
            return torch.randn(rows, columns, generator=generator).to(device, dtype)

        narrow, wide = matrix(ROWS, h), matrix(ROWS, f)
        self.terms = [
            (left, matrix(left.shape[1], n), torch.empty(ROWS, n, dtype=dtype, device=device))
            for left, n in ((narrow, 3 * h), (narrow, h), (narrow, f), (wide, h))
        ]

    def passes(self, n_tokens: int) -> int:
        """Return how many passes cost about half of what ``n_tokens`` cost, and no more than a steady figure needs."""
        return max(1, round(min(n_tokens, ENOUGH) * self.per_token / self.flop / 2))

    def tokens(self, n_passes: int) -> int:
        """Return the tokens whose parameters cost as much as ``n_passes``."""
        return round(n_passes * self.flop / self.per_token)

    def run(self, n_passes: int) -> None:
        """Multiply."""
        import torch

        for _ in range(n_passes * self.n_layers):
            for left, right, out in self.terms:
                torch.mm(left, right, out=out)
        if self.device != "cpu":
            torch.cuda.synchronize()


def products_of(encoder: TextEncoder) -> Products:
    """Return products in the precision and on the device of that encoder; int8 is compared with float32."""
    import torch

    return Products(encoder.spec, getattr(torch, dtype_of(encoder.spec.backend)), encoder.device)


def dtype_of(backend: str) -> str:
    """Return the precision that a backend is compared in.

    >>> dtype_of("torch-float16"), dtype_of("int8")
    ('float16', 'float32')
    """
    return "float32" if backend == "int8" else backend.removeprefix("torch-")
