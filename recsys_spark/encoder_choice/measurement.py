"""Measures one encoder in its own process: ``python -m recsys_spark.encoder_choice.measurement FOLDER``.

The folder contains `sample.json` and `probe.npz` for all measurements, and `task.json` for this one. The process writes
`result.json` there.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from recsys_spark.encoder_choice.probe import Probe, target_ranks
from recsys_spark.encoding.files.load import load_encoder
from recsys_spark.encoding.kernels.encoder import TextEncoder, valid_unicode
from recsys_spark.encoding.kernels.spec import EncoderSpec
from recsys_spark.errors import EncoderError, RecsysError
from recsys_spark.numerics.arrays import F32
from recsys_spark.worker.devices import CPU, lent, task_device

CHUNK_TEXTS = 2048
"""Texts per call, as in the largest bucket of the embed stage."""
WARM_UP_TEXTS = 128


@dataclass(frozen=True)
class TextSample:
    """Profile texts without a prefix; each is encoded with the prefix of its side."""

    item_texts: list[str]
    """For the speed."""
    user_texts: list[str]
    """For the speed."""
    catalogue_texts: list[str]
    """Distinct texts of the catalogue, for the probe."""


@dataclass(frozen=True)
class Measurement:
    """The measurements of one process."""

    load_s: float
    """From the files to an encoder that can encode; checksums count, libraries that every candidate needs do not."""
    memory_bytes: int
    """Most memory that the process had at once, minus its memory before it loaded the encoder."""
    device: str
    device_bytes: int
    """Most memory at once on the GPU; 0 on a CPU."""
    n_texts: int
    n_tokens: int
    """Tokens that passed through the network: special tokens count, padding does not."""
    seconds: float
    """Time for these texts after a warm-up, tokenising included."""
    cpu_s: float
    """CPU-seconds of all threads in that time, which a busy machine does not change."""
    unknown_share: float
    """Share of the texts' tokens that the tokenizer does not know."""
    cut_share: float
    """Share of the texts' tokens that ``max_length`` cuts off."""
    ranks: list[int] | None
    """Rank of each probed user's target; None where it was not asked for."""


