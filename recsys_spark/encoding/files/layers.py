"""The layers after pooling, checked by their configuration and the headers of their weights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from recsys_spark.encoding.files.checks import WEIGHTS, no_weights, read_json
from recsys_spark.encoding.files.headers import Tensor, headers
from recsys_spark.encoding.files.modules import Modules
from recsys_spark.encoding.kernels.layers import ACTIVATIONS, DENSE, LAYER_NORM, NORMALIZE, TRUNCATE, Layer
from recsys_spark.errors import EncoderError

CONFIG = "config.json"
INPUT = "sentence_embedding"
OF_TORCH = re.compile(r"torch\.nn\.(?:modules\.\w+\.)?(\w+)")
TANH = "torch.nn.modules.activation.Tanh"


def read_layers(folder: Path, modules: Modules, width: int, truncate_dim: int | None, *, unit: bool) -> list[Layer]:
    """Return the layers after pooling, which gives vectors of ``width`` numbers; raises EncoderError.

    ``unit`` says that vectors are scaled to length 1 in the end, so that a last Normalize has nothing to do.
    """
    layers: list[Layer] = []
    for kind, path in modules.layers:
        layers.append(_layer(folder, kind, path, width))
        width = layers[-1].width
    if truncate_dim is not None and truncate_dim < width:
        layers.append(Layer(TRUNCATE, truncate_dim))
    while unit and layers and layers[-1].kind == NORMALIZE:
        layers.pop()
    return layers


def weights_of(layers: list[Layer]) -> list[str]:
    """Return the files of the layers' weights, relative to the model's folder."""
    return [f"{layer.path}/{WEIGHTS}" for layer in layers if layer.path]


def _layer(folder: Path, kind: str, path: str, width: int) -> Layer:
    file = folder / path / CONFIG
    content = read_json(file) if file.is_file() else {}
    for key in ("module_input_name", "module_output_name"):
        if content.get(key) not in (None, INPUT):
            raise _unsupported(file, f"{key} {content[key]}", f"{INPUT}: layers work on the text vector")
    if kind == NORMALIZE:
        return Layer(NORMALIZE, width)
    if not file.is_file():
        raise _unsupported(file, "no such file", f"the configuration of the {kind} layer")
    if not (folder / path / WEIGHTS).is_file():
        raise no_weights(str(folder / path), [found.name for found in (folder / path).iterdir()])
    found = headers(folder / path / WEIGHTS)
    if kind == LAYER_NORM:
        layer, expected = _layer_norm(file, content, path, width)
    else:
        layer, expected = _dense(file, content, path, width)
    shapes = {name: tensor.shape for name, tensor in found.items()}
    if shapes != expected:
        raise EncoderError(
            f"the weights of the {kind} layer do not belong to its configuration",
            where=str(folder / path / WEIGHTS),
            found=_shown(shapes),
            expected=_shown(expected),
            action="copy the model folder again, with all its files from one version",
        )
    _check_numbers(folder / path / WEIGHTS, found)
    return layer


Expected = dict[str, tuple[int, ...]]


def _layer_norm(file: Path, content: dict[str, Any], path: str, width: int) -> tuple[Layer, Expected]:
    _check_width(file, "dimension", content.get("dimension"), width)
    return Layer(LAYER_NORM, width, path), {"norm.weight": (width,), "norm.bias": (width,)}


def _dense(file: Path, content: dict[str, Any], path: str, width: int) -> tuple[Layer, Expected]:
    _check_width(file, "in_features", content.get("in_features"), width)
    out = content.get("out_features")
    if isinstance(out, bool) or not isinstance(out, int) or out < 1:
        raise _unsupported(file, f"out_features {out!r}", "a whole number, at least 1")
    stated = content.get("activation_function", TANH)
    match = OF_TORCH.fullmatch(str(stated))
    if match is None or match[1] not in ACTIVATIONS:
        raise _unsupported(file, f"activation_function {stated!r}", f"of torch.nn: {', '.join(ACTIVATIONS)}")
    residual = bool(content.get("use_residual"))
    expected: Expected = {"linear.weight": (out, width)}
    if content.get("bias", True):
        expected["linear.bias"] = (out,)
    if residual and out != width:
        expected["residual.weight"] = (out, width)
    return Layer(DENSE, out, path, activation=match[1], residual=residual), expected


def _check_width(file: Path, key: str, stated: object, width: int) -> None:
    if stated != width:
        raise _unsupported(file, f"{key} {stated}", f"{key} {width}, as many numbers as the vector before it has")


def _check_numbers(file: Path, found: dict[str, Tensor]) -> None:
    if strange := sorted({tensor.dtype for tensor in found.values() if not tensor.is_float}):
        raise _unsupported(file, f"numbers of type {', '.join(strange)}", "floating point numbers")


def _unsupported(file: Path, found: str, expected: str) -> EncoderError:
    return EncoderError(
        "the model has a layer after pooling that is not supported",
        where=str(file),
        found=found,
        expected=expected,
        action="choose another model, or copy the model folder again if it was changed",
    )


def _shown(shapes: Expected) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in sorted(shapes.items())) or "no tensor"
