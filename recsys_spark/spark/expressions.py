"""SQL expressions as Spark's analyser sees them: what they read, and how they are evaluated without raising.

Catalyst has what is needed here, but PySpark has no function for it: the parser, the analysed plan, and TryEval, on
which Spark's own try_ functions are built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from recsys_spark.spark.catalyst import column_of, items, kind_of, last
from recsys_spark.spark.java_calls import java_class
from recsys_spark.spark.strict import expression

_EXPLICIT_ALIAS = re.compile(r"\bas\s+(\w+|`[^`]+`)\s*$", re.IGNORECASE)
_WORD_FUNCTIONS = ("CurrentUser", "CurrentDate", "CurrentTimestamp", "CurrentTime")
_MOMENTS = ("timestamp", "timestamp_ntz", "date")
_CANNOT_RAISE = (
    *("And", "Or", "Not", "EqualTo", "EqualNullSafe", "LessThan", "LessThanOrEqual", "GreaterThan"),
    *("GreaterThanOrEqual", "In", "InSet", "IsNull", "IsNotNull", "StartsWith", "EndsWith", "Contains"),
    *("AttributeReference", "Literal", "Alias", "Upper", "Lower"),
)
"""Operators of Catalyst by which a scan can skip files. They give a value for every input."""


@dataclass(frozen=True)
class Reading:
    """What an expression reads of a source."""

    type: DataType
    """Type of its result."""
    names: frozenset[str]
    """Columns of the source that it depends on, by the analysed plan."""
    words: tuple[str, ...]
    """Bare words in it that are not columns; Spark takes them for functions, such as `user` for current_user()."""
    alias: str | None
    """Name that Spark gives the result because of a second word, as in `user id`; null with an explicit AS."""
    is_moment: bool
    """Whether it is a typed literal, such as timestamp '2026-01-01' or date '2026-01-01'."""
    reshapes: bool
    """Whether its result is not one value per row: it has an aggregate, a generator or a window."""
    aggregates: bool
    """Whether it has an aggregate."""
    is_safe: bool
    """Whether it cannot raise, whatever a row holds."""
    inputs: tuple[Column, ...]
    """Where it ``reshapes``: the parts of it that are evaluated on single rows."""


def raises(spark: SparkSession, column: Column) -> Column:
    """Return whether evaluating ``column`` raises an exception: true or false, never null, and never raised itself.

    A function with a state of its own, such as the builder of a map, is left half-way by an exception: the value of the
    next row may then be wrong. So a value is computed by another copy of the expression, on rows that do not raise.
    """
    jvm: Any = spark._jvm
    # Outside of a branch Spark computes a part of functions such as nullif and BETWEEN before it comes to TryEval.
    whole = spark._jsparkSession.expression(F.when(F.lit(True), F.struct(column.alias("value")))._jc)
    return column_of(spark, java_class(jvm, "org.apache.spark.sql.catalyst.expressions.TryEval")(whole)).isNull()


def quoted(name: str) -> str:
    """Return a column's name as an expression: dots, blanks and all other signs stay part of the name.

    >>> quoted("user.id")
    '`user.id`'
    """
    return f"`{name.replace('`', '``')}`"


def references(df: DataFrame, text: str) -> frozenset[str]:
    """Return the names of the columns of ``df`` that an expression reads. Raises what Spark's analyser raises."""
    return reading(df, text).names


def reading(df: DataFrame, text: str, group_by: Sequence[str] = ()) -> Reading:
    """Return what an expression over ``df`` reads. Raises what Spark's parser and analyser raise.

    ``group_by``: expressions by which rows are grouped; the expression may then have aggregates.
    """
    parsed = df.sparkSession._jsparkSession.sessionState().sqlParser().parseExpression(text)
    grouped = bool(group_by)
    column = expression(df.sparkSession, text).alias("it")
    # The result of an aggregation has the keys as well; their names must not count as the expression's.
    selected = df.groupBy(*map(F.expr, group_by)).agg(column) if grouped else df.select(column)
    base = df._jdf.queryExecution().analyzed()
    own = _attributes(base.output())
    read: dict[int, str] = {}
    inputs: list[Any] = []
    nodes = list(_above(selected._jdf.queryExecution().analyzed(), base))
    for node in nodes:
        expressions = [last(node.aggregateExpressions())] if kind_of(node) == "Aggregate" else items(node.expressions())
        for part in expressions:
            read |= _attributes(part.references().toSeq())
            inputs += _row_inputs(part)
    of_source = {key: own.get(key, name) for key, name in read.items() if key in own or name.startswith("_metadata")}
    reshapes = grouped or any(kind_of(node) != "Project" for node in nodes)
    return Reading(
        type=selected.schema["it"].dataType,
        names=frozenset(of_source.values()),
        words=_words(parsed, {name.lower() for name in of_source.values()}),
        alias=parsed.name() if kind_of(parsed) == "Alias" and not _EXPLICIT_ALIAS.search(text) else None,
        is_moment=kind_of(parsed) == "Literal"
        and parsed.dataType().typeName() in ("timestamp", "timestamp_ntz", "date"),
        reshapes=reshapes,
        aggregates=any(kind_of(node) == "Aggregate" for node in nodes),
        is_safe=not reshapes and all(_is_safe(part) for node in nodes for part in items(node.expressions())),
        inputs=tuple(
            column_of(df.sparkSession, part)
            for part in (inputs if reshapes else ())
            if _attributes(part.references().toSeq()).keys() <= own.keys()
        ),
    )


def prunable(df: DataFrame, condition: str, among: frozenset[str] | None = None) -> list[Column]:
    """Return the parts of a condition, joined by AND, that a scan may check itself: they cannot raise.

    ``among``: the columns that such a part may read; None for all. The columns that Spark returns are the parts
    themselves, so that they may be given to ``where`` of the same ``df``.
    """
    node = df.where(F.expr(condition))._jdf.queryExecution().analyzed()
    return [
        column_of(df.sparkSession, part)
        for part in _conjuncts(node.condition())
        if _is_safe(part) and (among is None or set(_attributes(part.references().toSeq()).values()) <= among)
    ]


def partition_columns(df: DataFrame) -> frozenset[str]:
    """Return the columns of files just opened that come from the names of folders."""
    plan = df._jdf.queryExecution().analyzed().collectLeaves().head()
    if kind_of(plan) != "LogicalRelation" or not hasattr(plan.relation(), "partitionSchema"):
        return frozenset()
    return frozenset(plan.relation().partitionSchema().fieldNames())


def _above(plan: Any, base: Any) -> Iterator[Any]:
    """Yield the nodes that an expression adds to the plan of its source, from the top."""
    while not plan.fastEquals(base):
        yield plan
        plan = plan.children().apply(0)


def _row_inputs(expression: Any) -> Iterator[Any]:
    """Yield what is evaluated on single rows before an aggregate, generator or window."""
    is_function = kind_of(expression) == "AggregateExpression"
    if is_function or expression.getClass().getName().endswith(("Explode", "Inline", "Stack", "Generator")):
        yield from items((expression.aggregateFunction() if is_function else expression).children())
        return
    for child in items(expression.children()):
        yield from _row_inputs(child)


def _words(parsed: Any, names: set[str]) -> tuple[str, ...]:
    """Return the bare words of a parsed expression that are not among the columns it turned out to read."""
    kind = kind_of(parsed)
    if kind in _WORD_FUNCTIONS:
        return (str(parsed.prettyName()),)
    if kind == "UnresolvedAttribute":
        parts = items(parsed.nameParts())
        return (str(parts[0]),) if len(parts) == 1 and str(parts[0]).lower() not in names else ()
    return tuple(word for child in items(parsed.children()) for word in _words(child, names))


def _conjuncts(condition: Any) -> Iterator[Any]:
    if kind_of(condition) == "And":
        yield from _conjuncts(condition.left())
        yield from _conjuncts(condition.right())
    else:
        yield condition


def _is_safe(part: Any) -> bool:
    # What reads no column has one value for all rows: it cannot raise on one of them.
    if part.references().isEmpty() and part.deterministic():
        return True
    return kind_of(part) in _CANNOT_RAISE and all(_is_safe(child) for child in items(part.children()))


def _attributes(sequence: Any) -> dict[int, str]:
    return {int(attribute.exprId().id()): str(attribute.name()) for attribute in items(sequence)}
