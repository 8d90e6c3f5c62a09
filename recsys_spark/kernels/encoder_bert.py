"""The BERT family's forward pass in int8: query, key and value in one product, and no padding but in attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from recsys_spark.kernels import encoder_passes as passes
from recsys_spark.kernels.encoder_int8 import Int8Weights, Rows, quantised
from recsys_spark.kernels.layout import F32, I64


@dataclass(frozen=True)
class Batch:
    """The shape of a padded batch, and where its t tokens are."""

    b: int
    w: int
    places: I64
    """``[t]``, rows of the batch seen as ``[b * w, .]``."""
    bias: Tensor | None
    """-inf at padding ``[b, 1, 1, w]``; None where there is none."""

    @classmethod
    def of(cls, mask: Tensor) -> Batch:
        """From int64 ``[b, w]``, 1 at tokens and 0 at padding."""
        places = mask.reshape(-1).nonzero().reshape(-1).numpy()
        padded = len(places) < mask.numel()
        bias = torch.zeros(mask.shape).masked_fill_(mask == 0, float("-inf"))[:, None, None] if padded else None
        b, w = mask.shape
        return cls(b, w, places, bias)


@dataclass(frozen=True)
class Sublayer:
    """``LayerNorm(x + W rows + bias)``, the end of attention and of the feed-forward part."""

    weights: Int8Weights
    gain: F32
    shift: F32
    epsilon: np.float32

    @classmethod
    def of(cls, output: Any) -> Sublayer:
        """From transformers' module, which has `dense` and `LayerNorm`."""
        norm = output.LayerNorm
        gain, shift = norm.weight.detach().numpy(), norm.bias.detach().numpy()
        return cls(Int8Weights.of(output.dense), gain, shift, np.float32(norm.eps))

    def __call__(self, x: F32, rows: Rows) -> Rows:
        """Replace float32 ``x`` ``[t, h]`` by the result, and return that quantised."""
        result = Rows.empty(*x.shape)
        product = (self.weights.product(rows), rows.step, rows.middle, *self.weights.terms)
        passes.norm_rows(*product, self.gain, self.shift, self.epsilon, x, *result)
        return result


class Int8Layer:
    """A layer of BERT, RoBERTa or XLM-R: attention, then feed-forward with GELU, each added to its input and normed."""

    def __init__(self, layer: Any) -> None:
        attention = layer.attention.self
        self.n_heads = attention.num_attention_heads
        self.query_key_value = Int8Weights.of(attention.query, attention.key, attention.value)
        self.attention_end = Sublayer.of(layer.attention.output)
        self.inner = Int8Weights.of(layer.intermediate.dense)
        self.feed_forward_end = Sublayer.of(layer.output)

    def __call__(self, x: F32, rows: Rows, batch: Batch) -> Rows:
        """Replace float32 ``x`` ``[t, h]``, which ``rows`` is quantised, by the layer's result; return that quantised."""
        rows = self.attention_end(x, self._mixed(rows, batch))
        return self.feed_forward_end(x, self._inner(rows))

    def _mixed(self, rows: Rows, batch: Batch) -> Rows:
        """The heads' weighted means of values, quantised ``[t, h]``."""
        b, w, h = batch.b, batch.w, rows.q.shape[1]
        padded = np.zeros((b * w, 3 * h), np.float32)
        weights = self.query_key_value
        product = (weights.product(rows), rows.step, rows.middle, *weights.terms)
        passes.product_rows(*product, batch.places, padded)
        q, k, v = torch.from_numpy(padded).view(b, w, 3, self.n_heads, h // self.n_heads).permute(2, 0, 3, 1, 4)
        mixed = nnf.scaled_dot_product_attention(q, k, v, attn_mask=batch.bias)
        return quantised(mixed.transpose(1, 2).reshape(b * w, h).numpy(), batch.places)

    def _inner(self, rows: Rows) -> Rows:
        """GELU of the wide layer, quantised ``[t, f]``."""
        result = Rows.empty(len(rows.step), len(self.inner.steps))
        passes.gelu_rows(self.inner.product(rows), rows.step, rows.middle, *self.inner.terms, *result)
        return result


class Int8Bert:
    """A `Backend` for a model of transformers for which ``encoder_backends.is_bert`` holds, on the CPU.

    Of the model it keeps the embeddings in float32; all matrix products are in int8, the rest in float32.
    """

    def __init__(self, model: Any) -> None:
        self.embeddings = model.embeddings
        self.layers = [Int8Layer(layer) for layer in model.encoder.layer]

    def hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        """See `Backend`."""
        batch = Batch.of(mask)
        embedded: Tensor = self.embeddings(input_ids=ids).flatten(0, 1)
        x = embedded[torch.from_numpy(batch.places)].numpy()
        rows = quantised(x, np.arange(len(x)))
        for layer in self.layers:
            rows = layer(x, rows, batch)
        hidden = torch.zeros_like(embedded)
        hidden[torch.from_numpy(batch.places)] = torch.from_numpy(x)
        return hidden.view(*ids.shape, -1)

    def to(self, device: str) -> None:
        """See `Backend`: it stays on the CPU, and `resolve_encoder` sees to it that nobody asks for another device."""
