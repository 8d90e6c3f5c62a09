"""What a table is: columns with type and meaning, a key, and the check that a DataFrame fits it."""

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
    """A table: its columns, what it is for, and its ``key``, which is unique within one run."""

    name: str
    doc: str
    key: tuple[str, ...]
    columns: tuple[Col, ...]

    @property
    def schema(self) -> StructType:
        """The Spark schema. All columns are nullable, as in files."""
        return StructType([StructField(c.name, c.type) for c in self.columns])

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [c.name for c in self.columns]

    def column(self, name: str) -> Col:
        """Return the column of that name."""
        return next(c for c in self.columns if c.name == name)

    def conform(self, df: DataFrame) -> DataFrame:
        """Return the columns in order, with their types. Raises SchemaError where one is missing or has another kind of
        type."""
        missing = [name for name in self.names if name not in df.columns]
        if missing:
            raise SchemaError(
                f"Columns are missing in table {self.name}",
                where=self.name,
                found=df.columns,
                expected=self.names,
                action="This is a defect of the project. Please report it.",
            )
        chosen: list[Column] = []
        for col in self.columns:
            found = df.schema[col.name].dataType
            if _kind(found) != _kind(col.type):
                raise SchemaError(
                    f"Column `{col.name}` of table {self.name} has the wrong type",
                    where=self.name,
                    found=found.simpleString(),
                    expected=col.type.simpleString(),
                    action="This is a defect of the project. Please report it.",
                )
            chosen.append(F.col(col.name).cast(col.type).alias(col.name))
        return df.select(*chosen)


def _kind(kind: DataType) -> str:
    """Return the kind of a type, without widths: an int may become a bigint, but a string may not become an array."""
    if isinstance(kind, (IntegerType, LongType, FloatType, DoubleType)):
        return "number"
    if isinstance(kind, ArrayType):
        return f"array<{_kind(kind.elementType)}>"
    if isinstance(kind, MapType):
        return f"map<{_kind(kind.keyType)},{_kind(kind.valueType)}>"
    if isinstance(kind, StructType):
        return "struct<" + ",".join(f"{f.name}:{_kind(f.dataType)}" for f in kind.fields) + ">"
    return kind.simpleString()
