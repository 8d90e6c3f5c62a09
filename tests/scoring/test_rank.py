"""The combined rank in Spark SQL against the oracle of its other forms."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from recsys_spark.scoring.kernels.rank import Rank
from recsys_spark.scoring.rank import log_sum_exp, score_of_raw, score_of_terms
from tests.scoring.rank_oracle import terms_of
from tests.scoring.score_worlds import World


@pytest.mark.parametrize("rank", [Rank(), Rank(0.3, 4.0, 0.2), Rank(0.0, 1.0, 3.7), Rank(1.0, 0.0)])
def test_sql_is_the_oracle_to_the_last_digits(spark: SparkSession, rank: Rank) -> None:
    world = World(4, 6, 5, seed=3)
    want = terms_of(world.x, world.y, world.theta, world.bias, rank)
    # As two item blocks would leave them: log Z of each, to be added up.
    parts = [np.log(np.exp(want.logit[:, some]).sum(1)) for some in (slice(0, 2), slice(2, 6))]
    rows = [
        (i, j, *(float(term[i, j]) for term in want[:3]), [float(part[i]) for part in parts])
        for i, j in np.ndindex(want.raw.shape)
    ]
    table = spark.createDataFrame(
        rows, "i int, j int, cosine double, logit double, raw double, parts array<double>"
    ).withColumn("log_z", log_sum_exp(F.col("parts")))
    found = table.select(
        "log_z",
        score_of_raw(F.col("raw"), F.col("log_z"), rank).alias("of_raw"),
        score_of_terms(F.col("cosine"), F.col("logit") - F.col("log_z"), rank).alias("of_terms"),
        score_of_raw(F.col("raw"), F.lit(None).cast("double"), rank).alias("without_log_z"),
    )
    by_name = found.toPandas()
    score = want.score(rank).ravel()
    np.testing.assert_allclose(by_name["log_z"], np.repeat(want.log_z, 6), rtol=1e-12)
    np.testing.assert_allclose(by_name["of_raw"], score, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(by_name["of_terms"], score, rtol=1e-11, atol=1e-11)
    np.testing.assert_array_equal(by_name["without_log_z"], want.raw.ravel())
