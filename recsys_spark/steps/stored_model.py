"""Reads the model from the store, for the steps that use it and as the start of a new training."""

from __future__ import annotations

import hashlib
import logging

import numpy as np
from pyspark.sql import DataFrame

from recsys_spark.errors import EncoderError, RecsysError, StoreError
from recsys_spark.model.kernels.artifact import Artifact, is_link
from recsys_spark.model.kernels.recommender import ItemMatrix
from recsys_spark.spark.failures import JavaFailure
from recsys_spark.steps.context import Context
from recsys_spark.store.areas import Area
from recsys_spark.training.kernels.run import shape_of
from recsys_spark.training.kernels.warm_start import why_not

log = logging.getLogger("recsys_spark")
MODEL_TENSORS, MODEL_FACTS, MODEL_CARD = "model.safetensors", "model.json", "MODEL_CARD.md"


def model_of(area: Area) -> Artifact:
    """Return the model of a walk. Raises StoreError if it has none, TrainingError if another version made it."""
    return Artifact.parse(area.file("train", MODEL_TENSORS), area.file("train", MODEL_FACTS).decode())


def load_artifact(ctx: Context) -> Artifact:
    """Return the model of this walk. Raises EncoderError if its training had vectors of another encoder than this
    walk's."""
    artifact = model_of(ctx.area)
    trained = (artifact.facts.encoder_id, artifact.facts.shape.text_width)
    embedded = (ctx.fact("embed", "encoder_id"), ctx.fact("embed", "width"))
    if trained != embedded:
        raise EncoderError(
            "The model was trained on vectors of another encoder",
            where=f"{ctx.area.folder}, {MODEL_FACTS}",
            found="encoder {} of width {}, and embeddings of encoder {} of width {}".format(*trained, *embedded),
            expected="one encoder for both",
            action="Run `train` again, or set [encoder] as it was.",
        )
    return artifact


def item_matrix(item_vectors: DataFrame, item_profiles: DataFrame) -> ItemMatrix:
    """Return the catalogue's vectors as workers hold them; they go through the driver, as any broadcast does."""
    rows = item_vectors.join(item_profiles.select("item_id", "title"), "item_id").select(
        "item_id", "title", "token", "y", "theta", "link"
    )
    table = rows.toArrow().sort_by("item_id")

    def matrix(name: str) -> np.ndarray:
        flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        # A copy, because torch warns about memory that it may not write to.
        return np.array(flat).reshape(table.num_rows, -1)

    ids = table["item_id"].to_numpy().astype(object)
    return ItemMatrix(
        fingerprint=hashlib.sha256("\0".join(ids).encode("utf-8", "surrogatepass")).hexdigest()[:16],
        ids=ids,
        titles=table["title"].to_numpy().astype(object),
        tokens=matrix("token"),
        y=matrix("y"),
        theta=matrix("theta"),
        link=np.array(table["link"].fill_null(-1).to_numpy(), np.int64),
    )


def warm_from(ctx: Context) -> dict[str, str] | None:
    """Return the newest model of an earlier run date, for training to start from; None if there is none or none is
    wanted."""
    if not ctx.cfg.model.warm_epochs or ctx.hidden:
        return None
    for run_date in reversed(ctx.store.run_dates()):
        try:
            manifest = ctx.store.area(run_date).manifest("train") if run_date < ctx.run_date else None
        except StoreError as error:
            log.warning("train: does not start from %s: %s", run_date, error)
            continue
        if manifest:
            return {"run_date": run_date, "model_id": manifest.facts["model_id"]}
    return None


def usable(ctx: Context) -> tuple[Artifact, str] | None:
    """Return the model that training starts from, and its run date; None if training is to start from scratch.

    A model is not usable if it cannot be read, is of another encoder or shape, or has seen behaviours at or after
    as_of.
    """
    found = warm_from(ctx)
    if not found:
        return None
    try:
        earlier = model_of(ctx.store.area(found["run_date"]))
    except (RecsysError, JavaFailure) as error:
        # A file that is cut short or gone must not stop tonight's training.
        log.warning("train: from scratch; the model of %s cannot be read: %s", found["run_date"], error)
        return None
    encoder_id, cfg = ctx.fact("embed", "encoder_id"), ctx.cfg
    behaviours = sorted(cfg.behaviours.weights)
    shape = shape_of(
        cfg.model,
        text_width=ctx.fact("embed", "width"),
        n_behaviours=len(behaviours),
        max_history=cfg.behaviours.max_history,
    )
    why = why_not(earlier, behaviours, shape)
    if earlier.facts.encoder_id != encoder_id:
        why = f"its encoder is {earlier.facts.encoder_id}, and now {encoder_id}"
    elif earlier.facts.last_time >= ctx.as_of.timestamp():
        why = "it has seen behaviours at or after as_of"
    if why:
        log.warning("train: from scratch; the model of %s cannot be its start: %s", found["run_date"], why)
        return None
    log.info("train: starts from the model of %s", found["run_date"])
    tensors = {name: value for name, value in earlier.tensors.items() if not is_link(name)}
    return Artifact(tensors, earlier.facts), found["run_date"]
