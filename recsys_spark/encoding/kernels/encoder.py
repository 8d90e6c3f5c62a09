"""The text encoder: from texts to vectors ``[n, h]`` in float32, in batches of a limited number of tokens."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys_spark.encoding.kernels.backends import Backend
from recsys_spark.encoding.kernels.layers import Layers
from recsys_spark.encoding.kernels.pooling import pool
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
    NOT_FINITE: "check the model's weights and their precision (encoder.backend): "
    "half precision overflows with some models",
    OUT_OF_MEMORY: "see who else is on the GPU (nvidia-smi); lower encoder.max_length, or encode on the CPU",
}
PLAIN_TEXT = "text"
CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 1_024, 32_768
"""Defaults of encoder.batch_tokens: what fits a core's cache, and what keeps a GPU busy."""
MAX_CHARACTERS_PER_TOKEN = 64
"""Text beyond max_length times this is not tokenised: a megabyte of text would take seconds and be cut anyway."""


@dataclass(frozen=True)
class Encoded:
    """The result of encoding n texts."""

    vectors: F32
    """``[n, h]`` in the order of the texts; zeros for a text without a token and for a text without a vector."""
    reasons: Mapping[int, str]
    """Row -> reason why it has no vector: NOT_FINITE or OUT_OF_MEMORY."""
    n_tokens: int
    """Tokens that passed through the network, special ones included."""
    n_slots: int
    """These tokens and the padding of their batches, where the network computes it."""


class TextEncoder:
    """A loaded encoder. Vectors depend only on the texts, their order and the number of threads.

    There is one exception. After a GPU's memory was exhausted, ``batch_tokens`` stays lower. Other texts in a batch may
    change the last bits of a vector.
    """

    def __init__(
        self, backend: Backend, tokenizer: Any, spec: EncoderSpec, pad_id: int, layers: Layers | None = None
    ) -> None:
        self.backend, self.tokenizer, self.spec, self.pad_id, self.device = backend, tokenizer, spec, pad_id, "cpu"
        self.layers = layers or Layers([], [])
        self._prompts = (
            {} if spec.include_prompt else prompt_lengths(tokenizer, spec.prompt, (spec.item_prefix, spec.user_prefix))
        )
        self._proven: set[str] = set()
        self._fitting: int | None = None

    @property
    def batch_tokens(self) -> int:
        """Most tokens per forward pass, padding included."""
        asked = self.spec.batch_tokens or (CPU_BATCH_TOKENS if self.device == "cpu" else GPU_BATCH_TOKENS)
        return asked if self._fitting is None else min(asked, self._fitting)

    def to(self, device: str) -> None:
        """Move the model to ``device``, in place."""
        self.backend.to(device)
        self.layers.to(device)
        self.device = device

    def prove(self) -> None:
        """Raise EncoderError where not even a plain text gets a vector on this device.

        Then no text would. The check encodes one text, once per device.
        """
        if self.device not in self._proven:
            reasons = self.encode_each([PLAIN_TEXT]).reasons
            if reasons:
                raise without_vectors(
                    "Not even a plain text gets a vector", self.spec.model, Counter(reasons.values()), 1
                )
            self._proven.add(self.device)

    def encode(self, texts: Sequence[str]) -> F32:
        """Return the vectors ``[n, h]`` of :meth:`encode_each`; raises EncoderError where a text has no vector."""
        encoded = self.encode_each(texts)
        if encoded.reasons:
            counts = Counter(encoded.reasons.values())
            raise without_vectors("There are texts without a vector", self.spec.model, counts, len(texts))
        return encoded.vectors

    def encode_each(self, texts: Sequence[str]) -> Encoded:
        """Return each text's vector, or the reason why it has none; the length is 1 where the spec normalises."""
        tokens = self.tokenise(texts)
        reasons: dict[int, str] = {}
        done, n_slots = [], 0
        left = np.array([len(ids) for ids in tokens], np.int64)
        n_tokens = int(left.sum())
        while left.any():
            for rows in plan_batches(left.copy(), self.batch_tokens):
                size = len(rows) * int(left[rows[0]])
                pooled = self._pooled([tokens[row] for row in rows], [self._left_out(texts[row]) for row in rows])
                if pooled is None and len(rows) > 1:
                    # The remaining texts are planned again: the next batches would be as large.
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

    def _pooled(self, tokens: Sequence[list[int]], left_out: Sequence[int]) -> Tensor | None:
        """Return :meth:`forward`, or None where the GPU's memory is too small; the attempt's memory is then free."""
        import torch

        try:
            return self.forward(tokens, left_out)
        except torch.cuda.OutOfMemoryError:
            # Its traceback refers to the tensors, so they are freed only after this block.
            pass
        except RuntimeError as error:
            # cuBLAS reports missing memory of its own only in the text of the error.
            if "ALLOC_FAILED" not in str(error):
                raise
        torch.cuda.empty_cache()
        return None

    def _lower_budget(self, n_slots: int) -> None:
        """Halve the budget for good after a batch of ``n_slots`` was too large: the next batches would fail as well."""
        lower = min(self.batch_tokens, n_slots) // 2
        log.warning(
            "out of memory on %s: from now on a batch of this process has %d tokens at most, not %d; "
            "set encoder.batch_tokens",
            self.device,
            lower,
            self.batch_tokens,
        )
        self._fitting = lower

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        """Return token ids per text, special tokens included, cut at ``max_length``."""
        kept = self.spec.max_length * MAX_CHARACTERS_PER_TOKEN
        part = slice(-kept, None) if self.spec.cut == "left" else slice(kept)
        whole = [valid_unicode((self.spec.prompt + text)[part]) for text in texts]
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(whole)]

    def _left_out(self, text: str) -> int:
        """Return the number of tokens at the beginning of a text that do not count in the pooling: its prompt's."""
        prompts = [prompt for prompt in self._prompts if (self.spec.prompt + text).startswith(prompt)]
        return self._prompts[max(prompts, key=len)] if prompts else 0

    def forward(self, tokens: Sequence[list[int]], left_out: Sequence[int] = ()) -> Tensor:
        """Return text vectors float32 ``[b, width]``, not normalised, of one batch padded to its longest text.

        ``left_out`` is the number of first tokens of each text that do not count in the pooling. The vectors are still
        on the device, and a GPU may still compute them: nothing waits for it before the last batch.
        """
        import torch

        width = max(map(len, tokens))
        ids = np.full((len(tokens), width), self.pad_id, np.int64)
        mask = np.zeros((len(tokens), width), np.int64)
        for row, text in enumerate(tokens):
            ids[row, : len(text)], mask[row, : len(text)] = text, 1
        counted = mask.copy() if any(left_out) else mask
        for row, n_tokens in enumerate(left_out):
            counted[row, :n_tokens] = 0
        with torch.inference_mode():
            hidden = self.backend.hidden(torch.from_numpy(ids).to(self.device), torch.from_numpy(mask).to(self.device))
            pooled = pool(self.spec.pooling, hidden, torch.from_numpy(counted).to(self.device))
            # A copy: a slice would keep its whole batch in memory until the last batch.
            return self.layers(pooled.to(torch.float32, copy=True))


