"""What a table is: its columns with type and meaning, its key, and how a DataFrame is held to it."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from recsys_spark.errors import SchemaError

STRING, DOUBLE, INT, LONG, TIME = StringType(), DoubleType(), IntegerType(), LongType(), TimestampType()
STRINGS, FLOATS = ArrayType(StringType()), ArrayType(FloatType(), containsNull=False)
INTS = ArrayType(IntegerType(), containsNull=False)


@dataclass(frozen=True)
class Col:
    """One column: name, type, meaning, and whether it may be null."""

    name: str
    type: DataType
    doc: str
    nullable: bool = True


@dataclass(frozen=True)
class Table:
    """A table of the contract. ``key`` is unique within one run."""

    name: str
    doc: str
    key: tuple[str, ...]
    columns: tuple[Col, ...]

    @property
    def schema(self) -> StructType:
        """The Spark schema, all columns nullable as files are."""
        return StructType([StructField(c.name, c.type) for c in self.columns])

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [c.name for c in self.columns]

    def column(self, name: str) -> Col:
        """Return the column of that name."""
        return next(c for c in self.columns if c.name == name)

    def conform(self, df: DataFrame) -> DataFrame:
        """Select the columns in order, with their types. Raises SchemaError where one is missing or of another kind."""
        missing = [name for name in self.names if name not in df.columns]
        if missing:
            raise SchemaError(
                f"Table {self.name} lacks columns",
                where=self.name,
                found=df.columns,
                expected=self.names,
                action="This is a defect; report it.",
            )
        chosen: list[Column] = []
        for col in self.columns:
            found = df.schema[col.name].dataType
            if _kind(found) != _kind(col.type):
                raise SchemaError(
                    f"Column {self.name}.{col.name} has another type",
                    where=self.name,
                    found=found.simpleString(),
                    expected=col.type.simpleString(),
                )
            chosen.append(F.col(col.name).cast(col.type).alias(col.name))
        return df.select(*chosen)


def _kind(kind: DataType) -> str:
    """A type up to widths: an int may become a bigint, a string may not become an array."""
    if isinstance(kind, (IntegerType, LongType, FloatType, DoubleType)):
        return "number"
    if isinstance(kind, ArrayType):
        return f"array<{_kind(kind.elementType)}>"
    if isinstance(kind, MapType):
        return f"map<{_kind(kind.keyType)},{_kind(kind.valueType)}>"
    if isinstance(kind, StructType):
        return "struct<" + ",".join(f"{f.name}:{_kind(f.dataType)}" for f in kind.fields) + ">"
    return kind.simpleString()
