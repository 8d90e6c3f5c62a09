"""The generated shop: a deterministic world with planted tastes, for the demo, tests and benchmarks."""

from recsys_spark.shop.generate import generate_shop

__all__ = ["generate_shop"]
