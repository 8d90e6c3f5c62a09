"""The whole pipeline on a small shop: everyone is served, nothing seen comes back, reruns and crashes behave."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.dataset as ds
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys_spark import contract, pipeline, tables
from recsys_spark.errors import PublishRefused, RecsysError, StoreError
from recsys_spark.evaluation.backtest import OURS
from recsys_spark.evaluation.baselines.registry import BASELINES
from recsys_spark.evaluation.kernels.metrics import METRICS
from recsys_spark.pipeline import run_pipeline
from recsys_spark.steps import evaluate
from recsys_spark.steps.context import Context
from recsys_spark.steps.names import BACKTESTED, STAGE_NAMES
from tests.e2e.small_shop import KINDS, N_USERS, RUN_DATE, TOP_N, load, write_shop
from tests.tiny_encoder import tiny_encoder


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Every stage works in a folder whose name Spark, Hadoop, pyarrow or a shell could read in another way.
    return write_shop(tmp_path_factory.mktemp("shop") / "_our shop, 100%20é日#1")


@pytest.fixture(scope="module")
def run(spark: SparkSession, shop: Path) -> Context:
    return run_pipeline(spark, load(shop), RUN_DATE)


@pytest.fixture(scope="module")
def lists(run: Context) -> dict[str, list[dict[str, object]]]:
    """Published rows by user, read without Spark."""
    path = run.store.lists.path(RUN_DATE)
    out: dict[str, list[dict[str, object]]] = {}
    rows = ds.dataset(path, format="parquet", exclude_invalid_files=True).to_table().to_pylist()
    for row in sorted(rows, key=lambda r: (r["user_id"], r["rank"])):
        out.setdefault(row["user_id"], []).append(row)
    return out


def test_every_stage_ran_under_the_check_of_its_settings(run: Context, walks: set[tuple[str, bool]]) -> None:
    assert walks >= {(name, False) for name in STAGE_NAMES}
    assert walks >= {(name, True) for name in BACKTESTED}


def test_every_user_gets_n_items_ranked_from_one(lists: dict[str, list[dict[str, object]]]) -> None:
    assert len(lists) == N_USERS + 3
    for user, rows in lists.items():
        assert [row["rank"] for row in rows] == list(range(1, TOP_N + 1)), user
        assert len({row["item_id"] for row in rows}) == TOP_N, user


def test_no_seen_item_comes_back(run: Context, lists: dict[str, list[dict[str, object]]]) -> None:
    seen = {(r["user_id"], r["item_id"]) for r in run.table("ingest", contract.INTERACTIONS).collect()}
    assert not [row for rows in lists.values() for row in rows if (row["user_id"], row["item_id"]) in seen]


def test_source_says_how_a_user_was_served(lists: dict[str, list[dict[str, object]]]) -> None:
    source = {user: {row["source"] for row in rows} for user, rows in lists.items()}
    assert source["u00"] == {"history"}
    assert source["by-tag"] == source["by-friend"] == {"profile"}
    assert source["nobody"] == {"popular"}


def test_score_is_cosine_plus_log_prob_on_every_row(lists: dict[str, list[dict[str, object]]]) -> None:
    for rows in lists.values():
        for row in rows:
            assert row["score"] == pytest.approx(row["cosine"] + row["log_prob"], abs=1e-6)  # type: ignore[operator]
            assert row["log_prob"] < 0  # type: ignore[operator]


def test_reasons_name_what_the_user_did(run: Context, lists: dict[str, list[dict[str, object]]]) -> None:
    titles = {r["item_id"]: r["title"] for r in run.table("profiles", tables.ITEM_PROFILES).collect()}
    history = run.table("profiles", tables.USER_PROFILES).where("user_id = 'u01'").collect()[0]["history"]
    possible = {f'because of "{titles[e["item_id"]]}" ({e["behaviour"]})' for e in history}
    for row in lists["u01"]:
        assert set(row["reasons"]) <= possible  # type: ignore[call-overload]
        assert row["reasons"]
    assert lists["by-tag"][0]["reasons"] == ["because of your interest in game"]
    assert str(lists["by-friend"][0]["reasons"]).startswith("['because friend u0")
    assert lists["nobody"][0]["reasons"] == ["popular recently"]


def test_unknown_users_get_what_is_popular(run: Context, lists: dict[str, list[dict[str, object]]]) -> None:
    best = run.table("profiles", tables.ITEM_PROFILES).orderBy(F.desc("popularity"), "item_id").limit(TOP_N).collect()
    assert [row["item_id"] for row in lists["nobody"]] == [row["item_id"] for row in best]


def test_the_planted_taste_comes_first(lists: dict[str, list[dict[str, object]]]) -> None:
    """A user has seen 8 of 9 or 10 items of the own kind: what is left of it stands first."""
    own = [
        sum(int(str(row["item_id"])[1:]) % len(KINDS) == int(user[1:]) % 2 for row in rows[:1])
        for user, rows in lists.items()
        if user.startswith("u")
    ]
    assert sum(own) / len(own) > 0.7


def test_the_manifest_says_what_was_published(run: Context) -> None:
    manifest = run.store.lists.manifest(RUN_DATE)
    assert manifest is not None
    assert manifest["n_users"] == manifest["n_users_with_full_list"] == N_USERS + 3
    assert manifest["config_fingerprint"] == run.cfg.fingerprint()
    assert manifest["model_id"] == run.fact("train", "model_id")
    assert manifest["rows"]["rerank"]["recommendations"] == (N_USERS + 3) * TOP_N
    assert {entry["path"].rsplit("/", 1)[1] for entry in manifest["input"]} >= {"events.csv", "items.csv"}
    assert set(manifest["seconds"]) == {"ingest", "profiles", "embed", "train", "score", "rerank", "evaluate"}


def test_metrics_stand_beside_popularity_and_als(run: Context) -> None:
    rows = run.table("evaluate", tables.METRICS).where("segment = 'all'").collect()
    assert {row["model"] for row in rows} == {OURS, *BASELINES}
    assert {row["metric"] for row in rows} == set(METRICS)
    for row in rows:
        assert 0 <= row["value"] <= 1
        if row["metric"] != "coverage":
            assert row["ci_low"] <= row["value"] <= row["ci_high"]


def test_the_backtest_never_saw_the_truth(run: Context) -> None:
    cut = run.area.finished("evaluate").facts["as_of"]
    back = run.store.area(RUN_DATE, "backtest")
    latest = back.table("ingest", contract.INTERACTIONS).agg(F.max("ts")).collect()[0][0]
    assert latest.astimezone(UTC) < datetime.fromisoformat(cut)


def test_the_report_is_one_file_that_names_the_run(run: Context) -> None:
    html = Path(run.fact("report", "path")).read_text(encoding="utf-8")
    assert RUN_DATE in html
    assert "http://" not in html.replace("http://www.w3.org", "")


def test_a_rerun_of_a_finished_run_does_nothing(spark: SparkSession, shop: Path, run: Context) -> None:
    before = {name: run.area.finished(name).attempt for name in STAGE_NAMES}
    again = run_pipeline(spark, load(shop), RUN_DATE)
    assert {name: again.area.finished(name).attempt for name in STAGE_NAMES} == before


def test_a_backtest_is_of_the_encoder_whose_lists_it_is_for(run: Context, shop: Path) -> None:
    model, kept = shop.parent / "tiny-encoder", shop.parent / "kept"
    # Of a run of `evaluate` alone: that has not looked for the encoder.
    back, _ = evaluate._backtest(replace(run))
    manifest = Path(back.area.folder) / "embed.json"
    written = manifest.read_text(encoding="utf-8")
    model.rename(kept)
    try:
        assert evaluate._backtest(run)[0].encoder is run.encoder, "a run looks for its encoder once"
        pipeline.run_stages(back, BACKTESTED)
        assert manifest.read_text(encoding="utf-8") == written, "a finished stage ran again"
        tiny_encoder(shop.parent, seed=1)
        manifest.unlink()
        with pytest.raises(StoreError, match="not the one whose lists the backtest is for"):
            pipeline.run_stages(back, ["embed"])
    finally:
        manifest.write_text(written, encoding="utf-8")
        shutil.rmtree(model, ignore_errors=True)
        kept.rename(model)


def test_a_later_setting_reruns_only_what_depends_on_it(spark: SparkSession, shop: Path, run: Context) -> None:
    before = {name: run.area.finished(name).attempt for name in STAGE_NAMES}
    again = run_pipeline(spark, load(shop, rerank__n_reasons=0, evaluate__enabled=False), RUN_DATE)
    changed = {name for name in STAGE_NAMES if again.area.finished(name).attempt != before[name]}
    assert changed == {"rerank", "evaluate", "publish", "report"}
    assert not again.store.lists.published(RUN_DATE).where(F.size("reasons") > 0).count()


def test_a_crash_leaves_nothing_visible_and_the_next_run_finishes_it(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = load(write_shop(tmp_path), evaluate__enabled=False)

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("recsys_spark.steps.rerank.build_recommendations", die)
        with pytest.raises(KeyboardInterrupt):
            run_pipeline(spark, cfg, RUN_DATE)
    store = tmp_path / "store"
    assert not (store / "recommendations").exists()
    trained = json.loads((store / f"runs/run_date={RUN_DATE}/main/train.json").read_text())["attempt"]
    done = run_pipeline(spark, cfg, RUN_DATE)
    assert done.area.finished("train").attempt == trained
    assert done.store.lists.published(RUN_DATE).count() == (N_USERS + 3) * TOP_N
    # A gate that does not hold keeps the earlier partition, and says which gate.
    with pytest.raises(PublishRefused, match=r"publish\.min_users"):
        run_pipeline(spark, load(tmp_path / "shop.toml", evaluate__enabled=False, publish__min_users=1000), RUN_DATE)
    assert done.store.lists.published(RUN_DATE).count() == (N_USERS + 3) * TOP_N
    # A second run encodes nothing, for another date as well.
    other = run_pipeline(spark, cfg, "2026-01-02", stages=STAGE_NAMES[:3])
    assert other.fact("embed", "n_encoded") == 0
    # A stage by itself says what is missing.
    with pytest.raises(RecsysError, match="`ingest` has not finished"):
        run_pipeline(spark, cfg, "2026-01-03", stages=["score"])


def test_probabilities_of_the_whole_catalogue_sum_to_one(spark: SparkSession, shop: Path, tmp_path: Path) -> None:
    cfg = load(
        shop, run__top_n=20, run__store=str(tmp_path / "all"), score__exclude_seen=False, evaluate__enabled=False
    )
    rows = run_pipeline(spark, cfg, RUN_DATE).store.lists.published(RUN_DATE).select("user_id", "log_prob").collect()
    totals: dict[str, float] = {}
    for row in rows:
        totals[row["user_id"]] = totals.get(row["user_id"], 0.0) + math.exp(row["log_prob"])
    assert len(totals) == N_USERS + 3
    assert totals == pytest.approx(dict.fromkeys(totals, 1.0), abs=1e-5)
