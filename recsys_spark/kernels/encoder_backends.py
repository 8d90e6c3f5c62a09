"""What multiplies, in which precision: token ids in, token vectors out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Backend(Protocol):
    """A network in memory. Its result depends on its inputs and the thread count, on nothing else."""

    def hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token vectors ``[b, w, h]`` of token ids ``[b, w]``; ``mask`` int64 ``[b, w]`` is 1 at tokens, which come first, and 0 at padding."""

    def to(self, device: str) -> Any:
        """Move the weights to ``device`` (`cpu`, `cuda:K`), in place."""


class TorchBackend:
    """A model of transformers as it comes, on CPU or GPU."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        """See :class:`Backend`."""
        hidden: Tensor = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        return hidden

    def to(self, device: str) -> None:
        """See :class:`Backend`."""
        self.model.to(device)


def make_backend(name: str, model: Any) -> Backend:
    """The backend that ``encoder.backend`` names, around a model of transformers in float32."""
    import torch

    # Cast once and here: a model that moves between devices keeps its bits.
    return TorchBackend(model.to(getattr(torch, name.removeprefix("torch-"))))
