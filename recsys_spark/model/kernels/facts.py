"""The facts of a model next to its tensors: sizes, the data it learned from, the choices, the course of training."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

from recsys_spark.errors import TrainingError
from recsys_spark.model.kernels.choices import Choices
from recsys_spark.model.kernels.epochs import EpochLoss, Found, TrialEpoch
from recsys_spark.model.kernels.json_record import FieldError, record_of
from recsys_spark.model.kernels.tower import TowerShape

FORMAT_VERSION = 5
"""Goes up when facts or tensors of an earlier version can no longer be read."""
TRAIN_AGAIN = "Delete the stage's manifest, runs/run_date=D/AREA/train.json, and run `train` again."

DEVICES, PRECISIONS = ("cpu", "cuda"), ("float32", "bfloat16")


@dataclass(frozen=True)
class ModelFacts:
    """The content of model.json."""

    shape: TowerShape
    behaviours: tuple[str, ...]
    """Behaviour types, in the order of the tower's embedding"""
    warm_item_ids: tuple[str, ...]
    """Items with a learned part, in the order of its rows"""
    choices: Choices
    """The choices of a trial, which the tensors have built in"""
    n_users: int
    """Users with a history, in training"""
    n_positions: int
    """Behaviours in training"""
    first_time: float
    """Time of the oldest behaviour, in seconds since 1970"""
    last_time: float
    device: str
    """`cpu` or `cuda`"""
    precision: str
    """Number format of the tower's products: `float32` or `bfloat16`"""
    losses: tuple[EpochLoss, ...] = ()
    """Losses of each epoch"""
    trial: tuple[TrialEpoch, ...] = ()
    """Epochs of the trial run; empty if there was none"""
    held_out: Found | None = None
    """Metrics of the trial's model on held-out behaviours, with the choices but before cold items were pushed"""
    seconds: float = 0.0
    """Duration of training, its trial included"""
    resumed: str = ""
    """Where training went on after it was stopped; empty if it was not stopped"""
    no_checkpoint: str = ""
    """Why no checkpoint could be written; empty if that was possible"""
    encoder_id: str = ""
    """Encoder of the text vectors"""
    config_fingerprint: str = ""
    started_from: str | None = None
    """Run date of the model that training began with; None if it began from scratch"""
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """Return the content of model.json."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)

    @staticmethod
    def parse(text: str) -> ModelFacts:
        """Return the facts of :meth:`to_json`.

        Raises TrainingError for another version and for text that is not JSON. It also raises it for a field that is
        missing, unknown, of another type or of a value that no training writes.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise TrainingError(
                "The facts of the model cannot be read",
                where="model.json",
                found=f"{len(text):,} characters: {error}",
                expected="JSON, as `train` writes it",
                action=TRAIN_AGAIN,
            ) from error
        version = values.get("format_version") if isinstance(values, dict) else None
        if version != FORMAT_VERSION:
            raise TrainingError(
                "The model was made by another version of recsys-spark",
                where="model.json, format_version",
                found="nothing" if version is None else version,
                expected=FORMAT_VERSION,
                action=TRAIN_AGAIN,
            )
        try:
            facts = record_of(ModelFacts, values)
            _check_values(facts)
        except FieldError as error:
            raise TrainingError(
                "The facts of the model are not as `train` writes them",
                where=f"model.json, {error.where}",
                found=error.found,
                expected=error.expected,
                action=TRAIN_AGAIN,
            ) from error
        return facts


def _check_values(facts: ModelFacts) -> None:
    """Raise FieldError for the first value that no training writes."""
    shape, choices = facts.shape, facts.choices
    at_least = [(f"shape.{one.name}", getattr(shape, one.name), 1) for one in fields(shape) if one.name != "dropout"]
    at_least += [("n_users", facts.n_users, 0), ("n_positions", facts.n_positions, 0)]
    for where, number, least in at_least:
        if number < least:
            raise FieldError(where, str(number), f"at least {least}")
    positive = [("choices.link_strength", choices.link_strength), ("choices.temperature", choices.temperature)]
    if facts.held_out:
        positive.append(("held_out.temperature", facts.held_out.temperature))
    for where, value in positive:
        if value <= 0:
            raise FieldError(where, str(value), "a number above 0")
    for where, word, known in (("device", facts.device, DEVICES), ("precision", facts.precision, PRECISIONS)):
        if word not in known:
            raise FieldError(where, word, " or ".join(known))
