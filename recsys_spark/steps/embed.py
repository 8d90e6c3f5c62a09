"""Encodes the texts that have no vector yet and appends the vectors to the store."""

from __future__ import annotations

import logging

from pyspark.sql import DataFrame

from recsys_spark import tables
from recsys_spark.encoding.embed import build_embeddings, check_encoded, profile_texts, rejected_profiles, unseen_texts
from recsys_spark.encoding.kernels.encoder import Encoded
from recsys_spark.encoding.kernels.spec import EncoderSpec
from recsys_spark.encoding.provision import ship
from recsys_spark.errors import StoreError
from recsys_spark.spark import driver
from recsys_spark.spark.gpus import gpu_profile, why_on_cpu
from recsys_spark.spark.progress import ON, ROWS, SLOTS, UNITS, progress
from recsys_spark.spark.session import is_local, task_threads
from recsys_spark.steps.context import Context, Facts
from recsys_spark.steps.stage import OwnInput, Stage
from recsys_spark.store.areas import Attempt
from recsys_spark.store.embeddings import Appended, Snapshot

log = logging.getLogger("recsys_spark")


def embed(ctx: Context, attempt: Attempt) -> Facts:
    """Append the vectors of texts that have none yet to the shared embeddings, and write rejected_rows."""
    spec, provided = ctx.encoder
    users, items = ctx.table("profiles", tables.USER_PROFILES), ctx.table("profiles", tables.ITEM_PROFILES)
    texts = profile_texts(users, items, ctx.cfg)
    # The new batch records which vectors existed before it, which saves its readers a shuffle.
    known = ctx.store.vectors.snapshot(spec.encoder_id)
    unseen = unseen_texts(texts, known.read(), spec.encoder_id)
    n_texts, n_unseen = texts.count(), unseen.count()
    log.info("embed: %d of %d texts are new to %s (%s)", n_unseen, n_texts, spec.model, spec.backend)
    n_encoded, rejected = 0, ctx.spark.createDataFrame([], tables.ENCODED.schema)
    if n_unseen:
        appended = _encode_and_append(ctx, ship(spec, provided, ctx.spark), unseen, n_unseen, known)
        n_encoded, rejected = appended.n_vectors, appended.rejected
    counted = {r["reason"]: r["count"] for r in rejected.groupBy("reason").count().collect()}
    check_encoded(counted, n_texts, spec.model)
    attempt.write(tables.REJECTED_ROWS, rejected_profiles(rejected, users, items))
    if counted:
        log.warning("embed: %d texts have no vector; see rejected_rows: %s", sum(counted.values()), counted)
    return {
        "encoder_id": spec.encoder_id,
        "model": spec.model,
        "width": spec.width,
        "n_texts": n_texts,
        "n_encoded": n_encoded,
        "rejected": counted,
    }


def _encode_and_append(ctx: Context, spec: EncoderSpec, unseen: DataFrame, n_unseen: int, known: Snapshot) -> Appended:
    master, asked = driver.master(ctx.spark), ctx.cfg.encoder.device
    why = why_on_cpu(master, asked, spec.device, spec.backend)
    with progress(ctx.spark, "embed", n_unseen, rows="texts", units="tokens") as counts:

        def report(device: str, encoded: Encoded) -> None:
            n = len(encoded.vectors)
            counts.add({ROWS: n, UNITS: encoded.n_tokens, SLOTS: encoded.n_slots, ON + device.partition(":")[0]: n})

        encoded = build_embeddings(
            unseen,
            spec,
            n_texts=n_unseen,
            n_threads=task_threads(ctx.spark),
            profile=gpu_profile(ctx.spark, "embed", spec.device, why),
            own_machine=is_local(ctx.spark),
            report=report,
        )
        return ctx.store.vectors.append(spec.encoder_id, encoded, known=known)


def _encoder_id(ctx: Context) -> str:
    """Return the encoder of this walk; a backtest uses the recorded encoder of the lists that it measures."""
    main = ctx.store.area(ctx.run_date)
    encoder_id: str = main.finished("embed").facts["encoder_id"] if ctx.hidden else ctx.encoder[0].encoder_id
    return encoder_id


def _check_same_encoder(ctx: Context, encoder_id: str) -> None:
    if ctx.encoder[0].encoder_id != encoder_id:
        raise StoreError(
            "The model is not the one whose lists the backtest is for",
            where=ctx.cfg.encoder.model,
            found=f"encoder_id {ctx.encoder[0].encoder_id}",
            expected=f"encoder_id {encoder_id}, with which `embed` finished",
            action="Run `pipeline`, which encodes with the model as it is now, or put the earlier one back.",
        )


def _still_there(ctx: Context) -> bool:
    done = ctx.area.finished("embed").facts
    return done["n_texts"] == 0 or ctx.store.has_embeddings(done["encoder_id"], ctx.area)


STAGE = Stage(
    "embed",
    ("profiles",),
    ("encoder",),
    embed,
    # With the same settings `auto` may choose another backend on another driver, and a folder may hold another model.
    OwnInput("encoder_id", _encoder_id, _check_same_encoder),
    _still_there,
)
