"""The scoring stage: the right lists whatever the blocks and partitions, with the plan that makes it fast."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from recsys_spark.config.sections import Score
from recsys_spark.contract import DENY_LIST, INTERACTIONS
from recsys_spark.errors import ConfigError, DataError
from recsys_spark.scoring.kernels.rank import Rank
from recsys_spark.scoring.kernels.sizes import NO_ITEM
from recsys_spark.scoring.score import CatalogueSize, build_candidates, build_exclusions, restrict_items
from recsys_spark.scoring.vector_checks import check_widths, rejected_vectors, sound
from recsys_spark.tables import CANDIDATES, ITEM_VECTORS, USER_VECTORS
from tests.builders import config, frame, interaction
from tests.scoring.rank_oracle import best_of, terms_of

N_USERS, N_ITEMS, WIDTH = 30, 70, 8
PAIRS = "user_id string, item_id string"


class World:
    """Vectors of users u00.. and items i000.., some unavailable, each user with some seen items."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.x = rng.normal(size=(N_USERS, WIDTH)).astype(np.float32)
        self.y = rng.normal(size=(N_ITEMS, WIDTH)).astype(np.float32)
        self.theta = rng.normal(size=(N_ITEMS, WIDTH)).astype(np.float32)
        self.bias = rng.normal(size=N_ITEMS).astype(np.float32)
        self.available = rng.random(N_ITEMS) > 0.1
        self.seen = rng.random((N_USERS, N_ITEMS)) < np.linspace(0, 0.9, N_USERS)[:, None]
        # Boosts name items by numbers in an order of their own; some items have none.
        self.link = np.where(rng.random(N_ITEMS) < 0.8, rng.permutation(N_ITEMS), -1)
        self.boost = np.where(rng.random((N_USERS, N_ITEMS)) < 0.1, rng.gamma(1.0, 2.0, (N_USERS, N_ITEMS)), 0.0)
        self.boost = self.boost.astype(np.float32) * (self.link >= 0)
        self.users = [f"u{i:02}" for i in range(N_USERS)]
        self.items = [f"i{j:03}" for j in range(N_ITEMS)]

    def user_vectors(self, spark: SparkSession) -> DataFrame:
        rows = [
            {
                "user_id": user,
                "x": x.tolist(),
                "linked": np.sort(self.link[boost > 0]).tolist(),
                "boosts": [boost[self.link == number].item() for number in np.sort(self.link[boost > 0])],
                "source": "history",
            }
            for user, x, boost in zip(self.users, self.x, self.boost, strict=True)
        ]
        return frame(spark, USER_VECTORS, rows)

    def item_vectors(self, spark: SparkSession) -> DataFrame:
        names = ("item_id", "y", "theta", "bias", "available", "link")
        link = [number if number >= 0 else None for number in self.link.tolist()]
        columns = (self.items, self.y.tolist(), self.theta.tolist(), self.bias.tolist(), self.available.tolist(), link)
        return frame(spark, ITEM_VECTORS, [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)])

    def exclusions(self, spark: SparkSession) -> DataFrame:
        pairs = [(self.users[i], self.items[j]) for i, j in np.argwhere(self.seen)]
        return spark.createDataFrame([*pairs, ("nobody", "i001"), ("u01", "no such item")], PAIRS)

    def brute_force(self, n: int, score: Score) -> list[tuple[Any, ...]]:
        rank = Rank.of(score)
        terms = terms_of(self.x, self.y, self.theta, self.bias, rank, self.boost)
        best, total = best_of(terms.raw, self.seen | ~self.available, n), terms.score(rank)
        rows = []
        for i, user in enumerate(self.users):
            rows += [
                (user, place, self.items[j], total[i, j], terms.cosine[i, j], terms.log_prob[i, j], "history")
                for place, j in enumerate(best[i][best[i] != NO_ITEM], start=1)
            ]
        return rows


def rows_of(candidates: DataFrame) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in candidates.collect())


def candidates_of(world: World, spark: SparkSession, score: Score | None = None, n: int = 5) -> DataFrame:
    return build_candidates(
        world.user_vectors(spark), world.item_vectors(spark), world.exclusions(spark), score or Score(), n=n
    )


