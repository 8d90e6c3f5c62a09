"""The model artifact: named tensors (safetensors) and facts (JSON). Never pickle."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from recsys_spark.errors import TrainingError
from recsys_spark.model.kernels.facts import TRAIN_AGAIN, ModelFacts


def is_link(name: str) -> bool:
    """Return whether a tensor belongs to links.Links: such tensors are large, and fitted anew from the behaviours."""
    return name.startswith("links.")


@dataclass(frozen=True)
class Artifact:
    """A trained model."""

    tensors: dict[str, npt.NDArray[Any]]
    """The weights of trainable.Trainable by name, `items.settled`, `temperature`, and links.* of links.Links"""
    facts: ModelFacts

    @property
    def model_id(self) -> str:
        """Return 16 hex digits that change with any weight, warm item or behaviour type."""
        digest = hashlib.sha256(self.tensor_bytes())
        digest.update(json.dumps([self.facts.behaviours, self.facts.warm_item_ids]).encode())
        return digest.hexdigest()[:16]

    def noting(self, **facts: Any) -> Artifact:
        """Return the same model with other facts."""
        return replace(self, facts=replace(self.facts, **facts))

    def tensor_bytes(self) -> bytes:
        """Return the tensors as a safetensors file."""
        return bytes(save_tensors({name: np.ascontiguousarray(value) for name, value in self.tensors.items()}))

    def facts_json(self) -> str:
        """Return the facts as JSON."""
        return self.facts.to_json()

    @staticmethod
    def parse(tensor_bytes: bytes, facts_json: str) -> Artifact:
        """Return the artifact that the two writers wrote.

        Raises TrainingError for a model that another version made, and for files that are cut short or otherwise wrong.
        """
        facts = ModelFacts.parse(facts_json)
        try:
            return Artifact(dict(load_tensors(tensor_bytes)), facts)
        except SafetensorError as error:
            raise TrainingError(
                "The tensors of the model cannot be read",
                where="model.safetensors",
                found=f"{len(tensor_bytes):,} bytes: {error}",
                expected="a safetensors file, as `train` writes it",
                action=TRAIN_AGAIN,
            ) from error
