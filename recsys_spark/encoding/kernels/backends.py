"""Networks that turn token ids into token vectors, each in one precision."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

INT8, FLOAT32, BFLOAT16, FLOAT16 = "int8", "torch-float32", "torch-bfloat16", "torch-float16"
BERTS = ("bert", "roberta", "xlm-roberta", "camembert")
"""Model types that have BERT's layers, but other embeddings and tokenizers."""
INT8_INSTRUCTIONS = {"avx512_vnni", "avx_vnni", "amx_int8"}
"""CPU flags with which a product in int8 is several times faster than in float32. Without them it is hardly faster."""


class Backend(Protocol):
    """A network in memory.

    Its result depends only on its inputs, the number of threads and the kind of processor.
    """

    @property
    def packs(self) -> bool:
        """Whether padding costs almost nothing on the present device."""

    def hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return token vectors ``[b, w, h]`` of token ids ``[b, w]``; called in inference mode.

        ``mask`` int64 ``[b, w]`` is 1 at tokens and 0 at padding. Each row has at least one token.
        """

    def to(self, device: str) -> Any:
        """Move the weights to ``device`` (`cpu`, `cuda:K`), in place."""


class TorchBackend:
    """An unchanged model of transformers, on CPU or GPU."""

    packs = False

    def __init__(self, model: Any) -> None:
        self.model = model

    def hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        """See `Backend`."""
        hidden: Tensor = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        return hidden

    def to(self, device: str) -> None:
        """See `Backend`."""
        self.model.to(device)


def make_backend(name: str, model: Any) -> Backend:
    """Return the backend that ``encoder.backend`` names for a model of transformers in float32, which it may change.

    Raises EncoderError where the backend cannot compute the model.
    """
    import torch

    if name not in (INT8, FLOAT32):
        # Cast once and here: a model that moves between devices keeps its bits. Only parameters: rotary frequencies are
        # buffers, and in half precision they would rotate the later tokens of a long text wrongly.
        for parameter in model.parameters():
            parameter.data = parameter.data.to(getattr(torch, name.removeprefix("torch-")))
        return TorchBackend(model)
    from recsys_spark.encoding.kernels.bert import Float32Layer, Int8Layer, PackedBert
    from recsys_spark.encoding.kernels.int8 import check_finite, with_int8_linears

    if name == INT8:
        check_finite(model)
    if is_bert(model.config.to_dict()):
        return PackedBert(model, Int8Layer if name == INT8 else Float32Layer)
    return TorchBackend(with_int8_linears(model) if name == INT8 else model)


def fastest(config: Mapping[str, Any], *, on_gpu: bool, cpu_flags: set[str] | None = None) -> tuple[str, str]:
    """Return the fastest backend that keeps the quality of a model with this config.json, and the reason.

    ``on_gpu`` says whether the encoder computes on a GPU. ``cpu_flags`` are the processor's, by default this machine's.

    >>> fastest({"model_type": "bert"}, on_gpu=False, cpu_flags={"avx2", "avx512_vnni"})[0]
    'int8'
    >>> fastest({"model_type": "qwen3"}, on_gpu=True)[0]
    'torch-float16'
    """
    if on_gpu:
        # Float16 is more precise, but values of a model trained in bfloat16 may exceed its range.
        trained = str(config.get("dtype") or config.get("torch_dtype") or "")
        return (BFLOAT16 if trained.endswith("bfloat16") else FLOAT16), "it computes on a GPU"
    flags = INT8_INSTRUCTIONS & (own_cpu_flags() if cpu_flags is None else cpu_flags)
    if not flags:
        return FLOAT32, "this processor has no instructions for int8"
    if not is_bert(config):
        return FLOAT32, f"how well int8 keeps the quality of {config.get('model_type')} is not known"
    return INT8, f"the processor has {min(flags)}"


def is_bert(config: Mapping[str, Any]) -> bool:
    """Return whether a model with this config.json has exactly BERT's layers; its embeddings may differ.

    >>> is_bert({"model_type": "xlm-roberta"}), is_bert({"model_type": "bert", "hidden_act": "relu"})
    (True, False)
    """
    return (
        config.get("model_type") in BERTS
        and config.get("hidden_act", "gelu") == "gelu"
        and (config.get("position_embedding_type") or "absolute") == "absolute"
        and not config.get("is_decoder")
        and not config.get("auto_map")
    )


def own_cpu_flags() -> set[str]:
    """Return the flags of this machine's processor; empty where the system does not tell them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())
