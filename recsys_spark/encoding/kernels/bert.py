"""The BERT family's forward pass on a CPU without padding, in float32 or int8; query, key and value are one product.

Texts of a batch lie one after the other, ``[t, h]`` for t tokens. Between two matrix products each row is read once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from recsys_spark.encoding.kernels import passes
from recsys_spark.encoding.kernels.attention import attend
from recsys_spark.encoding.kernels.int8 import Int8Weights, Rows, quantised
from recsys_spark.encoding.kernels.scratch import Scratch
from recsys_spark.encoding.kernels.threads import in_parts
from recsys_spark.numerics.arrays import F32, I64


@dataclass(frozen=True)
class Norm:
    """``LayerNorm(x + ...)``, which ends attention and the feed-forward part."""

    gain: F32
    shift: F32
    epsilon: np.float32

    @classmethod
    def of(cls, norm: nn.LayerNorm) -> Norm:
        """Return the norm of torch's module."""
        return cls(norm.weight.detach().numpy(), norm.bias.detach().numpy(), np.float32(norm.eps))


class Layer(Protocol):
    """A layer of BERT, RoBERTa or XLM-R: attention, then feed-forward with GELU, each added to its input and normed."""

    def __call__(self, x: F32, starts: I64, scratch: Scratch) -> None:
        """Replace ``x`` ``[t, h]`` by the result; text i is rows ``starts[i]`` to ``starts[i + 1]``."""


class Float32Layer:
    """A layer in float32, with the weights of transformers.

    Query, key and value are one matrix; the weights of transformers become views of it.
    """

    def __init__(self, layer: Any) -> None:
        attention = layer.attention.self
        self.n_heads = attention.num_attention_heads
        self.query_key_value = _joined(attention.query, attention.key, attention.value)
        self.attention_end = layer.attention.output.dense
        self.attention_norm = Norm.of(layer.attention.output.LayerNorm)
        self.inner, self.outer = layer.intermediate.dense, layer.output.dense
        self.norm = Norm.of(layer.output.LayerNorm)

    def __call__(self, x: F32, starts: I64, scratch: Scratch) -> None:
        """See `Layer`."""
        tokens, (weight, bias) = torch.from_numpy(x), self.query_key_value
        qkv = torch.addmm(bias, tokens, weight.t(), out=scratch("wide", len(x), len(bias)))
        mixed = attend(qkv.numpy(), starts, self.n_heads, scratch("mixed", *x.shape).numpy())
        self._end(torch.from_numpy(mixed), self.attention_end, self.attention_norm, x, scratch)
        wide = torch.mm(tokens, self.inner.weight.t(), out=scratch("wide", len(x), len(self.inner.bias)))
        in_parts(len(x), partial(passes.bias_gelu_rows, wide.numpy(), self.inner.bias.numpy()))
        self._end(wide, self.outer, self.norm, x, scratch)

    def _end(self, rows: Tensor, linear: nn.Linear, norm: Norm, x: F32, scratch: Scratch) -> None:
        product = torch.mm(rows, linear.weight.t(), out=scratch("narrow", *x.shape)).numpy()
        terms = (product, linear.bias.numpy(), norm.gain, norm.shift, norm.epsilon, x)
        in_parts(len(x), partial(passes.bias_norm_rows, *terms))


class Int8Layer:
    """A layer whose matrix products are in int8; attention and norms are in float32."""

    def __init__(self, layer: Any) -> None:
        attention = layer.attention.self
        self.n_heads = attention.num_attention_heads
        self.query_key_value = Int8Weights.of(attention.query, attention.key, attention.value)
        self.attention_end = Int8Weights.of(layer.attention.output.dense)
        self.attention_norm = Norm.of(layer.attention.output.LayerNorm)
        self.inner, self.outer = Int8Weights.of(layer.intermediate.dense), Int8Weights.of(layer.output.dense)
        self.norm = Norm.of(layer.output.LayerNorm)

    def __call__(self, x: F32, starts: I64, scratch: Scratch) -> None:
        """See `Layer`."""
        weights = self.query_key_value
        qkv = weights.applied(quantised(x), scratch("wide", len(x), len(weights.steps)).numpy(), scratch)
        mixed = attend(qkv, starts, self.n_heads, scratch("mixed", *x.shape).numpy())
        self._end(quantised(mixed), self.attention_end, self.attention_norm, x, scratch)
        wide = Rows.empty(len(x), len(self.inner.steps))
        in_parts(len(x), partial(passes.gelu_rows, *self.inner.product(quantised(x), scratch), *wide))
        self._end(wide, self.outer, self.norm, x, scratch)

    def _end(self, rows: Rows, weights: Int8Weights, norm: Norm, x: F32, scratch: Scratch) -> None:
        terms = (*weights.product(rows, scratch), norm.gain, norm.shift, norm.epsilon, x)
        in_parts(len(x), partial(passes.norm_rows, *terms))


class PackedBert:
    """A `Backend` for models of transformers with ``backends.is_bert``; on a GPU it is the unchanged model."""

    def __init__(self, model: Any, kind: type[Float32Layer] | type[Int8Layer]) -> None:
        self.model, self.kind, self.scratch = model, kind, Scratch()
        self.layers: list[Layer] = [kind(layer) for layer in model.encoder.layer]
        if kind is Int8Layer:
            # Four bytes per weight that are not used again.
            model.encoder = None

    @property
    def packs(self) -> bool:
        """See `Backend`."""
        return bool(self.layers)

    def hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        """See `Backend`."""
        if ids.device.type != "cpu":
            hidden: Tensor = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
            return hidden
        places = mask.reshape(-1).nonzero().reshape(-1)
        starts = np.zeros(len(mask) + 1, np.int64)
        starts[1:] = mask.sum(1).cumsum(0).numpy()
        embedded: Tensor = self.model.embeddings(input_ids=ids).flatten(0, 1)
        x = embedded[places].numpy()
        for layer in self.layers:
            layer(x, starts, self.scratch)
        embedded.zero_()
        embedded[places] = torch.from_numpy(x)
        return embedded.view(*ids.shape, -1)

    def to(self, device: str) -> None:
        """See `Backend`. In int8 it stays on the CPU: `resolve_encoder` allows no other device."""
        if self.kind is Float32Layer:
            self.model.to(device)
            self.layers = [self.kind(layer) for layer in self.model.encoder.layer] if device == "cpu" else []


def _joined(*linears: nn.Linear) -> tuple[Tensor, Tensor]:
    """Return weight ``[n, k]`` and bias ``[n]`` of layers with one input, stacked; their own become views of them."""
    weight = torch.cat([linear.weight.detach() for linear in linears])
    bias = torch.cat([linear.bias.detach() for linear in linears])
    row = 0
    for linear in linears:
        rows = slice(row, row := row + len(linear.bias))
        linear.weight.data, linear.bias.data = weight[rows], bias[rows]
    return weight, bias
