"""The format of a checkpoint: the state of an unfinished training in one safetensors file.

Tensors have the names `weights.NAME`, `optimiser.K.MOMENT`, `draws.cpu.RANK` and `draws.cuda.RANK`. A trial run adds
`good.NAME` and `best`. The tensor `facts` is JSON: version, key, run, place, seconds, and the results of the run so
far.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from recsys_spark.errors import TrainingError
from recsys_spark.model.kernels.json_record import FieldError, record_of

FORMAT_VERSION = 1
"""Goes up when earlier checkpoints can no longer be read."""
FACTS = "facts"
WEIGHTS, OPTIMISER = "weights.", "optimiser."
CPU_DRAWS, GPU_DRAWS = "draws.cpu.", "draws.cuda."
TRIAL, FINAL = "trial", "final"
"""The two runs of a training: the trial run, and the run that makes the model."""
START_OVER = "Delete it; training starts over without it."
Tensors = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Place:
    """The place of a run in its walk through the histories."""

    epoch: int
    n_done: int
    """Batches of this epoch"""
    n_steps: int
    """Steps of the whole run"""
    sums: list[float]
    """[3] sums of the two losses so far in this epoch, and of their weights"""
    seconds: float
    """Spent on this epoch"""
    draws: list[list[Mapping[str, Any]]]
    """[processes][2] state of NumPy's generator at the beginning of the epoch, and now"""


@dataclass(frozen=True)
class _Saved:
    """The facts that a checkpoint of either run holds."""

    run: str
    seconds: float
    place: _Places


@dataclass(frozen=True)
class _Places:
    """The field `place` in the file: a :class:`Place` with the sums of all processes."""

    epoch: int
    n_done: int
    n_steps: int
    sums: list[list[float]]
    seconds: float
    draws: list[list[Mapping[str, Any]]]


@dataclass(frozen=True)
class TrainingState:
    """A training at the moment when it was saved."""

    tensors: Tensors
    facts: Mapping[str, Any]

    @staticmethod
    def of_run(
        weights: Tensors, moments: Mapping[int, Tensors], of_processes: Sequence[tuple[Tensors, Place]]
    ) -> TrainingState:
        """Return the state of a run: its weights, the optimiser's moments, and for each process its generators and
        its place."""
        tensors = {f"{WEIGHTS}{name}": value for name, value in weights.items()}
        for k, values in moments.items():
            tensors |= {f"{OPTIMISER}{k}.{name}": value for name, value in values.items()}
        for rank, (draws, _) in enumerate(of_processes):
            tensors |= {f"{name}{rank}": value for name, value in draws.items()}
        places = [place for _, place in of_processes]
        own = {"draws": [place.draws[0] for place in places], "sums": [place.sums for place in places]}
        return TrainingState(tensors, {"place": {**asdict(places[0]), **own}})

    def adding(self, run: str, seconds: float, tensors: Tensors, facts: Mapping[str, Any]) -> TrainingState:
        """Return this state with what the run has found so far.

        ``run`` is TRIAL or FINAL, and the training or its trial has taken ``seconds``.
        """
        return TrainingState({**self.tensors, **tensors}, {**self.facts, "run": run, "seconds": seconds, **facts})

    @property
    def run(self) -> str:
        """Return the run that was saved, TRIAL or FINAL."""
        return str(self.facts["run"])

    @property
    def seconds(self) -> float:
        """Return the time that the training, or its trial, had taken."""
        return float(self.facts["seconds"])

    @property
    def epoch(self) -> int:
        """Return the epoch in which the run was saved."""
        return int(self.facts["place"]["epoch"])

    @property
    def n_steps(self) -> int:
        """Return the number of steps that the run had made."""
        return int(self.facts["place"]["n_steps"])

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """Return the weights of the run by name."""
        return {name.removeprefix(WEIGHTS): v for name, v in self.tensors.items() if name.startswith(WEIGHTS)}

    def moments(self) -> dict[int, dict[str, npt.NDArray[Any]]]:
        """Return the optimiser's moments by parameter and name."""
        found: dict[int, dict[str, npt.NDArray[Any]]] = {}
        for name, value in self.tensors.items():
            if name.startswith(OPTIMISER):
                k, _, moment = name.removeprefix(OPTIMISER).partition(".")
                found.setdefault(int(k), {})[moment] = value
        return found

    def place(self, rank: int) -> Place:
        """Return the place of the process ``rank``; its `draws` are the draws of all processes."""
        facts = self.facts["place"]
        return Place(**{**facts, "sums": facts["sums"][rank]})

    def to_bytes(self, key: str) -> bytes:
        """Return the content of the file; ``key`` changes with everything that the model depends on."""
        facts = {"format": FORMAT_VERSION, "key": key, **self.facts}
        # safetensors writes the buffer below a view, not the values of the view.
        tensors = {name: np.asarray(value, order="C") for name, value in self.tensors.items()}
        tensors[FACTS] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
        return bytes(save_tensors(tensors))

    @staticmethod
    def parse(content: bytes, key: str, where: str) -> TrainingState:
        """Return the state of :meth:`to_bytes`.

        Raises TrainingError if the file ``where`` is cut short, or is of other settings, other data or another version.
        It also raises it for a fact that is missing or of another type.
        """
        try:
            tensors = load_tensors(content)
            facts = json.loads(tensors.pop(FACTS).tobytes())
        except (SafetensorError, KeyError, ValueError) as error:
            raise TrainingError(
                "The checkpoint cannot be read",
                where=where,
                found=f"{len(content):,} bytes: {error}",
                expected="a safetensors file with the state of a training",
                action=START_OVER,
            ) from error
        if not isinstance(facts, dict):
            raise _wrong_fact(where, FieldError(FACTS, type(facts).__name__, "an object"))
        version = facts.get("format")
        if type(version) is not int or (version, facts.get("key")) != (FORMAT_VERSION, key):
            raise TrainingError(
                "The checkpoint is of another training",
                where=where,
                found=f"format {version}, key {facts.get('key')}",
                expected=f"format {FORMAT_VERSION}, key {key}: this version, these settings, this input, this device",
                action=START_OVER,
            )
        try:
            saved = record_of(_Saved, {one.name: facts[one.name] for one in fields(_Saved) if one.name in facts})
            if saved.run not in (TRIAL, FINAL):
                raise FieldError("run", saved.run, f"{TRIAL} or {FINAL}")
        except FieldError as error:
            raise _wrong_fact(where, error) from error
        return TrainingState(tensors, facts)


def _wrong_fact(where: str, error: FieldError) -> TrainingError:
    return TrainingError(
        "The facts of the checkpoint are not as `train` writes them",
        where=f"{where}, {error.where}",
        found=error.found,
        expected=error.expected,
        action=START_OVER,
    )
