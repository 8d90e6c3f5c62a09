"""The int8 backend against the float32 one: BERT's layers packed, every other network by its linear layers."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import DistilBertConfig, DistilBertModel, Qwen3Config, Qwen3Model, RobertaConfig, RobertaModel

from recsys_spark.encoding.files.network import load_model
from recsys_spark.encoding.kernels.backends import Backend, TorchBackend, make_backend
from recsys_spark.encoding.kernels.bert import PackedBert
from recsys_spark.encoding.kernels.int8 import Int8Linear, Int8Weights, with_int8_linears
from recsys_spark.encoding.kernels.scratch import Scratch
from recsys_spark.errors import EncoderError
from tests.tiny_encoder import tiny_encoder

LENGTHS = (9, 1, 17, 4)
FLOAT32 = "torch-float32"


def bert(tmp_path: Path) -> Any:
    return load_model(tiny_encoder(tmp_path), trusted=False)


def roberta(_: Path) -> Any:
    return RobertaModel(
        RobertaConfig(vocab_size=90, hidden_size=24, num_hidden_layers=3, num_attention_heads=3, intermediate_size=50)
    )


def distilbert(_: Path) -> Any:
    return DistilBertModel(DistilBertConfig(vocab_size=90, dim=24, n_layers=2, n_heads=3, hidden_dim=50))


def qwen3(_: Path) -> Any:
    return Qwen3Model(
        Qwen3Config(
            vocab_size=90,
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=6,
            intermediate_size=50,
        )
    )


def batch(lengths: tuple[int, ...] = LENGTHS) -> tuple[torch.Tensor, torch.Tensor]:
    """Random ids, padded with RoBERTa's padding id, whose position it does not count."""
    random = np.random.default_rng(5)
    ids, mask = (np.full((len(lengths), max(lengths)), fill, np.int64) for fill in (1, 0))
    for row, length in enumerate(lengths):
        ids[row, :length], mask[row, :length] = random.integers(5, 90, length), 1
    return torch.from_numpy(ids), torch.from_numpy(mask)


def tokens_of(backend: Backend, ids: torch.Tensor, mask: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        return backend.hidden(ids, mask)[mask.bool()].numpy()


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


@pytest.fixture(params=[bert, roberta, distilbert, qwen3])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    torch.manual_seed(3)
    model = request.param(tmp_path).float().eval()
    with torch.no_grad():
        # A fresh model of transformers is nearly the identity; a trained one is not, nor is the tiny one.
        for name, weight in model.named_parameters():
            if weight.ndim == 2 and "embed" not in name and request.param is not bert:
                weight.mul_(4)
    return model


@pytest.mark.parametrize("lengths", [LENGTHS, (6, 6), (1,)])
def test_token_vectors_of_int8_are_near_float32(model: Any, lengths: tuple[int, ...]) -> None:
    exact = tokens_of(make_backend(FLOAT32, copy.deepcopy(model)), *batch(lengths))
    rounded = tokens_of(make_backend("int8", model), *batch(lengths))
    assert cosines(exact, rounded).min() > 0.998
    assert not np.allclose(exact, rounded, atol=1e-6)


@pytest.mark.parametrize("make", [bert, roberta])
@pytest.mark.parametrize("lengths", [LENGTHS, (6, 6), (1,)])
def test_packed_layers_equal_transformers(make: Any, lengths: tuple[int, ...], tmp_path: Path) -> None:
    torch.manual_seed(3)
    plain = make(tmp_path).float().eval()
    packed = make_backend(FLOAT32, copy.deepcopy(plain))
    assert isinstance(packed, PackedBert)
    exact = tokens_of(TorchBackend(plain), *batch(lengths))
    np.testing.assert_allclose(tokens_of(packed, *batch(lengths)), exact, atol=2e-5)
    packed.to("cpu")
    np.testing.assert_allclose(tokens_of(packed, *batch(lengths)), exact, atol=2e-5)


def test_packed_layers_share_memory_and_other_devices_get_the_unchanged_model(tmp_path: Path) -> None:
    model = bert(tmp_path)
    packed = make_backend(FLOAT32, model)
    attention = model.encoder.layer[0].attention.self
    joined = packed.layers[0].query_key_value[0]
    assert attention.key.weight.untyped_storage().data_ptr() == joined.untyped_storage().data_ptr()
    packed.to("meta")
    assert {weight.device.type for weight in model.parameters()} == {"meta"}
    assert not packed.layers
    # Transformers cannot compute on `meta`, which stands for a GPU here.
    packed.model = lambda input_ids, attention_mask: SimpleNamespace(last_hidden_state=(input_ids, attention_mask))
    ids, mask = (tensor.to("meta") for tensor in batch())
    assert packed.hidden(ids, mask) == (ids, mask)


@pytest.mark.parametrize("make", [bert, roberta])
def test_packed_int8_layers_are_near_int8_linears(make: Any, tmp_path: Path) -> None:
    torch.manual_seed(3)
    plain = make(tmp_path).float().eval()
    fused = make_backend("int8", copy.deepcopy(plain))
    assert isinstance(fused, PackedBert)
    one, other = (tokens_of(backend, *batch()) for backend in (fused, TorchBackend(with_int8_linears(plain))))
    # What is left are levels that a rounding in float32 tips over.
    assert cosines(one, other).min() > 0.99995


@pytest.mark.parametrize("name", ["int8", FLOAT32])
def test_padding_gets_zeros(name: str, tmp_path: Path) -> None:
    ids, mask = batch()
    with torch.inference_mode():
        hidden = make_backend(name, bert(tmp_path)).hidden(ids, mask)
    assert not hidden[mask == 0].any()


def test_several_layers_are_quantised_side_by_side() -> None:
    torch.manual_seed(0)
    one, two = torch.nn.Linear(8, 3), torch.nn.Linear(8, 5, bias=False)
    both, first, second = Int8Weights.of(one, two), Int8Weights.of(one), Int8Weights.of(two)
    assert torch.equal(both.w, torch.cat([first.w, second.w], 1))
    for name in ("steps", "sums", "bias"):
        joined, left, right = (getattr(weights, name) for weights in (both, first, second))
        np.testing.assert_array_equal(joined, np.concatenate([left, right]))
    assert not second.bias.any()


def test_a_channel_of_zeros_gives_its_bias() -> None:
    linear = torch.nn.Linear(4, 2)
    with torch.no_grad():
        linear.weight[0] = 0
    out = Int8Linear(linear, Scratch())(torch.ones(3, 2, 4))
    assert out.shape == (3, 2, 2)
    np.testing.assert_array_equal(out[..., 0], np.full((3, 2), linear.bias[0].item(), np.float32))


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    broken = bert(tmp_path)
    with torch.no_grad():
        broken.encoder.layer[1].output.dense.weight[3, 4] = float("nan")
    with pytest.raises(EncoderError, match="not finite") as error:
        make_backend("int8", broken)
    assert "layer.1.output.dense.weight" in str(error.value)


def test_a_network_without_linear_layers_is_refused() -> None:
    with pytest.raises(EncoderError, match="cannot be computed in int8"):
        with_int8_linears(torch.nn.Sequential(torch.nn.LayerNorm(4)))
