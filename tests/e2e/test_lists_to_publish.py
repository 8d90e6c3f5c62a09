"""Allow list, deny list, selected users and the best of each category, through to what is published.

One training serves all tests: they change settings of scoring and reranking only. With `top_n` as large as the allow
list a user's list is everything that the user may get, in order. So what it must hold is plain arithmetic on sets,
and what every shorter list must hold follows from it exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.errors import DataError
from recsys_spark.pipeline import run_pipeline
from recsys_spark.steps import score
from recsys_spark.steps.context import Context
from recsys_spark.steps.names import STAGE_NAMES
from recsys_spark.steps.report import report_inputs
from tests.e2e.small_shop import KINDS, RUN_DATE, events, items, load, write_csv, write_shop

# Four items of one category and five of the other, of which nobody has touched i19.
ALLOWED = ["i00", "i02", "i04", "i06", "i01", "i03", "i05", "i07", "i19"]
CATEGORY = {item: kind for item, kind, _ in items()}
SEEN = {(user, item) for user, item, _, _ in events()}
# Some known by history, one by a tag, one by friends, and some of whom nothing is known.
SELECTED = ["u00", "u01", "u02", "u03", "u04", "by-tag", "by-friend", "nobody", "newcomer", "barred"]
WITHOUT_ITEMS = ["u02", "barred"]
DENIED = [
    *[(user, item) for user in WITHOUT_ITEMS for item in ALLOWED],
    ("u00", "i03"),
    ("by-tag", "i05"),
    ("nobody", "i04"),
]
MAY_GET = {user: {item for item in ALLOWED if (user, item) not in {*SEEN, *DENIED}} for user in SELECTED}


@dataclass(frozen=True)
class Night:
    """What a night published."""

    rows: dict[str, list[dict[str, Any]]]
    """Rows by user, by rank; users without rows are not there."""
    manifest: dict[str, Any]
    trained: str
    """The training it used."""
    ctx: Context

    def items(self, user: str) -> list[str]:
        return [row["item_id"] for row in self.rows.get(user, [])]


Publish = Callable[..., Night]


@pytest.fixture(scope="module")
def publish(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Publish:
    """Runs the night with all three lists and some settings and reads what it published, without Spark; each once."""
    folder = tmp_path_factory.mktemp("lists")
    file = write_shop(folder)
    sources: dict[str, tuple[list[str], list[tuple[str, ...]]]] = {
        "allow_list": (["item_id"], [(item,) for item in [*ALLOWED, "i00", "ghost"]]),
        "deny_list": (["user_id", "item_id"], [*DENIED, ("u00", "ghost"), ("stranger", "i00")]),
        "selected_users": (["user_id"], [(user,) for user in SELECTED]),
    }
    lists: dict[str, Any] = {}
    for name, (header, rows) in sources.items():
        write_csv(folder / f"{name}.csv", header, rows)
        lists[f"sources__{name}"] = {
            "format": "csv",
            "options": {"header": "true"},
            "path": str(folder / f"{name}.csv"),
            "columns": {column: column for column in header},
        }

    @cache
    def run(**settings: Any) -> Night:
        cfg = load(file, evaluate__enabled=False, **lists, **settings)
        ctx = run_pipeline(spark, cfg, RUN_DATE, stages=STAGE_NAMES[:-1])
        manifest = ctx.store.lists.manifest(RUN_DATE)
        assert manifest is not None
        assert manifest["config_fingerprint"] == cfg.fingerprint()
        files = ds.dataset(Path(ctx.store.lists.path(RUN_DATE)), format="parquet", exclude_invalid_files=True)
        by_user: dict[str, list[dict[str, Any]]] = {}
        for row in sorted(files.to_table().to_pylist(), key=lambda r: (r["user_id"], r["rank"])):
            by_user.setdefault(row["user_id"], []).append(row)
        for user, rows in by_user.items():
            assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1)), user
        return Night(by_user, manifest, ctx.area.finished("train").attempt, ctx)

    return run


@pytest.fixture(scope="module")
def everything(publish: Publish) -> Night:
    """Lists that end only where a user may get no more."""
    return publish(run__top_n=len(ALLOWED))


def test_selected_users_and_nobody_else_get_all_that_they_may_get(everything: Night) -> None:
    assert {user: set(everything.items(user)) for user in SELECTED} == MAY_GET
    assert set(everything.rows) == set(SELECTED) - set(WITHOUT_ITEMS)


def test_each_way_to_be_served_is_among_the_selected(everything: Night) -> None:
    source = {user: {row["source"] for row in rows} for user, rows in everything.rows.items()}
    assert source["u00"] == source["u01"] == {"history"}
    assert source["by-tag"] == source["by-friend"] == {"profile"}
    assert source["nobody"] == source["newcomer"] == {"popular"}


@pytest.mark.parametrize(("user", "item"), [pair for pair in DENIED if pair[0] not in WITHOUT_ITEMS])
def test_denied_item_is_kept_from_that_user_alone(everything: Night, user: str, item: str) -> None:
    assert (user, item) not in SEEN
    assert item not in everything.items(user)
    assert any(item in everything.items(other) for other in SELECTED)
    # Whoever nothing is known of gets the same list, but for the denied item.
    if user == "nobody":
        assert everything.items(user) == [other for other in everything.items("newcomer") if other != item]


def test_user_who_may_get_nothing_is_counted_and_does_not_stop_the_night(everything: Night) -> None:
    assert [user for user in SELECTED if not MAY_GET[user]] == WITHOUT_ITEMS
    assert not set(WITHOUT_ITEMS) & set(everything.rows)
    counts = {name: everything.manifest[name] for name in everything.manifest if name.startswith("n_users")}
    assert counts == {
        "n_users": len(SELECTED),
        "n_users_with_list": len(SELECTED) - len(WITHOUT_ITEMS),
        "n_users_with_empty_list": len(WITHOUT_ITEMS),
        # As full as they can be.
        "n_users_with_full_list": len(SELECTED),
    }


def test_users_get_n_of_the_allowed_items_the_best_ones(publish: Publish, everything: Night) -> None:
    night = publish(run__top_n=4)
    assert night.trained == everything.trained
    for user in SELECTED:
        assert night.items(user) == everything.items(user)[:4], user
        assert len(night.items(user)) == min(4, len(MAY_GET[user])), user
    assert night.manifest["n_users_with_empty_list"] == len(WITHOUT_ITEMS)


def test_best_of_each_category_within_the_lists(publish: Publish, everything: Night) -> None:
    night = publish(run__top_n=2, score__top_n_per="category")
    assert night.trained == everything.trained
    for user in SELECTED:
        best = [item for kind in KINDS for item in of_category(kind, everything.items(user))[:2]]
        assert night.items(user) == [item for item in everything.items(user) if item in best], user
        for kind in KINDS:
            n = len(of_category(kind, list(MAY_GET[user])))
            assert len(of_category(kind, night.items(user))) == min(2, n), (user, kind)
    # Both kinds of user are there: whose categories have enough, and who has seen too much of one.
    assert len(night.items("newcomer")) == len(night.items("by-friend")) == 4
    assert {len(rows) for user, rows in night.rows.items() if user.startswith("u")} & {2, 3}
    assert night.manifest["n_users_with_empty_list"] == len(WITHOUT_ITEMS)


def test_category_rule_of_rerank_chooses_within_the_lists(publish: Publish, everything: Night) -> None:
    night = publish(run__top_n=4, rerank__max_per_category=1)
    assert night.trained == everything.trained
    for user in SELECTED:
        # Chosen from oversample x top_n candidates, here eight of at most nine.
        candidates = everything.items(user)[:8]
        first = [item for item in candidates if item == of_category(CATEGORY[item], candidates)[0]]
        others = [item for item in candidates if item not in first]
        assert night.items(user) == [*first, *others][:4], user
    assert night.manifest["n_users_with_empty_list"] == len(WITHOUT_ITEMS)


def test_probabilities_are_those_of_the_catalogue_or_of_the_allowed_items(publish: Publish, everything: Night) -> None:
    night = publish(run__top_n=len(ALLOWED), score__normalise="allowed")
    assert night.trained == everything.trained
    for user in SELECTED:
        assert night.items(user) == everything.items(user), user
    # Two users who get every allowed item, one by the model and one by popularity.
    for user in ("by-friend", "newcomer"):
        assert set(night.items(user)) == set(ALLOWED)
        assert mass(night, user) == pytest.approx(1, abs=1e-5)
        assert mass(everything, user) < 0.99


def of_category(kind: str, listed: list[str]) -> list[str]:
    return [item for item in listed if CATEGORY[item] == kind]


def mass(night: Night, user: str) -> float:
    return sum(math.exp(row["log_prob"]) for row in night.rows[user])


def test_raising_n_above_the_allow_list_is_refused_before_anything_is_scored(
    publish: Publish, everything: Night
) -> None:
    with pytest.raises(DataError, match="top_n is larger than the allow list"):
        publish(run__top_n=len(ALLOWED) + 1)


def test_the_report_shows_users_who_were_served(everything: Night) -> None:
    shown = report_inputs(everything.ctx).samples
    assert len(shown) == 5
    assert {sample["user_id"] for sample in shown} <= set(SELECTED)


def test_a_user_whose_vector_is_no_number_gets_popular_items_and_stops_nobody(
    publish: Publish, everything: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = score.build_user_vectors

    def spoiled(*args: Any, **more: Any) -> DataFrame:
        nan = F.transform("x", lambda _: F.lit(float("nan")).cast("float"))
        return build(*args, **more).withColumn("x", F.when(F.col("user_id") == "u00", nan).otherwise(F.col("x")))

    monkeypatch.setattr(score, "build_user_vectors", spoiled)
    night = publish(run__top_n=4, score__temperature=2.0)
    assert night.manifest["rejected_vectors"] == 1
    assert {row["source"] for row in night.rows["u00"]} == {"popular"}
    assert len(night.rows["u00"]) == min(4, len(MAY_GET["u00"]))
    assert {row["source"] for row in everything.rows["u00"]} == {"history"}
