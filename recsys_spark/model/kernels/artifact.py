"""The model artifact: named tensors (safetensors) and plain facts (JSON). Never pickle."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from recsys_spark.errors import TrainingError

FORMAT = 4
"""Goes up where older tensors can no longer be read."""


def is_link(name: str) -> bool:
    """Whether a tensor is one of links.Links: large, and fitted anew from the behaviours."""
    return name.startswith("links.")


@dataclass(frozen=True)
class Artifact:
    """A trained model.

    ``tensors``: those of training.Trainable by name, and links.* of links.Links.

    ``facts`` holds: format (FORMAT), shape (TowerShape), behaviours (types in order), warm_item_ids (rows of delta), losses
    (one entry per epoch), trial (one per epoch of the trial run), held_out (what it found with the choices), temperature, link_strength, cold_item_boost, w_cos, device (`cpu`, `cuda`), precision of the tower's products (`float32`, `bfloat16`), seconds, n_users, n_positions,
    first_time and last_time (seconds), encoder_id, config_fingerprint, started_from (run date of the earlier model, or None).
    """

    tensors: dict[str, npt.NDArray[Any]]
    facts: dict[str, Any]

    @property
    def model_id(self) -> str:
        """16 hex digits that change with any weight or warm item."""
        digest = hashlib.sha256(self.tensor_bytes())
        digest.update(json.dumps([self.facts["behaviours"], self.facts["warm_item_ids"]]).encode())
        return digest.hexdigest()[:16]

    def tensor_bytes(self) -> bytes:
        """The tensors as a safetensors file."""
        return bytes(save_tensors({name: np.ascontiguousarray(value) for name, value in self.tensors.items()}))

    def facts_json(self) -> str:
        """The facts as JSON."""
        return json.dumps(self.facts, ensure_ascii=False, indent=1)

    @staticmethod
    def parse(tensor_bytes: bytes, facts_json: str) -> Artifact:
        """Inverse of the two writers. Raises TrainingError for a model that another version made."""
        try:
            facts, tensors = json.loads(facts_json), dict(load_tensors(tensor_bytes))
        except (SafetensorError, ValueError) as error:
            raise TrainingError(
                "The model cannot be read",
                found=f"{len(tensor_bytes):,} bytes of tensors, {len(facts_json):,} characters of facts: {error}",
                expected="a safetensors file and JSON, as `train` writes them",
                action="Delete the stage's manifest, runs/run_date=D/AREA/train.json, and run `train` again.",
            ) from error
        if facts.get("format", 1) != FORMAT:
            raise TrainingError(
                "The model was made by another version of recsys-spark",
                found=f"model format {facts.get('format', 1)}",
                expected=f"format {FORMAT}",
                action="Run `train` again.",
            )
        return Artifact(tensors, facts)