@pytest.mark.parametrize(
    "score", [Score(), Score(w_cos=0.5, w_ce=2, max_block_bytes=4096), Score(w_cos=0), Score(w_ce=0)]
)
def test_candidates_are_the_brute_force_lists(spark: SparkSession, score: Score) -> None:
    world = World()
    got, want = rows_of(candidates_of(world, spark, score)), world.brute_force(5, score)
    assert [(r[0], r[1], r[2], r[6]) for r in got] == [(r[0], r[1], r[2], r[6]) for r in want]
    np.testing.assert_allclose([r[3:6] for r in got], [r[3:6] for r in want], rtol=1e-5, atol=1e-5)


def test_vectors_without_links_are_scored_by_themselves(spark: SparkSession) -> None:
    world = World(5)
    users, items = world.user_vectors(spark).drop("linked", "boosts"), world.item_vectors(spark).drop("link")
    got = rows_of(build_candidates(users, items, world.exclusions(spark), Score(), n=5))
    world.boost[:] = 0
    assert [r[:3] for r in got] == [r[:3] for r in world.brute_force(5, Score())]


def test_rows_do_not_depend_on_partitions_blocks_or_order(spark: SparkSession) -> None:
    world = World(1)
    plain = rows_of(candidates_of(world, spark))
    users, items = world.user_vectors(spark), world.item_vectors(spark)
    shuffled = build_candidates(
        users.orderBy(F.desc("user_id")).repartition(5),
        items.orderBy(F.rand(3)).repartition(4),
        world.exclusions(spark).repartition(3),
        Score(),
        n=5,
    )
    assert rows_of(shuffled) == plain
    small = rows_of(candidates_of(world, spark, Score(max_block_bytes=4096)))
    assert [r[:3] for r in small] == [r[:3] for r in plain]
    np.testing.assert_allclose([r[3:6] for r in small], [r[3:6] for r in plain], rtol=1e-6, atol=1e-6)


def test_probabilities_of_the_whole_catalogue_sum_to_one(spark: SparkSession) -> None:
    world = World(2)
    world.seen[:], world.available[:] = False, True
    everything = candidates_of(world, spark, Score(max_block_bytes=4096), n=N_ITEMS + 10)
    sums = everything.groupBy("user_id").agg(F.sum(F.exp("log_prob")).alias("p"), F.count("*").alias("n")).collect()
    assert len(sums) == N_USERS
    assert all(row.n == N_ITEMS and math.isclose(row.p, 1, rel_tol=1e-5) for row in sums)


def test_user_who_has_seen_everything_gets_no_rows(spark: SparkSession) -> None:
    world = World(3)
    world.seen[4] = True
    got = {row[0] for row in rows_of(candidates_of(world, spark, Score(max_block_bytes=4096)))}
    assert got == set(world.users) - {"u04"}


def test_equal_scores_are_ordered_by_item_id(spark: SparkSession) -> None:
    world = World(4)
    world.seen[:], world.available[:] = False, True
    world.y[:], world.theta[:], world.bias[:] = world.y[0], world.theta[0], world.bias[0]
    world.boost[:] = 0
    for row in rows_of(candidates_of(world, spark, Score(max_block_bytes=4096))):
        assert row[2] == f"i{row[1] - 1:03}"


def test_candidates_fit_the_table(spark: SparkSession) -> None:
    assert candidates_of(World(), spark).dtypes == frame(spark, CANDIDATES, []).dtypes


def test_plan_joins_by_broadcast_and_cuts_groups_early(spark: SparkSession) -> None:
    plan = candidates_of(World(), spark)._jdf.queryExecution().executedPlan().toString()
    assert "BroadcastNestedLoopJoin BuildRight, Cross" in plan
    assert "WindowGroupLimit [user_id" in plan
    assert plan.index("Window [row_number()") < plan.index("WindowGroupLimit") < plan.index("BroadcastNestedLoopJoin")
    assert plan.count("MapInArrow") == 3
    assert "CartesianProduct" not in plan


@pytest.mark.parametrize(("side", "named"), [("x", "u03"), ("theta", "i003")])
def test_vectors_that_are_not_finite_are_named(spark: SparkSession, side: str, named: str) -> None:
    world = World()
    getattr(world, side)[3, 2] = np.nan
    with pytest.raises(Exception, match=rf"(?s)not finite.*'{named}'"):
        candidates_of(world, spark).collect()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite_are_rejected_by_id_and_the_rest_goes_on(spark: SparkSession, bad: float) -> None:
    world = World()
    world.x[3, 2], world.theta[5, 0] = bad, bad
    users, items = world.user_vectors(spark), world.item_vectors(spark)
    rejected = {(row.table, row.reason, row.row) for row in rejected_vectors(users, items).collect()}
    assert rejected == {
        ("user_vectors", "vector_not_finite", '{"user_id":"u03"}'),
        ("item_vectors", "vector_not_finite", '{"item_id":"i005"}'),
    }
    rows = rows_of(build_candidates(sound(users), sound(items), world.exclusions(spark), Score(), n=5))
    assert "u03" not in {row[0] for row in rows}
    assert "i005" not in {row[2] for row in rows}
    assert len({row[0] for row in rows}) == N_USERS - 1


def test_width_other_than_the_models_is_refused_before_any_work(spark: SparkSession) -> None:
    world = World()
    check_widths(world.user_vectors(spark), world.item_vectors(spark), WIDTH)
    world.x = world.x[:, :5]
    with pytest.raises(DataError, match="30 user vectors of width 5"):
        check_widths(world.user_vectors(spark), world.item_vectors(spark), WIDTH)


@pytest.mark.parametrize("score", [Score(), Score(temperature=0.5, w_cos=0.3), Score(normalise="none")])
def test_one_block_needs_no_shuffle_after_it_and_gives_the_same_rows(spark: SparkSession, score: Score) -> None:
    world = World(6)
    world.seen[4] = True  # a user who may get nothing
    arguments = world.user_vectors(spark), world.item_vectors(spark), world.exclusions(spark), score
    merged = build_candidates(*arguments, n=7)
    final = build_candidates(*arguments, n=7, catalogue=CatalogueSize(N_ITEMS, WIDTH))
    assert final.dtypes == merged.dtypes
    assert rows_of(final) == rows_of(merged)
    plan = final._jdf.queryExecution().executedPlan().toString()
    assert plan.index("BroadcastNestedLoopJoin") < plan.index("Exchange hashpartitioning")
    assert "WindowGroupLimit" not in plan


def test_more_items_than_announced_is_an_error(spark: SparkSession) -> None:
    world = World()
    few = CatalogueSize(20, WIDTH)
    with pytest.raises(Exception, match="more item vectors than build_candidates was told"):
        build_candidates(
            world.user_vectors(spark),
            world.item_vectors(spark),
            world.exclusions(spark),
            Score(max_block_bytes=4096),
            n=5,
            catalogue=few,
        ).collect()


def test_temperature_flattens_the_probabilities(spark: SparkSession) -> None:
    world = World(7)
    plain, warm = world.brute_force(5, Score()), rows_of(candidates_of(world, spark, Score(temperature=3)))
    world.theta, world.bias, world.boost = world.theta / 3, world.bias / 3, world.boost / 3
    want = world.brute_force(5, Score())
    assert [r[:3] for r in warm] == [r[:3] for r in want] != [r[:3] for r in plain]
    np.testing.assert_allclose([r[3:6] for r in warm], [r[3:6] for r in want], rtol=1e-5, atol=1e-5)


