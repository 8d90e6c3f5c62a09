"""The train step: trains the model on an executor and stores it with its card."""

from __future__ import annotations

import logging
import sys

from pyspark.sql import SparkSession

from recsys_spark import __version__, tables
from recsys_spark.config.sections import Config
from recsys_spark.errors import ConfigError
from recsys_spark.model.inputs import item_inputs, user_inputs
from recsys_spark.model.kernels.artifact import is_link
from recsys_spark.spark import driver
from recsys_spark.spark.gpus import DYNAMIC, gpu_profile
from recsys_spark.spark.session import is_local, shared_threads, task_slots
from recsys_spark.steps.context import Context, Facts
from recsys_spark.steps.stage import OwnInput, Stage
from recsys_spark.steps.stored_model import MODEL_CARD, MODEL_FACTS, MODEL_TENSORS, usable, warm_from
from recsys_spark.store.areas import Attempt
from recsys_spark.training.card import model_card
from recsys_spark.training.kernels.choices import CHOICES, grid_ends
from recsys_spark.training.kernels.held_out import K
from recsys_spark.training.train import Checkpoint, artifact_of, build_model_rows, device_of

log = logging.getLogger("recsys_spark")
WITH_HISTORY = ("heavy", "regular", "light")


def train(ctx: Context, attempt: Attempt) -> Facts:
    """Profiles and embeddings -> the model artifact."""
    earlier, started_from = usable(ctx) or (None, None)
    users = user_inputs(ctx.table("profiles", tables.USER_PROFILES), ctx.embeddings)
    rows = build_model_rows(
        item_inputs(ctx.table("profiles", tables.ITEM_PROFILES), ctx.embeddings),
        users,
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
    artifact = artifact_of(rows.collect())
    artifact.facts.update(
        encoder_id=ctx.fact("embed", "encoder_id"),
        config_fingerprint=ctx.cfg.fingerprint(),
        started_from=started_from,
    )
    if not driver.master(ctx.spark).startswith("local"):
        # On a cluster the task's own lines are in an executor's log; in local mode they were on this terminal.
        for entry in artifact.facts["trial"]:
            said = f", held-out ndcg {entry['ndcg']:.4f}" if "ndcg" in entry else ""
            log.info(
                "train: trial epoch %d loss %.4f (%.1f s)%s", entry["epoch"], entry["loss"], entry["seconds"], said
            )
        for said in filter(None, (artifact.facts["resumed"], artifact.facts["no_checkpoint"])):
            log.warning("train: %s", said)
        for loss in artifact.facts["losses"]:
            log.info("train: epoch %d loss %.4f (%.1f s)", loss["epoch"], loss["loss"], loss["seconds"])
    where = "GPU" if artifact.facts["device"] == "cuda" else "CPU"
    log.info("train: computed on the %s, the tower in %s", where, artifact.facts["precision"])
    if artifact.facts["held_out"]:
        log.info(
            "train: held-out ndcg@%d %.4f; links count %.1f times what the loss found, temperature %.2f, cold items +%.2f, w_cos %.2f",
            K,
            artifact.facts["held_out"]["ndcg"],
            *(artifact.facts[name] for name in CHOICES),
        )
        if ends := grid_ends(artifact.facts):
            log.info("train: the last of what the trial tries: %s; a better value may lie beyond", ", ".join(ends))
    attempt.write_file(MODEL_TENSORS, artifact.tensor_bytes())
    attempt.write_file(MODEL_FACTS, artifact.facts_json().encode())
    card = model_card(
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
    attempt.write_file(MODEL_CARD, card.encode())
    kept = (
        "losses",
        "trial",
        "held_out",
        *CHOICES,
        "seconds",
        "n_users",
        "n_positions",
        "resumed",
        "no_checkpoint",
        "started_from",
    )
    return {"model_id": artifact.model_id, **{name: artifact.facts[name] for name in kept}}


def check(spark: SparkSession, cfg: Config) -> None:
    """Raise ConfigError where several training tasks cannot run: before the hours of other stages, and in the words of the configuration."""
    n, slots = cfg.model.processes, task_slots(spark)
    if n > 1 and spark.conf.get(DYNAMIC, "false") == "true":
        raise ConfigError(
            "Several training tasks need executors that stay",
            where="model.processes",
            found=f"{n}, with {DYNAMIC} = true",
            expected="1, or a fixed number of executors: Spark runs no barrier stage under dynamic allocation",
            action=f"Set model.processes = 1, or {DYNAMIC} = false with as many executors as are needed.",
        )
    if n > 1 and is_local(spark) and n > slots:
        raise ConfigError(
            "There is no room for so many training processes",
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
