"""The `[sources]` section: where the contract tables come from, and how source columns become their columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from recsys_spark.config.base import Section

Format = Literal["csv", "json", "parquet", "orc", "text"]
"""Formats of files. ``ingest.formats`` says how each is read."""


class Source(Section):
    """A table of yours, which Spark SQL expressions map onto a contract table."""

    format: Format | None = None
    """Format of the files at `path`."""
    path: str | None = None
    """[Address](#addresses) of a file or folder, or a pattern of files."""
    table: str | None = None
    """A catalog table `db.name`, instead of `format` and `path`."""
    options: dict[str, str] = Field(default={})
    """Options of Spark's reader, such as `header`, `sep` or `encoding`."""
    columns_may_differ: bool = False
    """Whether the CSV files at `path` may have different columns. A column that a file does not have is then null."""
    where: str | None = None
    """Spark SQL condition over the source's columns. Only rows that meet it are read."""
    group_by: list[str] = Field(default=[])
    """Source columns to group by. `columns` may then use aggregates such as `collect_set(tag)`."""
    columns: dict[str, str]
    """Contract column = Spark SQL expression over the source's columns."""
    join: list[Join] = Field(default=[])
    """Side tables that are joined after `where` and before `columns`, such as a table of tags."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.table is None) == (self.path is None):
            raise ValueError("a source has either `table`, or `format` and `path`")
        if self.path is not None and self.format is None:
            raise ValueError(f"`path` needs `format`, one of {', '.join(get_args(Format))}")
        return self


class Join(Source):
    """A side table: mapped by `columns` of its own, then joined by equal values (left join)."""

    on: list[str]
    """Columns that both sides have, and whose values must be equal."""


Source.model_rebuild()


class Sources(Section):
    """Where the contract tables come from. Each has one source, or several whose rows are put together."""

    behaviours: list[Source]
    """Behaviours: `user_id, item_id, behaviour, ts, value?`. A question mark stands for a column that may be left
    out."""
    items: list[Source]
    """Items: `item_id, title, description?, category?, tags?, attributes?, available?`; of rows with one id and
    different contents only one is used, and the others are rejected."""
    users: list[Source] = Field(default=[])
    """Users (optional): `user_id, interest_tags?, attributes?`."""
    relations: list[Source] = Field(default=[])
    """Social relations (optional): `user_id, friend_id, weight?`."""
    allow_list: list[Source] = Field(default=[])
    """A campaign (optional): `item_id`. Only its items are recommended. A backtest does not read it."""
    deny_list: list[Source] = Field(default=[])
    """Pairs that are never recommended (optional): `user_id, item_id`."""
    selected_users: list[Source] = Field(default=[])
    """Users to score (optional): `user_id`. Only these users get a list. A backtest does not read it."""

    def of(self, name: str) -> list[Source]:
        """Return the sources of the contract table of that name; empty where it is not given."""
        sources: list[Source] = getattr(self, name)
        return sources

    @property
    def paths(self) -> list[str | None]:
        """Addresses of all sources and their joins; None stands for a catalog table."""
        waiting: list[Source] = [source for name in type(self).model_fields for source in self.of(name)]
        found = []
        while waiting:
            source = waiting.pop()
            found.append(source.path)
            waiting += source.join
        return found

    @field_validator("*", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, Mapping) else value

    @field_validator("behaviours", "items")
    @classmethod
    def _at_least_one(cls, value: list[Source]) -> list[Source]:
        if not value:
            raise ValueError("needs at least one source")
        return value
