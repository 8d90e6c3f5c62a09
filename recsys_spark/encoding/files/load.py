"""From a model folder to an encoder in memory: weights, tokenizer, backend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recsys_spark.encoding.files.identity import verified_folder
from recsys_spark.encoding.kernels.backends import make_backend
from recsys_spark.encoding.kernels.encoder import TextEncoder
from recsys_spark.encoding.kernels.spec import EncoderSpec
from recsys_spark.errors import EncoderError
from recsys_spark.worker.threads import limit_threads


def load_encoder(spec: EncoderSpec, n_threads: int, candidates: Sequence[Path] = ()) -> TextEncoder:
    """Load the encoder of ``spec`` into host memory; this takes seconds, so keep it with ``cache.cached``.

    ``candidates`` are more folders where the model may be, besides the folders that the spec names. Raises EncoderError
    where no folder of this machine has the driver's model, or weights are missing.
    """
    folder = verified_folder(spec, candidates)
    limit_threads(n_threads)
    model = load_model(folder, spec.trust_remote_code)
    pad_id = getattr(model.config, "pad_token_id", None) or 0
    return TextEncoder(make_backend(spec.backend, model), _load_tokenizer(folder, spec.max_length), spec, pad_id)


def load_model(folder: Path, trusted: bool) -> Any:
    """Return the model in float32, whatever the type of its weights; raises EncoderError.

    transformers is imported here because the import takes seconds.
    """
    from transformers import AutoModel
    from transformers.utils import logging

    # It warns of weights that are not used (heads), and shows a progress bar per worker.
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model, info = AutoModel.from_pretrained(
            str(folder),
            local_files_only=True,
            trust_remote_code=trusted,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:
        raise EncoderError(
            "transformers cannot load the encoder",
            where=str(folder),
            found=f"{type(error).__name__}: {error}",
            expected="a model of the BERT family",
            action="check that the folder is complete and this version of transformers knows its model_type",
        ) from error
    # Missing tensors would be random, without an error. The pooler is not used, and many encoders come without it.
    missing = sorted(key for key in info["missing_keys"] if "pooler" not in key)
    if missing or info.get("mismatched_keys"):
        raise EncoderError(
            "the weights do not belong to the model's config.json",
            where=str(folder),
            found=f"{len(missing)} tensors missing, "
            f"{len(info.get('mismatched_keys') or ())} of another shape: {missing[:3]}",
            expected="every tensor of the model",
            action="copy the model folder again, with all its files from one version",
        )
    return model.float().eval()


def _load_tokenizer(folder: Path, max_length: int) -> Any:
    """Return a `tokenizers.Tokenizer`: tokenizer.json unchanged, else converted from the vocabulary files."""
    from tokenizers import Tokenizer

    try:
        if (folder / "tokenizer.json").is_file():
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        else:
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False, use_fast=True
            ).backend_tokenizer
    except Exception as error:
        raise EncoderError(
            "the encoder's tokenizer cannot be loaded",
            where=str(folder),
            found=f"{type(error).__name__}: {error}",
            expected="a fast tokenizer (tokenizer.json)",
            action="save the tokenizer once with AutoTokenizer.from_pretrained(...).save_pretrained(folder)",
        ) from error
    # A tokenizer.json may have its own padding and a shorter cut.
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer
