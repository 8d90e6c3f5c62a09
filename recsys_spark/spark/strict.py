"""SQL expressions in a form that raises where Spark would go on with a wrong value.

Sources are read without ANSI mode, because a cast of an empty cell would raise in it. Without it the sum of two large
integers is a small one. So arithmetic alone keeps that mode.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from recsys_spark.spark.catalyst import column_of, items, kind_of, last, sequence

_ANSI = "spark.sql.ansi.enabled"
_ARITHMETIC = {"Add": "a + b", "Subtract": "a - b", "Multiply": "a * b", "UnaryMinus": "- a"}
"""Operator -> an expression of which it is the root."""


def expression(spark: SparkSession, text: str) -> Column:
    """Return the column of an SQL expression, as F.expr; it raises on overflow, and on a null key of a map.

    Spark's builder of maps stays half-filled when a key is null, and gives the next row wrong keys or an error that
    nothing catches. So a null key raises before the builder is touched.
    """
    parsed = spark._jsparkSession.sessionState().sqlParser().parseExpression(text)
    return column_of(spark, _strict(spark, parsed))


def _strict(spark: SparkSession, node: Any) -> Any:
    before = items(node.children())
    children = [_strict(spark, child) for child in before]
    kind = kind_of(node)
    if kind in _ARITHMETIC:
        return _in_ansi_mode(spark, _ARITHMETIC[kind]).withNewChildren(sequence(spark, children))
    if any(one is not other for one, other in zip(children, before, strict=True)):
        node = node.withNewChildren(sequence(spark, children))
    return _checked_map(spark, node, children)


def _in_ansi_mode(spark: SparkSession, text: str) -> Any:
    before = spark.conf.get(_ANSI)
    spark.conf.set(_ANSI, "true")
    try:
        return spark._jsparkSession.sessionState().sqlParser().parseExpression(text)
    finally:
        spark.conf.set(_ANSI, str(before))


def _checked_map(spark: SparkSession, node: Any, children: list[Any]) -> Any:
    name = str(last(node.nameParts())).lower() if kind_of(node) == "UnresolvedFunction" else ""
    if name not in _NULL_KEYS or not children:
        return node
    # Functions such as from_json want their options as a map of literals, and nothing else.
    if name == "map" and all(kind_of(key) == "Literal" and key.value() is not None for key in children[::2]):
        return node
    is_null = _NULL_KEYS[name](*(column_of(spark, child) for child in children))
    checked = F.when(is_null, F.raise_error(F.lit("a key of a map is null"))).otherwise(column_of(spark, node))
    return spark._jsparkSession.expression(checked._jc)


def _any_null(keys: Column) -> Column:
    return F.exists(keys, lambda key: key.isNull())


_NULL_KEYS: dict[str, Callable[..., Column]] = {
    "map": lambda *pairs: reduce(Column.__or__, (key.isNull() for key in pairs[::2])),
    "map_from_arrays": lambda keys, _: _any_null(keys),
    "transform_keys": lambda map, function: _any_null(F.map_values(F.call_function("transform_values", map, function))),
}
"""Function that builds a map -> whether one of its keys is null, told without building it."""
