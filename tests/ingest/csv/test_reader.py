"""CSV sources as people write them: columns by name, rows by their number of fields, quotes and line breaks."""

from __future__ import annotations

import csv
import gzip
import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.sources import Source
from recsys_spark.errors import SourceError
from recsys_spark.ingest.formats import open_source
from recsys_spark.ingest.opened import MALFORMED, Opened
from recsys_spark.ingest.settings import reading_settings

HEADER = "item_id,title,category\n"
Row = tuple[str | None, ...]


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def opened(spark: SparkSession, path: Path, options: Mapping[str, str] | None = None, **more: Any) -> Opened:
    keys = {"format": "csv", "path": str(path), "options": {"header": "true"} | dict(options or {})}
    source = Source.model_validate({"columns": {"item_id": "item_id"}, **keys, **more})
    with reading_settings(spark):
        return open_source(spark, source, where="sources.items")


def rows(it: Opened, *columns: str) -> tuple[list[Row], list[str]]:
    """The good rows, sorted, and the texts of the others."""
    columns = columns or ("item_id", "title", "category")
    found = it.rows.select(*columns, MALFORMED).collect()
    good = [tuple(row)[:-1] for row in found if row[MALFORMED] is None]
    return sorted(good, key=str), sorted(row[MALFORMED] for row in found if row[MALFORMED] is not None)


def read(spark: SparkSession, path: Path, *columns: str, **options: str) -> tuple[list[Row], list[str]]:
    return rows(opened(spark, path, options), *columns)


