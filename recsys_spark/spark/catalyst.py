"""Nodes of Catalyst's trees: their kinds and parts, and the way between them and PySpark's columns."""

from __future__ import annotations

from typing import Any

from pyspark.sql import Column, SparkSession

from recsys_spark.spark.java_calls import java_class


def column_of(spark: SparkSession, expression: Any) -> Column:
    """Return the PySpark column of an expression of Catalyst."""
    from pyspark.sql.classic.column import Column as Classic

    jvm: Any = spark._jvm
    made: Column = Classic(java_class(jvm, "org.apache.spark.sql.classic.ExpressionUtils").column(expression))
    return made


def sequence(spark: SparkSession, elements: list[Any]) -> Any:
    """Return a Scala sequence of the elements."""
    jvm: Any = spark._jvm
    return java_class(jvm, "scala.jdk.javaapi.CollectionConverters").asScala(elements).toSeq()


def kind_of(node: Any) -> str:
    """Return the name of a node's class, such as `Add`."""
    return str(node.getClass().getSimpleName()).removesuffix("$")


def items(elements: Any) -> list[Any]:
    """Return the elements of a Scala sequence."""
    return [elements.apply(position) for position in range(elements.size())]


def last(elements: Any) -> Any:
    """Return the last element of a Scala sequence."""
    return elements.apply(elements.size() - 1)
