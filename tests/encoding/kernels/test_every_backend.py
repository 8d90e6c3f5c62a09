"""Every backend keeps the contract."""

from __future__ import annotations

from recsys_spark.encoding.kernels.backends import TorchBackend
from recsys_spark.encoding.kernels.bert import PackedBert
from tests.encoding.kernels.backend_contract import BackendContract

OTHER_NETWORK = {"hidden_act": "gelu_new"}
"""A BERT whose layers the packed kernels do not compute."""


class TestFloat32(BackendContract):
    backend, kind = "torch-float32", PackedBert
    near = exact = 0.999_999


class TestFloat32OfTransformers(BackendContract):
    backend, kind, network = "torch-float32", TorchBackend, OTHER_NETWORK
    near = exact = 0.999_999


class TestBfloat16(BackendContract):
    backend, kind = "torch-bfloat16", TorchBackend
    near = exact = 0.999


class TestFloat16(BackendContract):
    backend, kind = "torch-float16", TorchBackend
    near = exact = 0.9999


class TestInt8(BackendContract):
    backend, kind = "int8", PackedBert
    near, exact = 0.9999, 0.99


class TestInt8Linears(BackendContract):
    backend, kind, network = "int8", TorchBackend, OTHER_NETWORK
    near, exact = 0.9999, 0.99
