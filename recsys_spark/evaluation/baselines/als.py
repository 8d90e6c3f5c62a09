"""Baseline `als`: the implicit matrix factorisation of Spark's MLlib."""

from __future__ import annotations

from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from recsys_spark.evaluation.baselines.baseline import Baseline, Known, Vectors, as_tables, constant
from recsys_spark.profiles.weights import exact, undecayed_weight
from recsys_spark.tables import ITEM_VECTORS, USER_VECTORS

# Chosen on the truth itself, which favours the rival. Of alpha 2, 10, 40 and regularisation 0.03 to 1, these have the
# best recall@10 and ndcg@10 on MovieLens ml-latest-small by time. On Amazon Beauty by time, regularisations of 0.1 to 1
# differ by less than 0.0015.
ALS_ALPHA, ALS_REG, ALS_ITERATIONS = 10.0, 0.3, 10
PAIRS_PER_BLOCK, MAX_BLOCKS = 500_000, 200


def als_vectors(known: Known) -> Vectors:
    """Return (USER_VECTORS, ITEM_VECTORS) of width `evaluate.als_rank` by MLlib's implicit ALS; score with w_cos = 0.

    Only users and items with an interaction of positive weight have a vector. The strength of a pair is the sum of its
    behaviour weights x value transforms, divided by the mean over pairs, so that one alpha suits stars, plays and
    hours alike. Fitting is a Spark job that runs at once; its factors stay on the executors.
    Source: Hu, Koren and Volinsky 2008, "Collaborative filtering for implicit feedback datasets".
    """
    strengths = (
        known.interactions.withColumn("weight", undecayed_weight(known.cfg.behaviours))
        .where("weight > 0")
        .groupBy("user_id", "item_id")
        .agg(F.sum(exact(F.col("weight"))).cast("double").alias("strength"))
    )
    [(total, n_pairs)] = strengths.agg(F.sum(exact(F.col("strength"))).cast("double"), F.count("strength")).collect()
    if not n_pairs:
        spark = known.interactions.sparkSession
        return spark.createDataFrame([], USER_VECTORS.schema), spark.createDataFrame([], ITEM_VECTORS.schema)
    # Blocks follow the data, not the cluster: ALS draws its first factors per block.
    n_blocks = min(2 + n_pairs // PAIRS_PER_BLOCK, MAX_BLOCKS)
    users, items = _numbered(strengths, "user_id", "user"), _numbered(strengths, "item_id", "item")
    ratings = (
        strengths.join(users, on="user_id", how="inner")
        .join(items, on="item_id", how="inner")
        .select("user", "item", (F.col("strength") / F.lit(total / n_pairs)).cast("float").alias("rating"))
    )
    model = ALS(
        rank=known.cfg.evaluate.als_rank,
        maxIter=ALS_ITERATIONS,
        regParam=ALS_REG,
        alpha=ALS_ALPHA,
        implicitPrefs=True,
        seed=known.cfg.run.seed,
        numUserBlocks=n_blocks,
        numItemBlocks=n_blocks,
        userCol="user",
        itemCol="item",
        ratingCol="rating",
    ).fit(ratings)
    user_vectors = users.join(model.userFactors.withColumnRenamed("id", "user"), on="user", how="inner").select(
        "user_id", F.col("features").alias("x"), F.lit("history").alias("source")
    )
    item_vectors = (
        items.join(model.itemFactors.withColumnRenamed("id", "item"), on="item", how="inner")
        .join(known.item_profiles.select("item_id", "available"), on="item_id", how="inner")
        .select(
            "item_id",
            F.col("features").alias("theta"),
            *(constant(0.0, known.cfg.evaluate.als_rank).alias(name) for name in ("y", "token")),
            F.lit(0.0).alias("bias"),
            "available",
        )
    )
    return as_tables(user_vectors, item_vectors)


def _numbered(rows: DataFrame, id_column: str, number: str) -> DataFrame:
    """Distinct ids with numbers 0, 1, 2 ... in their order, which ALS needs and which repeat from run to run.

    One task sorts the ids, spilling where they are many; a StringIndexer would hold them all on the driver instead.
    """
    order = Window.orderBy(id_column)
    return rows.select(id_column).distinct().select(id_column, (F.row_number().over(order) - 1).alias(number))


BASELINE = Baseline("als", als_vectors)
