"""The columns of boosts. Vectors of a baseline do not have them."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from recsys_spark.schema import Table

OF_BOOSTS = ("link", "linked", "boosts")


def with_boost_columns(vectors: DataFrame, table: Table) -> DataFrame:
    """Return USER_VECTORS or ITEM_VECTORS with null columns where the columns of boosts are absent."""
    absent = [name for name in OF_BOOSTS if name in table.names and name not in vectors.columns]
    return vectors.withColumns({name: F.lit(None).cast(table.column(name).type) for name in absent})