def test_the_best_of_each_category_in_one_pass(spark: SparkSession) -> None:
    world = World(8)
    category = {item: "abc"[j % 3] for j, item in enumerate(world.items)}
    categories = spark.createDataFrame(list(category.items()), "item_id string, list_category string")
    items = world.item_vectors(spark).join(categories, "item_id")
    for max_bytes in (None, 4096, 600):
        score = Score(top_n_per="category", max_block_bytes=max_bytes)
        got = rows_of(build_candidates(world.user_vectors(spark), items, world.exclusions(spark), score, n=3))
        want: list[tuple[Any, ...]] = []
        for user in world.users:
            every = [row for row in world.brute_force(N_ITEMS, Score()) if row[0] == user]
            best = [row for s in "abc" for row in [r for r in every if category[r[2]] == s][:3]]
            want += [(user, rank, row[2]) for rank, row in enumerate(sorted(best, key=lambda r: r[1]), start=1)]
        assert [row[:3] for row in got] == want
        log_prob = {(row[0], row[2]): row[5] for row in world.brute_force(N_ITEMS, Score())}
        np.testing.assert_allclose([row[5] for row in got], [log_prob[row[0], row[2]] for row in got], rtol=1e-5)


def test_allow_list_limits_the_lists_and_normalises_as_configured(spark: SparkSession) -> None:
    world = World(9)
    allowed = [item for j, item in enumerate(world.items) if j % 4 == 0 and world.available[j]]
    allow_list = spark.createDataFrame([(item,) for item in allowed], "item_id string")
    everywhere = {(row[0], row[2]): row[5] for row in world.brute_force(N_ITEMS, Score())}
    for normalise in ("catalogue", "allowed"):
        score = Score(normalise=normalise)
        items = restrict_items(world.item_vectors(spark), allow_list, score)
        no_pairs = spark.createDataFrame([], PAIRS)
        rows = rows_of(build_candidates(world.user_vectors(spark), items, no_pairs, score, n=N_ITEMS))
        assert {row[2] for row in rows} == set(allowed)
        mass = sum(math.exp(row[5]) for row in rows if row[0] == "u00")
        if normalise == "allowed":
            assert math.isclose(mass, 1, rel_tol=1e-5)
        else:
            assert mass < 0.9
            shared = [row for row in rows if (row[0], row[2]) in everywhere]
            np.testing.assert_allclose([r[5] for r in shared], [everywhere[r[0], r[2]] for r in shared], rtol=1e-5)


def test_denied_pairs_are_excluded_like_seen_ones(spark: SparkSession) -> None:
    denied = frame(spark, DENY_LIST, [{"user_id": "u1", "item_id": "z"}])
    seen = frame(spark, INTERACTIONS, [interaction("u1", "a")])
    pairs = {tuple(row) for row in build_exclusions(seen, config(), denied).collect()}
    assert pairs == {("u1", "a"), ("u1", "z")}


def test_n_below_one_and_blocks_below_one_row_are_refused(spark: SparkSession) -> None:
    world = World()
    arguments = world.user_vectors(spark), world.item_vectors(spark), world.exclusions(spark)
    with pytest.raises(ConfigError, match="at least 1"):
        build_candidates(*arguments, Score(), n=0)
    with pytest.raises(ConfigError, match="too small for one item"):
        build_candidates(*arguments, Score(max_block_bytes=60), n=5, catalogue=CatalogueSize(N_ITEMS, WIDTH))


def test_widths_that_differ_are_named(spark: SparkSession) -> None:
    world = World()
    world.x = world.x[:, :5]
    with pytest.raises(Exception, match="users 5, items 8"):
        candidates_of(world, spark).collect()


@pytest.mark.parametrize(
    ("exclude_seen", "pairs"),
    [
        (True, {("u1", "a"), ("u1", "b"), ("u2", "a")}),
        (False, set()),
        (["purchase"], {("u1", "b")}),
    ],
)
def test_exclusions_follow_the_configured_behaviours(
    spark: SparkSession, exclude_seen: Any, pairs: set[tuple[str, str]]
) -> None:
    rows = [
        interaction("u1", "a"),
        interaction("u1", "a", days_ago=2),
        interaction("u1", "b", "purchase"),
        interaction("u2", "a"),
    ]
    excluded = build_exclusions(frame(spark, INTERACTIONS, rows), config(score={"exclude_seen": exclude_seen}))
    found = [tuple(row) for row in excluded.collect()]
    assert set(found) == pairs
    assert len(found) == len(pairs)
