"""The `[sources]` section: where the contract tables come from and how they are mapped onto the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from recsys_spark.config.base import Section


class Source(Section):
    """One table of the user's, mapped onto a contract table by Spark SQL expressions."""

    format: Literal["csv", "json", "parquet", "orc", "text"] | None = None
    """Format of the files at `path`."""
    path: str | None = None
    """File or folder; `${NAME}` takes an environment variable; relative paths start at the config file's folder."""
    table: str | None = None
    """A catalog table `db.name`, instead of `format` and `path`."""
    options: dict[str, str] = Field(default={})
    """Options of Spark's reader (`header`, `sep`, `encoding`, ...)."""
    where: str | None = None
    """Spark SQL row filter over the source's columns."""
    group_by: list[str] = Field(default=[])
    """Source columns to group by before mapping; `columns` may then use aggregates such as `collect_set(tag)`."""
    columns: dict[str, str]
    """Contract column = Spark SQL expression over the source's columns."""
    join: list[Join] = Field(default=[])
    """Side tables joined after `where` and before `columns`, such as tags beside titles."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.table is None) == (self.path is None):
            raise ValueError("give either `table`, or `format` and `path`")
        if self.path is not None and self.format is None:
            raise ValueError("`path` needs `format` (csv, json, parquet, orc or text)")
        return self


class Join(Source):
    """A side table, itself mapped by its `columns`, joined by equal values (left join)."""

    on: list[str]
    """Column names that both sides have and that must be equal."""


Source.model_rebuild()


class Sources(Section):
    """Where the contract tables come from. Each is one source or several, whose rows are put together."""

    behaviours: list[Source]
    """Behaviours: `user_id, item_id, behaviour, ts, value?`."""
    items: list[Source]
    """Items: `item_id, title, description?, category?, tags?, attributes?, available?`; rows of one id from several sources are an error row."""
    users: list[Source] = Field(default=[])
    """Users (optional): `user_id, interest_tags?, attributes?`."""
    relations: list[Source] = Field(default=[])
    """Social relations (optional): `user_id, friend_id, weight?`."""
    allow_list: list[Source] = Field(default=[])
    """A campaign (optional): `item_id`. Only these items are recommended. A backtest does not read it."""
    deny_list: list[Source] = Field(default=[])
    """Pairs that are never recommended (optional): `user_id, item_id`."""
    selected_users: list[Source] = Field(default=[])
    """Users to score (optional): `user_id`. Only they get a list. A backtest does not read it."""

    def of(self, name: str) -> list[Source]:
        """Return the sources of the contract table of that name; empty where it is not given."""
        sources: list[Source] = getattr(self, name)
        return sources

    @field_validator("*", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, Mapping) else value

    @field_validator("behaviours", "items")
    @classmethod
    def _at_least_one(cls, value: list[Source]) -> list[Source]:
        if not value:
            raise ValueError("at least one source is needed")
        return value
