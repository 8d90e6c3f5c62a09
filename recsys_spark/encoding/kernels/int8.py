"""Linear layers in int8 on the CPU: weights are quantised once, activations in each call, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from recsys_spark.encoding.kernels import passes
from recsys_spark.encoding.kernels.int8_products import exact_products, has_int8_products
from recsys_spark.encoding.kernels.scratch import Scratch
from recsys_spark.encoding.kernels.threads import in_parts
from recsys_spark.errors import EncoderError
from recsys_spark.numerics.arrays import F32, I8, I32


class Rows(NamedTuple):
    """Quantised activations ``x_k ~ middle + step * q_k``."""

    q: I8
    """``[t, k]``."""
    step: F32
    """``[t]``."""
    middle: F32
    """``[t]``."""

    @classmethod
    def empty(cls, n_rows: int, width: int) -> Rows:
        """Return memory for ``n_rows`` rows."""
        return cls(np.empty((n_rows, width), np.int8), np.empty(n_rows, np.float32), np.empty(n_rows, np.float32))


def quantised(x: F32) -> Rows:
    """Return float32 ``x`` ``[t, k]``, quantised row by row."""
    result = Rows.empty(*x.shape)
    in_parts(len(x), partial(passes.quantise_rows, x, *result))
    return result


class Product(NamedTuple):
    """Rows times weights, quantised: ``(W x)_n + bias_n ~ step * steps_n * acc_n + middle * sums_n + bias_n``."""

    acc: I32
    """``[t, n]``, exact."""
    step: F32
    """``[t]``."""
    middle: F32
    """``[t]``."""
    steps: F32
    """``[n]``."""
    sums: F32
    """``[n]``."""
    bias: F32
    """``[n]``."""


@dataclass(frozen=True)
class Int8Weights:
    """The weights of ``x W^T + bias``, quantised per output channel: ``W_nk ~ steps_n * w_nk``."""

    w: Tensor
    """int8 ``[k, n]``."""
    steps: F32
    """``[n]``."""
    sums: F32
    """``steps_n * sum_k w_nk``, ``[n]``: the factor of a row's middle."""
    bias: F32
    """``[n]``."""

    @classmethod
    def of(cls, *linears: nn.Linear) -> Int8Weights:
        """Return the quantised weights of one layer, or of several with the same input side by side."""
        weight = torch.cat([linear.weight.detach().float() for linear in linears])
        bias = torch.cat([_bias(linear) for linear in linears])
        largest = weight.abs().amax(1)
        steps = torch.where(largest > 0, largest / 127, 1.0)
        w = (weight / steps[:, None]).round().to(torch.int8)
        sums = w.sum(1) * steps
        return cls(w.t().contiguous(), steps.numpy(), sums.numpy(), bias.numpy())

    def product(self, rows: Rows, scratch: Scratch) -> Product:
        """Return the product with ``rows`` and the factors that turn it into float32."""
        q, acc = torch.from_numpy(rows.q), scratch("acc", len(rows.q), self.w.shape[1], torch.int32)
        if has_int8_products():
            torch._int_mm(q, self.w, out=acc)
        else:
            exact_products(q, self.w, acc)
        return Product(acc.numpy(), rows.step, rows.middle, self.steps, self.sums, self.bias)

    def applied(self, rows: Rows, out: F32, scratch: Scratch) -> F32:
        """Return ``out`` ``[t, n]``, filled with ``x W^T + bias``."""
        in_parts(len(out), partial(passes.product_rows, *self.product(rows, scratch), out))
        return out


class Int8Linear(nn.Module):
    """``torch.nn.Linear`` in int8."""

    def __init__(self, linear: nn.Linear, scratch: Scratch) -> None:
        super().__init__()
        self.weights, self.scratch = Int8Weights.of(linear), scratch

    def forward(self, x: Tensor) -> Tensor:
        """Return float32 ``[..., n]`` for float32 ``[..., k]``."""
        flat = x.reshape(-1, x.shape[-1]).contiguous().numpy()
        out = np.empty((len(flat), len(self.weights.steps)), np.float32)
        return torch.from_numpy(self.weights.applied(quantised(flat), out, self.scratch)).view(*x.shape[:-1], -1)


def with_int8_linears(model: nn.Module) -> nn.Module:
    """Return ``model`` with each ``torch.nn.Linear`` replaced, in place; raises EncoderError where it has none."""
    linears = [(name, module) for name, module in model.named_modules() if type(module) is nn.Linear]
    if not linears:
        raise EncoderError(
            "the encoder cannot be computed in int8",
            where='encoder.backend = "int8"',
            found=f"{type(model).__name__}, in which no layer is a torch.nn.Linear",
            expected="linear layers",
            action='set encoder.backend = "torch-float32"',
        )
    scratch = Scratch()
    for name, linear in linears:
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, Int8Linear(linear, scratch))
    return model


def check_finite(model: nn.Module) -> None:
    """Raise EncoderError where a weight is not finite: quantised, it would look like a number."""
    strange = [name for name, weight in model.named_parameters() if not torch.isfinite(weight).all()]
    if strange:
        raise EncoderError(
            "the encoder's weights hold values that are not finite",
            where=", ".join(strange[:3]),
            found=f"{len(strange)} tensors with NaN or infinity",
            expected="finite numbers",
            action="copy the model folder again, or take another model",
        )


def _bias(linear: nn.Linear) -> Tensor:
    return torch.zeros(linear.out_features) if linear.bias is None else linear.bias.detach().float()
