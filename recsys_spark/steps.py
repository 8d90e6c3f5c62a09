"""The steps behind the stages: read what a stage needs, call it, write what it returns. Used by ``pipeline`` alone."""

from __future__ import annotations

import logging
from datetime import UTC

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark import tables
from recsys_spark.context import Context, Facts
from recsys_spark.embeddings import Appended, Snapshot
from recsys_spark.encoder_provision import ship
from recsys_spark.errors import DataError
from recsys_spark.gpus import gpu_profile, why_on_cpu
from recsys_spark.kernels.encoder import Encoded
from recsys_spark.kernels.encoder_files import EncoderSpec
from recsys_spark.progress import ON, ROWS, SLOTS, UNITS, progress
from recsys_spark.session import is_local, task_threads
from recsys_spark.sources import Mapped, read_table
from recsys_spark.stages.embed import build_embeddings, check_encoded, profile_texts, rejected_profiles, unseen_texts
from recsys_spark.stages.ingest import Ingested, build_ingest, validate_ingested
from recsys_spark.stages.item_profiles import build_item_profiles
from recsys_spark.stages.user_profiles import build_user_profiles
from recsys_spark.store import Attempt

log = logging.getLogger("recsys_spark")


def ingest(ctx: Context, attempt: Attempt) -> Facts:
    """The sources -> interactions, items, users, relations, allow_list, deny_list, selected_users, rejected_rows."""
    mapped: dict[str, Mapped | None] = {}
    for name, table in tables.CONTRACT.items():
        of_tonight = ctx.hidden is not None and name in tables.TONIGHT
        sources = [] if of_tonight else getattr(ctx.cfg.sources, name)
        where = f"sources.{name}"
        mapped[name] = read_table(ctx.spark, table, sources, where=where, now=ctx.now) if sources else None
    behaviours, items = mapped["behaviours"], mapped["items"]
    if behaviours is None or items is None:  # the config has made sure of both
        raise DataError("Behaviours and items are needed", where="sources")
    built = build_ingest(
        behaviours,
        items,
        mapped["users"],
        mapped["relations"],
        ctx.cfg,
        as_of=ctx.as_of,
        held_out=ctx.hidden.held_out if ctx.hidden else None,
        extra_users=ctx.hidden.users if ctx.hidden else None,
        allow_list=mapped["allow_list"],
        deny_list=mapped["deny_list"],
        selected_users=mapped["selected_users"],
    )
    written = Ingested(
        interactions=attempt.write(tables.INTERACTIONS, built.interactions),
        items=attempt.write(tables.ITEMS, built.items),
        users=attempt.write(tables.USERS, built.users),
        relations=attempt.write(tables.RELATIONS, built.relations),
        allow_list=attempt.write(tables.ALLOW_LIST, built.allow_list),
        deny_list=attempt.write(tables.DENY_LIST, built.deny_list),
        selected_users=attempt.write(tables.SELECTED_USERS, built.selected_users),
        rejected_rows=attempt.write(tables.REJECTED_ROWS, built.rejected_rows),
    )
    earliest = None
    if not attempt.rows["interactions"]:
        first = behaviours.accepted.agg(F.min("ts")).collect()[0][0]
        # Collected timestamps are naive, in the driver's own zone.
        earliest = None if first is None else first.astimezone(UTC)
    given = sorted(name for name in tables.SERVING if mapped[name] is not None)
    validate_ingested(written, ctx.cfg, as_of=ctx.as_of, earliest_ts=earliest, given=given)
    counted = written.rejected_rows.groupBy("table", "reason").count().orderBy("table", "reason").collect()
    return {"given": given, "rejected": {f"{r['table']}.{r['reason']}": r["count"] for r in counted}}


def profiles(ctx: Context, attempt: Attempt) -> Facts:
    """Interactions, items, users, relations -> item_profiles, user_profiles."""
    interactions = ctx.table("ingest", tables.INTERACTIONS)
    items = attempt.write(
        tables.ITEM_PROFILES,
        build_item_profiles(ctx.table("ingest", tables.ITEMS), interactions, ctx.cfg, as_of=ctx.as_of),
    )
    users = attempt.write(
        tables.USER_PROFILES,
        build_user_profiles(
            interactions,
            ctx.table("ingest", tables.USERS),
            ctx.table("ingest", tables.RELATIONS),
            items,
            ctx.cfg,
            as_of=ctx.as_of,
        ),
    )
    segments = users.groupBy("segment").count().orderBy("segment").collect()
    return {
        "segments": {r["segment"]: r["count"] for r in segments},
        "cold_items": items.where("is_cold").count(),
        "available_items": items.where("available").count(),
    }


def embed(ctx: Context, attempt: Attempt) -> Facts:
    """Profiles -> vectors of the texts that have none yet, appended to the shared embeddings; rejected_rows."""
    spec, provided = ctx.encoder
    users, items = ctx.table("profiles", tables.USER_PROFILES), ctx.table("profiles", tables.ITEM_PROFILES)
    texts = profile_texts(users, items, ctx.cfg)
    # What is left out now is what the new batch says it left out: that spares its readers a shuffle.
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
    master, asked = ctx.spark.sparkContext.master or "", ctx.cfg.encoder.device
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
