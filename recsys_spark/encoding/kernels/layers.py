"""What a model computes after pooling: its Dense, LayerNorm and Normalize modules, and the cut to fewer numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

DENSE, LAYER_NORM, NORMALIZE, TRUNCATE = "Dense", "LayerNorm", "Normalize", "truncate_dim"
ACTIVATIONS = (
    "CELU",
    "ELU",
    "GELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "LeakyReLU",
    "LogSigmoid",
    "Mish",
    "ReLU",
    "ReLU6",
    "SELU",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
)
"""Classes of torch.nn that a Dense module may name: they need no argument, and work on each number alone."""


@dataclass(frozen=True)
class Layer:
    """One step after pooling, as the model's files describe it."""

    kind: str
    width: int
    """Numbers of a text vector after the step."""
    path: str = ""
    """Its folder in the model, for kinds with weights."""
    activation: str = ""
    """Of a Dense layer: a name in ACTIVATIONS."""
    residual: bool = False
    """Of a Dense layer: its input is added to its output."""


def dump(layers: Sequence[Layer]) -> str:
    """Return the layers as text, which a fingerprint and a task file can hold; empty where there are none.

    >>> parse(dump([Layer(NORMALIZE, 8)])), dump([])
    ([Layer(kind='Normalize', width=8, path='', activation='', residual=False)], '')
    """
    return json.dumps([asdict(layer) for layer in layers]) if layers else ""


def parse(text: str) -> list[Layer]:
    """Return the layers of :func:`dump`."""
    return [Layer(**fields) for fields in json.loads(text)] if text else []


class Layers:
    """The steps after pooling in float32, with their weights on one device."""

    def __init__(self, layers: Sequence[Layer], weights: Sequence[Mapping[str, Tensor]]) -> None:
        self.layers = list(layers)
        self.weights = [{name: tensor.float() for name, tensor in tensors.items()} for tensors in weights]

    def to(self, device: str) -> None:
        """Move the weights to ``device``."""
        self.weights = [{name: tensor.to(device) for name, tensor in tensors.items()} for tensors in self.weights]

    def __call__(self, pooled: Tensor) -> Tensor:
        """Return text vectors float32 ``[b, width]`` of pooled vectors float32 ``[b, h]``."""
        for layer, weights in zip(self.layers, self.weights, strict=True):
            pooled = _applied(layer, weights, pooled)
        return pooled


def _applied(layer: Layer, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
    from torch import nn
    from torch.nn import functional

    if layer.kind == NORMALIZE:
        return functional.normalize(x, p=2.0, dim=-1)
    if layer.kind == TRUNCATE:
        return x[:, : layer.width]
    if layer.kind == LAYER_NORM:
        return functional.layer_norm(x, (layer.width,), weights["norm.weight"], weights["norm.bias"])
    linear = functional.linear(x, weights["linear.weight"], weights.get("linear.bias"))
    dense: Tensor = getattr(nn, layer.activation)()(linear)
    if not layer.residual:
        return dense
    return dense + (functional.linear(x, weights["residual.weight"]) if "residual.weight" in weights else x)
