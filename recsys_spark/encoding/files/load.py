"""From a model folder to an encoder in memory: weights, tokenizer, backend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recsys_spark.encoding.files.checks import WEIGHTS
from recsys_spark.encoding.files.identity import verified_folder
from recsys_spark.encoding.files.network import load_model
from recsys_spark.encoding.files.tokenizer import Tokens, load_tokenizer
from recsys_spark.encoding.kernels.backends import make_backend
from recsys_spark.encoding.kernels.encoder import TextEncoder
from recsys_spark.encoding.kernels.layers import Layer, Layers, parse
from recsys_spark.encoding.kernels.spec import EncoderSpec
from recsys_spark.worker.threads import limit_threads


def load_encoder(spec: EncoderSpec, n_threads: int, candidates: Sequence[Path] = ()) -> TextEncoder:
    """Load the encoder of ``spec`` into host memory; this takes seconds, so keep it with ``cache.cached``.

    ``candidates`` are more folders where the model may be, besides the folders that the spec names. Raises EncoderError
    where no folder of this machine has the driver's model, or weights are missing.
    """
    folder = verified_folder(spec, candidates)
    root = folder / spec.root
    limit_threads(n_threads)
    model = load_model(root, spec.trust_remote_code)
    pad_id = getattr(model.config, "pad_token_id", None) or 0
    tokens = Tokens(spec.tokenizer, spec.lower_case, spec.cut)
    tokenizer = load_tokenizer(root, tokens, spec.max_length, spec.trust_remote_code)
    return TextEncoder(
        make_backend(spec.backend, model), tokenizer, spec, max(pad_id, 0), _load_layers(folder, parse(spec.layers))
    )


def _load_layers(folder: Path, layers: list[Layer]) -> Layers:
    from safetensors.torch import load_file

    return Layers(layers, [load_file(folder / layer.path / WEIGHTS) if layer.path else {} for layer in layers])
