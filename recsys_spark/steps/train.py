"""Trains the model on an executor and stores it with its card."""

from __future__ import annotations

import logging
import sys

from pyspark.sql import SparkSession

from recsys_spark import __version__, tables
from recsys_spark.config.sections import Config
from recsys_spark.errors import ConfigError
from recsys_spark.model.inputs import item_inputs, user_inputs
from recsys_spark.model.kernels.artifact import Artifact, is_link
from recsys_spark.model.kernels.epochs import K
from recsys_spark.model.kernels.facts import ModelFacts
from recsys_spark.profiles.users import WITH_HISTORY
from recsys_spark.spark import driver
from recsys_spark.spark.gpus import DYNAMIC, gpu_profile
from recsys_spark.spark.session import is_local, shared_threads, task_slots
from recsys_spark.steps.context import Context, Facts
from recsys_spark.steps.stage import OwnInput, Stage
from recsys_spark.steps.stored_model import MODEL_CARD, MODEL_FACTS, MODEL_TENSORS, usable, warm_from
from recsys_spark.store.areas import Attempt
from recsys_spark.training.card import model_card
from recsys_spark.training.train import Checkpoint, artifact_of, build_model_rows, device_of

log = logging.getLogger("recsys_spark")
KEPT = ("seconds", "n_users", "n_positions", "resumed", "no_checkpoint", "started_from")
"""Facts of the model that the manifest holds unchanged."""


def train(ctx: Context, attempt: Attempt) -> Facts:
    """Train the model on profiles and embeddings, and write the artifact."""
    artifact = _trained(ctx, attempt)
    _report(ctx, artifact.facts)
    attempt.write_file(MODEL_TENSORS, artifact.tensor_bytes())
    attempt.write_file(MODEL_FACTS, artifact.facts_json().encode())
    attempt.write_file(MODEL_CARD, _card(ctx, artifact).encode())
    facts = artifact.facts
    return {
        "model_id": artifact.model_id,
        "losses": [entry.as_dict() for entry in facts.losses],
        "trial": [entry.as_dict() for entry in facts.trial],
        "held_out": facts.held_out.as_dict() if facts.held_out else None,
        "choices": facts.choices.as_dict(),
        **{name: getattr(facts, name) for name in KEPT},
    }


def _trained(ctx: Context, attempt: Attempt) -> Artifact:
    earlier, started_from = usable(ctx) or (None, None)
    rows = build_model_rows(
        item_inputs(ctx.table("profiles", tables.ITEM_PROFILES), ctx.embeddings),
        user_inputs(ctx.table("profiles", tables.USER_PROFILES), ctx.embeddings),
        ctx.cfg,
        n_users=sum(ctx.fact("profiles", "segments").get(name, 0) for name in WITH_HISTORY),
        text_width=ctx.fact("embed", "width"),
        n_threads=ctx.cfg.model.threads or shared_threads(ctx.spark, ctx.cfg.model.processes),
        profile=gpu_profile(ctx.spark, "train", device_of(ctx.cfg.model)),
        own_machine=is_local(ctx.spark),
        checkpoint=Checkpoint(attempt.checkpoint, attempt.key),
        earlier=earlier,
        bar=is_local(ctx.spark) and sys.stderr.isatty(),
    )
    return artifact_of(rows.collect()).noting(
        encoder_id=ctx.fact("embed", "encoder_id"),
        config_fingerprint=ctx.cfg.fingerprint(),
        started_from=started_from,
    )


def _report(ctx: Context, facts: ModelFacts) -> None:
    """Log how training went."""
    if not is_local(ctx.spark):
        # On a cluster the task's own lines are in an executor's log; in local mode they were on this terminal.
        for entry in facts.trial:
            log.info("train: %s", entry.line())
        for trouble in filter(None, (facts.resumed, facts.no_checkpoint)):
            log.warning("train: %s", trouble)
        for loss in facts.losses:
            log.info("train: %s", loss.line())
    where = "GPU" if facts.device == "cuda" else "CPU"
    log.info("train: computed on the %s, the tower in %s", where, facts.precision)
    if facts.held_out:
        log.info("train: held-out ndcg@%d %.4f; %s", K, facts.held_out.ndcg, facts.choices.line())
        if ends := facts.choices.at_grid_ends():
            log.info("train: the last values that the trial tries: %s; a better value may lie beyond", ", ".join(ends))


def _card(ctx: Context, artifact: Artifact) -> str:
    return model_card(
        artifact.facts,
        model_id=artifact.model_id,
        version=__version__,
        config_fingerprint=ctx.cfg.fingerprint(),
        seed=ctx.cfg.run.seed,
        encoder=ctx.cfg.encoder.model,
        weights=ctx.cfg.behaviours.weights,
        n_items=ctx.area.finished("profiles").rows[tables.ITEM_PROFILES.name],
        n_parameters=sum(tensor.size for name, tensor in artifact.tensors.items() if not is_link(name)),
        n_links=artifact.tensors["links.values"].size,
        as_of=ctx.as_of,
        now=ctx.now,
    )


def check(spark: SparkSession, cfg: Config) -> None:
    """Raise ConfigError if several training tasks cannot run.

    It is called before the other stages spend hours, and its messages name configuration keys.
    """
    n, slots = cfg.model.processes, task_slots(spark)
    if n > 1 and spark.conf.get(DYNAMIC, "false") == "true":
        raise ConfigError(
            "Several training tasks need executors that stay",
            where="model.processes",
            found=f"{n}, with {DYNAMIC} = true",
            expected="1, or a fixed number of executors: Spark does not run barrier stages under dynamic allocation",
            action=f"Set model.processes = 1, or {DYNAMIC} = false with as many executors as are needed.",
        )
    if n > 1 and is_local(spark) and n > slots:
        raise ConfigError(
            "There is no room for the configured number of training processes",
            where="model.processes",
            found=n,
            expected=f"at most {slots}, the tasks that run at once on {driver.master(spark)}",
            action="Lower it, or give Spark more cores (--master).",
        )


STAGE = Stage(
    "train",
    ("profiles", "embed"),
    ("model", "behaviours", "run.seed", "score.exclude_seen", "rerank.popular_half_life_days", "encoder.model"),
    train,
    OwnInput("warm_from", warm_from),
)