def refused(spark: SparkSession, path: Path, options: Mapping[str, str] | None = None, **more: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        opened(spark, path, options, **more)
    return caught.value


def test_columns_are_read_by_the_names_in_each_header(spark: SparkSession, tmp_path: Path) -> None:
    files = {
        "a.csv": HEADER + "1,a,x\n",
        "b.csv": "category,Item_ID ,title\ny,2,b\n",
        "c.csv": 'title,category,item_id\n"two\nlines",z,3\n',
        "d.csv": HEADER,
        "e.csv": "",
        "f.csv": "\ufeff" + HEADER + "6,f,w",
        "g.csv.gz": gzip.compress((HEADER + '7,"g, h",v\r\n').encode()),
        "h i[1].csv": "category,title,item_id\n\nu,i,8\n",
    }
    expected = [("1", "a", "x"), ("2", "b", "y"), ("3", "two\nlines", "z"), ("6", "f", "w"), ("7", "g, h", "v")]
    assert read(spark, write(tmp_path, files)) == ([*expected, ("8", "i", "u")], [])


def test_other_columns_are_refused_unless_the_source_allows_them(spark: SparkSession, tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.csv": HEADER + "1,a,x\n", "b.csv": "item_id,category,title,price\n2,y,b,3\n"})
    error = refused(spark, folder)
    assert error.where == "sources.items.path"
    assert f"{folder}/b.csv: item_id, category, title, price" in str(error.found)
    assert "columns_may_differ = true" in str(error.action)

    it = opened(spark, folder, columns_may_differ=True)
    assert rows(it, "item_id", "title", "price") == ([("1", "a", None), ("2", "b", "3")], [])


@pytest.mark.parametrize("may_differ", [False, True])
@pytest.mark.parametrize("name", ["0.csv", "z.csv"], ids=["first", "last"])
def test_a_file_without_a_header_is_refused(spark: SparkSession, tmp_path: Path, name: str, may_differ: bool) -> None:
    folder = write(tmp_path, {"a.csv": HEADER + "1,a,x\n", name: "2,b,y\n3,c,z\n"})
    error = refused(spark, folder, columns_may_differ=may_differ)
    assert "2, b, y" in str(error.found)
    assert "header line" in str(error.action)


def test_files_without_headers_need_one_number_of_columns(spark: SparkSession, tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.csv": "\ufeff1,bad\n2,a,x\n3,b,y\n", "b.csv": "4,c,z\n"})
    it = opened(spark, folder, {"header": "false"})
    assert rows(it, "_c0", "_c2") == ([("2", "x"), ("3", "y"), ("4", "z")], ["1,bad"])

    write(tmp_path, {"c.csv": "5,d\n"})
    assert "numbers of columns" in refused(spark, folder, {"header": "false"}).what


def test_a_row_with_another_number_of_fields_is_set_aside_with_its_text(spark: SparkSession, tmp_path: Path) -> None:
    text = HEADER + "1,a,x\n2,b\n\n3,c,z,w\n  \n" + HEADER + '4,"d, e",y\n'
    for mode in ("DROPMALFORMED", "permissive"):
        it = opened(spark, write(tmp_path, {"a.csv": text}), {"mode": mode, "columnNameOfCorruptRecord": "bad"})
        # Of the columns some alone: Spark must count the fields of all.
        assert rows(it, "item_id") == ([("1",), ("4",)], ["2,b", "3,c,z,w", HEADER.strip()])
    assert "2 rows" in str(
        refused(spark, write(tmp_path, {"a.csv": HEADER + "1\n2\n3,c,x\n"}), {"mode": "FAILFAST"}).found
    )


def test_the_number_of_rows_is_known_where_every_row_is_a_line(spark: SparkSession, tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.csv": "#x\n" + HEADER + "1,a,x\n\n#y\n2,b\n \n", "b.csv": HEADER + ' 3,"c",z\n'})
    it = opened(spark, folder, {"comment": "#"})
    assert it.n_rows == len(it.rows.collect()) == 3

    write(tmp_path, {"c.csv": HEADER + '4,"d\ne",x\n'})
    assert opened(spark, folder, {"comment": "#"}).n_rows is None


TEXTS = [
    "plain",
    'said "hi", twice',
    '27"',
    '"all"',
    "two\nlines, with a comma",
    'a\n\n"quoted" word\nin lines',
    "C:\\temp\\",
    'ends in a quote"\n',
    "#1, été 红",
    "",
]


def table() -> pd.DataFrame:
    ids = [f"{position:05d}" for position in range(len(TEXTS))]
    return pd.DataFrame(
        {"item_id": ids, "title": TEXTS, "category": [f"c{position % 3}" for position in range(len(TEXTS))]}
    )


def expected(of: pd.DataFrame) -> list[Row]:
    return [tuple(value or None for value in row) for row in of.itertuples(index=False)]


@pytest.mark.parametrize("form", ["pandas", "excel", "quoted", "latin", "wide"])
def test_quotes_and_line_breaks_are_read_as_they_were_written(spark: SparkSession, tmp_path: Path, form: str) -> None:
    data, options, encoding = table(), {}, "utf-8"
    data = data.assign(title=[text.replace("红", "ü") for text in data["title"]]) if form == "latin" else data
    out = io.StringIO()
    if form == "excel":
        data.to_csv(out, index=False, sep=";", lineterminator="\r\n")
        options, encoding = {"sep": ";"}, "utf-8-sig"
    else:
        data.to_csv(out, index=False, quoting=csv.QUOTE_ALL if form == "quoted" else csv.QUOTE_MINIMAL)
        charset = {"latin": "ISO-8859-1", "wide": "UTF-16"}.get(form)
        options, encoding = ({"encoding": charset}, charset) if charset else ({}, encoding)
    folder = write(tmp_path, {"a.csv": out.getvalue().encode(encoding)})
    assert read(spark, folder, **options) == (sorted(expected(data), key=str), [])


def test_a_backslash_before_quotes_is_found_out_for_each_file(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mysql = HEADER + '"1","say \\"hi\\", you","x"\n"2","a 27\\"","y"\n"3","two\nlines","z"\n'
    windows = HEADER + '"4","C:\\temp\\","x"\n"5","b","y"\n'
    folder = write(tmp_path, {"mysql.csv": mysql, "windows.csv": windows})
    good = [("1", 'say "hi", you', "x"), ("2", 'a 27"', "y"), ("3", "two\nlines", "z"), ("4", "C:\\temp\\", "x")]
    with caplog.at_level(logging.INFO, "recsys_spark"):
        assert read(spark, folder) == ([*good, ("5", "b", "y")], [])
    assert f"{folder}/mysql.csv" in caplog.text.partition("a backslash stands before quotes")[2]
    assert "windows.csv" not in caplog.text.partition("a backslash stands before quotes")[2]

    spark.createDataFrame([good[0], good[1]], "item_id string, title string, category string").coalesce(1).write.csv(
        str(tmp_path / "spark"), header=True
    )
    assert read(spark, tmp_path / "spark", escape="\\") == (good[:2], [])


def test_a_stray_quote_swallows_nothing(spark: SparkSession, tmp_path: Path) -> None:
    plain = "".join(f"{k},item {k},c\n" for k in range(1000, 2000))
    stray = (
        '2000,"open,c\n' + "2001,good,c\n" + '2002,"open,c\n2003,"open,c\n' + '2004,"two\nlines",c\n2005,5" pipe,c\n'
    )
    for options in ({}, {"multiLine": "true"}):
        good, bad = read(spark, write(tmp_path, {"a.csv": HEADER + plain + stray + plain + '3000,"end,c'}), **options)
        assert bad == ['2000,"open,c', '2002,"open,c', '2003,"open,c', '3000,"end,c']
        assert len(good) == 2003
        assert {("2001", "good", "c"), ("2004", "two\nlines", "c"), ("2005", '5" pipe', "c")} <= set(good)


def test_other_options_keep_their_meaning_in_records_of_several_lines(spark: SparkSession, tmp_path: Path) -> None:
    text = "# a\nitem_id|title|category\n# b\n1| '-' |NA\n2| 'two\n|lines'|x\n"
    options = {"sep": "|", "quote": "'", "nullValue": "NA", "comment": "#", "ignoreLeadingWhiteSpace": "true"}
    folder = write(tmp_path, {"shop=01/a.csv": text, "shop=02/a.csv": text.replace("2| 'two\n|lines'|x\n", "")})
    good = [("1", "-", None, "01"), ("1", "-", None, "02"), ("2", "two\n|lines", "x", "01")]
    assert read(spark, folder, "item_id", "title", "category", "shop", **options) == (good, [])


def test_inferred_types_leave_ids_and_leading_zeros_as_text(spark: SparkSession, tmp_path: Path) -> None:
    header = "item_id,key,other,n,price,day,at,yes,note\n"
    line = '7,1,{:02d},{},{}.5,2024-01-0{},2024-01-01 10:00:00,true,"a\nb"\n'
    folder = write(tmp_path, {"a.csv": header + "".join(line.format(k, k, k, k) for k in range(1, 4)) + "8,2\n"})
    side = {"format": "csv", "path": "x", "columns": {"key": "k"}, "on": ["key"]}
    it = opened(spark, folder, {"inferSchema": "true"}, join=[side], columns={"item_id": "lower(item_id)"})
    text = {"item_id", "key", "other", "note", MALFORMED}
    assert {name for name, kind in it.rows.dtypes if kind == "string"} == text
    assert dict(it.rows.dtypes) | dict.fromkeys(text, "") == dict.fromkeys(text, "") | {
        "n": "int",
        "price": "double",
        "day": "date",
        "at": "timestamp",
        "yes": "boolean",
    }
    assert rows(it, "item_id", "n") == ([("7", 1), ("7", 2), ("7", 3)], ["8,2"])


def test_encodings_are_named_and_refused_or_reported(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = HEADER + "1,été,x\n2,b,y\n"
    for content, options, word in [
        (text.encode("utf-16"), {}, 'encoding = "UTF-16"'),
        (text.encode("utf-16-be"), {}, 'encoding = "UTF-16BE"'),
        (text.encode("utf-32"), {}, 'encoding = "UTF-32"'),
        (text.encode(), {"encoding": "UTF-16"}, "UTF-8"),
        (text.encode("gbk", "replace"), {"encoding": "GBK"}, "spark.sql.legacy.javaCharsets"),
        (text.encode("latin-1"), {"encoding": "latin1"}, "ISO-8859-1"),
        (text.encode(), {"charset": "klingon"}, "usual name"),
        (gzip.compress(text.encode()), {}, ".csv.gz"),
    ]:
        assert word in str(refused(spark, write(tmp_path, {"a.csv": content}), options).action)

    with caplog.at_level(logging.WARNING, "recsys_spark"):
        assert len(read(spark, write(tmp_path, {"a.csv": text.encode("latin-1")}))[0]) == 2
    assert f"{tmp_path}/a.csv has 1 lines that are not UTF-8" in caplog.text


def test_a_header_may_have_line_breaks_and_equal_names(spark: SparkSession, tmp_path: Path) -> None:
    folder = write(tmp_path, {"a.csv": 'item_id,"Price\n(EUR)",,a,A\n1,2,3,4,5\n'})
    it = opened(spark, folder)
    assert it.columns == ["item_id", "Price\n(EUR)", "_c2", "a3", "A4"]
    assert rows(it, "item_id", "_c2", "A4") == ([("1", "3", "5")], [])
    assert "header" not in str(refused(spark, write(tmp_path / "x", {"a.csv": "\n"})).what)
