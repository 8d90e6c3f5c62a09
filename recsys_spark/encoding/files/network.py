"""The transformer of a model: loaded, or compared with its weights before anything is loaded."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recsys_spark.encoding.files.checks import weight_files
from recsys_spark.encoding.files.headers import Tensor, headers
from recsys_spark.errors import EncoderError

log = logging.getLogger("recsys_spark")

UNUSED = "pooler"
"""Part of the names of tensors that no vector depends on; many encoders come without them."""
HEADS = re.compile(
    r"(?:.*\.)?(?:cls|lm_head|mlm|classifier|score|qa_outputs|vocab_\w+|pooler|pre_classifier|\w*predictions)\..*"
    r"|.*position_ids|.*inv_freq|.*token_type_ids"
)
"""Names of tensors that trainers leave in the weights and that text vectors do not need."""
OLD_NAMES = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"))
SHOWN = 3


def load_model(folder: Path, trusted: bool) -> Any:
    """Return the model in float32, whatever the type of its weights; raises EncoderError.

    transformers is imported here because the import takes seconds.
    """
    from transformers import AutoModel

    try:
        with quiet():
            model, info = AutoModel.from_pretrained(
                str(folder),
                local_files_only=True,
                trust_remote_code=trusted,
                use_safetensors=True,
                output_loading_info=True,
            )
    except Exception as error:
        raise _not_loaded(folder, error) from error
    # Missing tensors would be random, without an error.
    missing = sorted(key for key in info["missing_keys"] if UNUSED not in key)
    if missing or info.get("mismatched_keys"):
        raise _other_weights(
            folder,
            f"{len(missing)} tensors missing, {len(info.get('mismatched_keys') or ())} of another shape: "
            f"{missing[:SHOWN]}{_beginning(info.get('unexpected_keys') or ())}",
        )
    return model.float().eval()


def check_network(folder: Path, trusted: bool) -> int:
    """Return the number of tokens that the model has vectors for; raises EncoderError.

    Names and shapes of the weights are compared with those of the model that config.json describes. Both are known
    without a number of the weights. Names that differ are left to transformers itself, which knows older ones.
    """
    import torch
    from transformers import AutoConfig, AutoModel

    stored = headers(*weight_files(folder))
    try:
        with quiet(), torch.device("meta"):
            config = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=trusted)
            model = AutoModel.from_config(config, trust_remote_code=trusted)  # type: ignore[no-untyped-call]
    except Exception as error:
        raise _not_loaded(folder, error) from error
    wanted = {name: tuple(weights.shape) for name, weights in model.named_parameters() if UNUSED not in name}
    found = _stripped(stored, model.base_model_prefix)
    shapes = {name: tensor.shape for name, tensor in found.items()}
    _check_numbers(folder, [tensor for name, tensor in found.items() if name in wanted])
    differing = [name for name in wanted if name in shapes and shapes[name] != wanted[name]]
    if differing:
        shown = ", ".join(f"{name} {list(shapes[name])}, not {list(wanted[name])}" for name in differing[:SHOWN])
        raise _other_weights(folder, f"{len(differing)} tensors of another shape: {shown}")
    if set(wanted) - set(shapes):
        load_model(folder, trusted)
    elif spare := sorted(name for name in set(shapes) - set(wanted) if not HEADS.fullmatch(name)):
        log.warning("encoder: %d tensors of %s are not used, such as %s", len(spare), folder, spare[0])
    return int(model.get_input_embeddings().weight.shape[0])


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from writing: it reports weights that are not used (heads), and shows progress bars."""
    from transformers.utils import logging as messages

    before, bars = messages.get_verbosity(), messages.is_progress_bar_enabled()
    messages.set_verbosity_error()  # type: ignore[no-untyped-call]
    messages.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        messages.set_verbosity(before)
        if bars:
            messages.enable_progress_bar()  # type: ignore[no-untyped-call]


def _check_numbers(folder: Path, weights: Sequence[Tensor]) -> None:
    """Raise EncoderError for quantised weights, which transformers would read as if they were plain numbers."""
    types = Counter(tensor.dtype for tensor in weights if not tensor.is_float)
    if types:
        raise EncoderError(
            "the weights of the model are quantised, which is not supported",
            where=str(folder),
            found=", ".join(f"{n} tensors of {dtype}" for dtype, n in sorted(types.items())),
            expected="floating point numbers: float32, float16, bfloat16 or float64",
            action='take the model as it was before it was quantised; encoder.backend = "int8" quantises it here',
        )


def _stripped(stored: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return tensors by the names of the bare model, as transformers finds them in a model with a head.

    >>> list(_stripped({"bert.encoder.LayerNorm.gamma": Tensor((2,), "F32")}, "bert"))
    ['encoder.LayerNorm.weight']
    """
    for old, new in OLD_NAMES:
        stored = {name.replace(old, new): tensor for name, tensor in stored.items()}
    return {name.removeprefix(f"{prefix}."): tensor for name, tensor in stored.items()}


def _beginning(names: Any) -> str:
    """Return a hint for names in the weights that all begin with a word that a trainer has put there."""
    words = {re.sub(r"(.*auto_model|[^.]*).*", r"\1", str(name)) for name in names}
    return f"; names in the file begin with {', '.join(sorted(words)[:SHOWN])}" if words else ""


def _other_weights(folder: Path, found: str) -> EncoderError:
    return EncoderError(
        "the weights do not belong to the model's config.json",
        where=str(folder),
        found=found,
        expected="every tensor of the model, under the name and with the shape that transformers gives it",
        action="copy the model folder again, with all its files from one version; where a trainer has put words before "
        "the names, load the model in that trainer and save it with save_pretrained",
    )


def _not_loaded(folder: Path, error: Exception) -> EncoderError:
    return EncoderError(
        "transformers cannot load the encoder",
        where=str(folder),
        found=f"{type(error).__name__}: {error}",
        expected="a model of the BERT family",
        action="check that the folder is complete and this version of transformers knows its model_type",
    )
