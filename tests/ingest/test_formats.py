"""Every format of the configuration can be opened, and an empty source is refused whatever its format is."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from pyspark.sql import SparkSession

from recsys_spark.config import sources
from recsys_spark.config.sources import Source
from recsys_spark.errors import SourceError
from recsys_spark.ingest.formats import FORMATS, open_source

OPTIONS: dict[str, dict[str, str]] = {"csv": {"header": "true"}}
"""Format -> what it is written and read with, where the defaults do not do."""


def source(form: str, path: Path) -> Source:
    return Source.model_validate(
        {"format": form, "path": str(path), "columns": {"item_id": "id"}, "options": OPTIONS.get(form, {})}
    )


def test_the_configuration_and_the_registry_name_the_same_formats() -> None:
    assert set(get_args(sources.Format)) == set(FORMATS)


@pytest.mark.parametrize("form", get_args(sources.Format))
def test_rows_written_in_a_format_are_read_in_it(spark: SparkSession, tmp_path: Path, form: str) -> None:
    rows = spark.createDataFrame([("i1",), ("i2",)], "id string")
    rows.coalesce(1).write.format(form).options(**OPTIONS.get(form, {})).save(str(tmp_path / "it"))

    opened = open_source(spark, source(form, tmp_path / "it"), where="it")
    assert sorted(row[0] for row in opened.rows.select(*opened.columns).collect()) == ["i1", "i2"]


@pytest.mark.parametrize("form", get_args(sources.Format))
def test_a_folder_without_files_is_refused(spark: SparkSession, tmp_path: Path, form: str) -> None:
    (tmp_path / "it").mkdir()

    with pytest.raises(SourceError, match="The file or folder holds no data") as caught:
        open_source(spark, source(form, tmp_path / "it"), where="sources.items")
    assert caught.value.where == "sources.items.path"
