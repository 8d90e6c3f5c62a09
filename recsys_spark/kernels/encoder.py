"""The text encoder: token budgets, pooling, length. Texts in, ``[n, h]`` float32 out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from recsys_spark.errors import EncoderError
from recsys_spark.kernels.encoder_backends import Backend
from recsys_spark.kernels.encoder_files import EncoderSpec

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

MAX_CHARACTERS_PER_TOKEN = 64
"""Text beyond max_length x this is not even tokenised: a megabyte of text would cost seconds and be cut anyway."""


class TextEncoder:
    """A loaded encoder. ``encode`` depends on the texts, their order and the thread count, on nothing else."""

    def __init__(self, backend: Backend, tokenizer: Any, spec: EncoderSpec, pad_id: int) -> None:
        self.backend, self.tokenizer, self.spec, self.pad_id, self.device = backend, tokenizer, spec, pad_id, "cpu"

    def to(self, device: str) -> None:
        """Move the model to ``device``, in place."""
        self.backend.to(device)
        self.device = device

    def encode(self, texts: Sequence[str]) -> Floats:
        """Vectors ``[n, h]`` in the order of ``texts``, of length 1 where the spec normalises; a text without a token gets zeros."""
        tokens = self.tokenise(texts)
        vectors = np.zeros((len(texts), self.spec.width), np.float32)
        for rows in plan_batches(np.array([len(ids) for ids in tokens], np.int64), self.spec.batch_tokens):
            vectors[rows] = self.forward([tokens[row] for row in rows])
        return unit_rows(vectors) if self.spec.normalise else finite_rows(vectors)

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids per text, special tokens included, cut at ``max_length``."""
        kept = self.spec.max_length * MAX_CHARACTERS_PER_TOKEN
        encodings = self.tokenizer.encode_batch_fast([valid_unicode(text[:kept]) for text in texts])
        return [encoding.ids for encoding in encodings]

    def forward(self, tokens: Sequence[list[int]]) -> Floats:
        """Pooled vectors ``[b, h]``, not normalised, of one batch padded to its longest text."""
        import torch

        width = max(map(len, tokens))
        ids = np.full((len(tokens), width), self.pad_id, np.int64)
        mask = np.zeros((len(tokens), width), np.int64)
        for row, text in enumerate(tokens):
            ids[row, : len(text)], mask[row, : len(text)] = text, 1
        with torch.inference_mode():
            attended = torch.from_numpy(mask).to(self.device)
            hidden = self.backend.hidden(torch.from_numpy(ids).to(self.device), attended)
            if self.spec.pooling == "cls":
                pooled = hidden[:, 0]
            elif self.spec.pooling == "last":
                pooled = hidden[torch.arange(len(tokens), device=self.device), attended.sum(1) - 1]
            else:
                # Summed in float32: a bfloat16 counts to 256 only.
                weights = attended.float().unsqueeze(1)
                pooled = torch.bmm(weights, hidden.float()).squeeze(1) / weights.sum(2)
            return cast(Floats, pooled.float().cpu().numpy())


def plan_batches(lengths: Ints, batch_tokens: int) -> Iterator[Ints]:
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


def unit_rows(vectors: Floats) -> Floats:
    """Each row at length 1, a zero row left at zero; raises EncoderError where a value is not finite.

    >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    # In double precision, so that the square of a large or tiny component neither overflows nor vanishes.
    norms = np.linalg.norm(finite_rows(vectors).astype(np.float64), axis=1, keepdims=True)
    return (vectors / np.where(norms > 0, norms, 1.0)).astype(np.float32)


def finite_rows(vectors: Floats) -> Floats:
    """The vectors as they are; raises EncoderError where a value is not finite."""
    strange = ~np.isfinite(vectors).all(axis=1)
    if strange.any():
        raise EncoderError(
            "the encoder returns values that are not finite",
            found=f"{int(strange.sum())} of {len(vectors)} texts",
            expected="finite numbers",
            action="check the model's weights",
        )
    return vectors


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
