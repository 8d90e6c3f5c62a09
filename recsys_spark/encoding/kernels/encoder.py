"""The text encoder: token budgets, pooling, length. Texts in, ``[n, h]`` float32 out."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys_spark.encoding.kernels.backends import Backend
from recsys_spark.encoding.kernels.pooling import POOLINGS
from recsys_spark.encoding.kernels.spec import EncoderSpec
from recsys_spark.errors import EncoderError
from recsys_spark.numerics.arrays import F32, I64
from recsys_spark.numerics.unit_rows import unit_rows

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger("recsys_spark")

NOT_FINITE, OUT_OF_MEMORY = "not_finite", "out_of_memory"
"""Why a text has no vector."""
TO_DO = {
    NOT_FINITE: "check the model's weights and their precision (encoder.backend): half precision overflows with some models",
    OUT_OF_MEMORY: "see who else is on the GPU (nvidia-smi); lower encoder.max_length, or encode on the CPU",
}
PLAIN_TEXT = "text"
CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 1_024, 32_768
"""Where the configuration does not say: what a core's cache holds, and what keeps a GPU at work."""
MAX_CHARACTERS_PER_TOKEN = 64
"""Text beyond max_length x this is not even tokenised: a megabyte of text would cost seconds and be cut anyway."""


@dataclass(frozen=True)
class Encoded:
    """What became of n texts."""

    vectors: F32
    """``[n, h]`` in the order of the texts; zeros for a text without a token, and for one without a vector."""
    reasons: Mapping[int, str]
    """Row -> why it has no vector: NOT_FINITE or OUT_OF_MEMORY."""
    n_tokens: int
    """Tokens that passed through the network, special ones included."""
    n_slots: int
    """The same and the padding of their batches, where the network computes it."""