def prompt_lengths(tokenizer: Any, prompt: str, prefixes: Iterable[str]) -> dict[str, int]:
    """Return the number of tokens by prompt, without a special token at its end, for each way in which texts begin."""
    special = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    lengths = {}
    for whole in {prompt + prefix for prefix in prefixes} - {""}:
        encoded = tokenizer.encode(whole)
        ends = bool(encoded.ids) and (encoded.special_tokens_mask[-1] == 1 or encoded.ids[-1] in special)
        lengths[whole] = len(encoded.ids) - ends
    return lengths


def plan_batches(lengths: I64, batch_tokens: int) -> Iterator[I64]:
    """Yield the row numbers of each batch, the longest texts first.

    Rows times the longest length is at most ``batch_tokens``, or the batch has one row. Rows without tokens are in no
    batch. Rows of equal length keep their order.

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
    """Return the error for ``counts`` (reason -> texts) of ``n_texts`` texts that have no vector."""
    return EncoderError(
        what,
        where=where,
        found=f"{sum(counts.values()):,} of {n_texts:,} without: "
        + ", ".join(f"{reason} {n:,}" for reason, n in sorted(counts.items())),
        expected="a finite vector for every text",
        action="; ".join(TO_DO[reason] for reason in sorted(counts)),
    )


def valid_unicode(text: str) -> str:
    """Return the text with every single half of a surrogate pair replaced; the tokenizer accepts only UTF-8.

    >>> valid_unicode("a" + chr(0xD83D) + "b") == "a" + chr(0xFFFD) + "b"
    True
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