def measure(spec: EncoderSpec, sample: TextSample, probe: Probe | None, n_threads: int) -> Measurement:
    """Load the encoder of ``spec`` in this process and measure it; raises EncoderError.

    The process must not have loaded an encoder before.
    """
    # Every candidate needs these libraries, so their seconds and megabytes do not distinguish candidates.
    import torch
    import transformers  # noqa: F401

    before, started = resident_bytes(), time.perf_counter()
    encoder = load_encoder(spec, n_threads)
    loaded_s = time.perf_counter() - started
    with task_device(spec.device, (), setting="encoder.device", error=EncoderError, own_machine=True) as device:
        moved = time.perf_counter()
        with lent(encoder, device):
            load_s = loaded_s + time.perf_counter() - moved
            texts = [spec.item_prefix + text for text in sample.item_texts]
            texts += [spec.user_prefix + text for text in sample.user_texts]
            _encode(encoder, texts[:: -(-len(texts) // WARM_UP_TEXTS)])
            started, cpu_before = time.perf_counter(), time.process_time()
            _encode(encoder, texts)
            seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu_before
            # Before the probe, whose products do not belong to the encoder.
            memory = peak_bytes() - before
            on_device = 0 if device == CPU else int(torch.cuda.max_memory_allocated(device))
            ranks = None
            if probe is not None:
                vectors = _encode(encoder, [spec.item_prefix + text for text in sample.catalogue_texts])
                ranks = target_ranks(vectors, probe).tolist()
    unknown, cut = token_shares(encoder, texts)
    n_tokens = sum(map(len, encoder.tokenise(texts)))
    return Measurement(
        load_s, max(memory, 0), device, on_device, len(texts), n_tokens, seconds, cpu_s, unknown, cut, ranks
    )


def _encode(encoder: TextEncoder, texts: Sequence[str]) -> F32:
    chunks = [encoder.encode(texts[start : start + CHUNK_TEXTS]) for start in range(0, len(texts), CHUNK_TEXTS)]
    return np.concatenate(chunks) if chunks else np.zeros((0, encoder.spec.width), np.float32)


def token_shares(encoder: TextEncoder, texts: Sequence[str]) -> tuple[float, float]:
    """Return the shares of the texts' tokens that are unknown and that are cut, both without special tokens."""
    from tokenizers import Tokenizer

    description = encoder.tokenizer.to_str()
    whole = Tokenizer.from_str(description)
    whole.no_truncation()
    tokens = [
        encoding.ids for encoding in whole.encode_batch_fast(list(map(valid_unicode, texts)), add_special_tokens=False)
    ]
    n_tokens, unknown = sum(map(len, tokens)), unknown_id(json.loads(description)["model"])
    n_special = whole.num_special_tokens_to_add(False)
    n_kept = sum(len(ids) - n_special for ids in encoder.tokenise(texts))
    n_unknown = sum(ids.count(unknown) for ids in tokens) if unknown is not None else 0
    return n_unknown / max(n_tokens, 1), 1 - n_kept / max(n_tokens, 1)


def unknown_id(model: dict[str, Any]) -> int | None:
    """Return the id of the unknown token in the `model` of a tokenizer.json; None where it has none, as with bytes.

    >>> unknown_id({"type": "WordPiece", "unk_token": "[UNK]", "vocab": {"[PAD]": 0, "[UNK]": 1}})
    1
    >>> unknown_id({"type": "Unigram", "unk_id": 3, "vocab": []})
    3
    >>> unknown_id({"type": "BPE", "unk_token": None, "vocab": {}}) is None
    True
    """
    found = model["unk_id"] if "unk_id" in model else model.get("vocab", {}).get(model.get("unk_token"))
    return found if isinstance(found, int) else None


def peak_bytes() -> int:
    """Return the most memory that this process had at once."""
    # On Linux a child's ru_maxrss starts at the size of its parent, which may be a large driver.
    return _of_linux("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RUSAGE_UNIT


def resident_bytes() -> int:
    """Return the memory of this process now; on systems other than Linux the most that it had."""
    return _of_linux("VmRSS") or peak_bytes()


_RUSAGE_UNIT = 1 if sys.platform == "darwin" else 1024


def _of_linux(name: str) -> int:
    """Return a line of /proc/self/status in bytes; 0 where the file does not exist."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


def write_inputs(folder: Path, sample: TextSample, probe: Probe) -> None:
    """Write what all measurements of ``folder`` read."""
    (folder / "sample.json").write_text(json.dumps(asdict(sample)), encoding="utf-8")
    np.savez(folder / "probe.npz", **{field.name: getattr(probe, field.name) for field in fields(Probe)})


def write_task(folder: Path, spec: EncoderSpec, *, n_threads: int, probed: bool) -> None:
    """Write what the next process of ``folder`` measures, and delete an earlier result."""
    (folder / "result.json").unlink(missing_ok=True)
    task = {"spec": asdict(spec), "n_threads": n_threads, "probed": probed}
    (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")


def read_result(folder: Path) -> Measurement | str | None:
    """Return the measurement, the text of the error that ended it, or None where the process left nothing."""
    path = folder / "result.json"
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    return str(content["error"]) if "error" in content else Measurement(**content)


def main(folder: Path) -> int:
    """Measure what the folder asks for and write the result there; an error is a result, too."""
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    sample = TextSample(**json.loads((folder / "sample.json").read_text(encoding="utf-8")))
    probe = Probe(**np.load(folder / "probe.npz")) if task["probed"] else None
    try:
        result = asdict(measure(EncoderSpec(**task["spec"]), sample, probe, task["n_threads"]))
    except RecsysError as error:
        result = {"error": str(error)}
    except Exception as error:
        traceback.print_exc()
        result = {"error": f"{type(error).__name__}: {error}"}
    part = folder / "result.part"
    part.write_text(json.dumps(result), encoding="utf-8")
    part.rename(folder / "result.json")
    return 1 if "error" in result else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