class TextEncoder:
    """A loaded encoder. Vectors depend on the texts, their order and the thread count, on nothing else.

    With one exception: where a GPU's memory was exhausted, ``batch_tokens`` stays lower from then on. Other batch-mates may
    change a vector's last bits.
    """

    def __init__(self, backend: Backend, tokenizer: Any, spec: EncoderSpec, pad_id: int) -> None:
        self.backend, self.tokenizer, self.spec, self.pad_id, self.device = backend, tokenizer, spec, pad_id, "cpu"
        self._proven: set[str] = set()
        self._fitting: int | None = None

    @property
    def batch_tokens(self) -> int:
        """Tokens per forward pass at most, padding included."""
        asked = self.spec.batch_tokens or (CPU_BATCH_TOKENS if self.device == "cpu" else GPU_BATCH_TOKENS)
        return asked if self._fitting is None else min(asked, self._fitting)

    def to(self, device: str) -> None:
        """Move the model to ``device``, in place."""
        self.backend.to(device)
        self.device = device

    def prove(self) -> None:
        """Raise EncoderError where not even a plain text gets a vector on this device: then none would. Costs one text, once per device."""
        if self.device not in self._proven:
            reasons = self.encode_each([PLAIN_TEXT]).reasons
            if reasons:
                raise without_vectors(
                    "Not even a plain text gets a vector", self.spec.model, Counter(reasons.values()), 1
                )
            self._proven.add(self.device)

    def encode(self, texts: Sequence[str]) -> F32:
        """Vectors ``[n, h]`` as :meth:`encode_each` has them; raises EncoderError where a text has none."""
        encoded = self.encode_each(texts)
        if encoded.reasons:
            counts = Counter(encoded.reasons.values())
            raise without_vectors("There are texts without a vector", self.spec.model, counts, len(texts))
        return encoded.vectors

    def encode_each(self, texts: Sequence[str]) -> Encoded:
        """What became of each text: a vector, of length 1 where the spec normalises, or the reason why there is none."""
        tokens = self.tokenise(texts)
        reasons: dict[int, str] = {}
        done, n_slots = [], 0
        left = np.array([len(ids) for ids in tokens], np.int64)
        n_tokens = int(left.sum())
        while left.any():
            for rows in plan_batches(left.copy(), self.batch_tokens):
                size = len(rows) * int(left[rows[0]])
                pooled = self._pooled([tokens[row] for row in rows])
                if pooled is None and len(rows) > 1:
                    # What is left is planned anew: the next batches would be as large.
                    self._lower_budget(size)
                    break
                if pooled is None:
                    reasons[int(rows[0])] = OUT_OF_MEMORY
                else:
                    done.append((rows, pooled))
                left[rows] = 0
                n_slots += sum(len(tokens[row]) for row in rows) if self.backend.packs else size
        vectors = np.zeros((len(texts), self.spec.width), np.float32)
        for rows, pooled in done:
            vectors[rows] = pooled.cpu().numpy()
        odd = ~np.isfinite(vectors).all(axis=1)
        reasons |= dict.fromkeys(np.flatnonzero(odd).tolist(), NOT_FINITE)
        vectors[odd] = 0
        return Encoded(unit_rows(vectors) if self.spec.normalise else vectors, reasons, n_tokens, n_slots)

    def _pooled(self, tokens: Sequence[list[int]]) -> Tensor | None:
        """:meth:`forward`, or None where the GPU's memory does not suffice; what the attempt held is free again then."""
        import torch

        try:
            return self.forward(tokens)
        except torch.cuda.OutOfMemoryError:
            # Its traceback holds the tensors, so that they go only after this block.
            pass
        except RuntimeError as error:
            # cuBLAS finds no room for its own and says so in words alone.
            if "ALLOC_FAILED" not in str(error):
                raise
        torch.cuda.empty_cache()
        return None

    def _lower_budget(self, n_slots: int) -> None:
        """After a batch of ``n_slots`` was too large. For good: the next batches of this process would fail as well."""
        lower = min(self.batch_tokens, n_slots) // 2
        log.warning(
            "out of memory on %s: a batch has %d tokens at most from now on in this process, not %d; set encoder.batch_tokens",
            self.device,
            lower,
            self.batch_tokens,
        )
        self._fitting = lower

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids per text, special tokens included, cut at ``max_length``."""
        kept = self.spec.max_length * MAX_CHARACTERS_PER_TOKEN
        encodings = self.tokenizer.encode_batch_fast([valid_unicode(text[:kept]) for text in texts])
        return [encoding.ids for encoding in encodings]

    def forward(self, tokens: Sequence[list[int]]) -> Tensor:
        """Pooled vectors float32 ``[b, h]``, not normalised, of one batch padded to its longest text.

        They are on the device still, and a GPU may be at work on them: nobody waits for it before the last batch.
        """
        import torch

        width = max(map(len, tokens))
        ids = np.full((len(tokens), width), self.pad_id, np.int64)
        mask = np.zeros((len(tokens), width), np.int64)
        for row, text in enumerate(tokens):
            ids[row, : len(text)], mask[row, : len(text)] = text, 1
        with torch.inference_mode():
            attended = torch.from_numpy(mask).to(self.device)
            hidden = self.backend.hidden(torch.from_numpy(ids).to(self.device), attended)
            pooled = POOLINGS[self.spec.pooling].pool(hidden, attended)
            # A copy: a slice would keep all of its batch in memory until the last batch.
            return pooled.to(torch.float32, copy=True)


def plan_batches(lengths: I64, batch_tokens: int) -> Iterator[I64]:
    """Row numbers of each batch, the longest texts first: rows x longest length fits the budget, or the batch is one row.

    Rows without tokens are in no batch. Equal lengths keep their order.

    >>> [rows.tolist() for rows in plan_batches(np.array([2, 9, 3, 0, 2]), batch_tokens=6)]
    [[1], [2, 0], [4]]
    """
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    start = 0
    while start < len(order):
        stop = start + max(1, batch_tokens // int(lengths[order[start]]))
        yield order[start:stop]
        start = stop


def without_vectors(what: str, where: str, counts: Mapping[str, int], n_texts: int) -> EncoderError:
    """The error for ``counts`` (reason -> texts) of ``n_texts`` that have no vector."""
    return EncoderError(
        what,
        where=where,
        found=f"{sum(counts.values()):,} of {n_texts:,} without: "
        + ", ".join(f"{reason} {n:,}" for reason, n in sorted(counts.items())),
        expected="a finite vector for every text",
        action="; ".join(TO_DO[reason] for reason in sorted(counts)),
    )


def valid_unicode(text: str) -> str:
    """The text with every half of a surrogate pair that stands alone replaced; the tokenizer takes UTF-8 only.

    >>> valid_unicode("a" + chr(0xD83D) + "b") == "a" + chr(0xFFFD) + "b"
    True
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
