"""recsys-spark: a Spark batch job that gives every user N items, from text and behaviours."""

__version__ = "0.1.0"
