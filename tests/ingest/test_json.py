"""JSON and text in any layout and encoding is read rightly, kept as a malformed row, or refused with what to set."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from recsys_spark.config.sources import Source
from recsys_spark.errors import SourceError
from recsys_spark.ingest.formats import open_source
from recsys_spark.ingest.opened import MALFORMED, Opened
from recsys_spark.ingest.settings import reading_settings

LINES = '{"u":"a","v":1}\n{"u":"é","v":2}\n'


def opened(spark: SparkSession, path: Path, form: str = "json", column: str = "u", **options: str) -> Opened:
    given: dict[str, Any] = {"format": form, "path": str(path), "options": options, "columns": {"user_id": column}}
    with reading_settings(spark):
        return open_source(spark, Source.model_validate(given), where="sources.users")


def rows(found: Opened, *names: str) -> list[tuple[Any, ...]]:
    return sorted((tuple(row) for row in found.rows.select(*names).collect()), key=str)


def refused(spark: SparkSession, path: Path, form: str = "json", column: str = "u", **options: str) -> SourceError:
    with pytest.raises(SourceError) as caught:
        opened(spark, path, form, column, **options)
    assert str(caught.value.where).startswith("sources.users.")
    return caught.value


def file(folder: Path, content: str | bytes, name: str = "a.json") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


@pytest.mark.parametrize(
    "content",
    [
        LINES,
        codecs.BOM_UTF8 + LINES.encode(),
        "\n\n" + LINES.replace("\n", "\r\n\r\n  \r\n"),
        '[{"u":"a","v":1},{"u":"é","v":2}]',
    ],
    ids=["lines", "mark", "blank lines", "array in a line"],
)
def test_the_same_rows_in_other_layouts(spark: SparkSession, tmp_path: Path, content: str | bytes) -> None:
    assert rows(opened(spark, file(tmp_path, content)), "u", "v", MALFORMED) == [("a", 1, None), ("é", 2, None)]


@pytest.mark.parametrize("mode", ["", "PERMISSIVE", "DROPMALFORMED"])
def test_what_does_not_parse_is_a_row_with_its_text(spark: SparkSession, tmp_path: Path, mode: str) -> None:
    wrong = ['{"u":"b","v":', "not json", "42", '{"u" "c"}']
    at = file(tmp_path, LINES + "\n".join(wrong) + "\n")
    found = opened(spark, at, **({"mode": mode} if mode else {}))
    assert found.malformed == MALFORMED
    assert found.columns == ["u", "v"]
    assert rows(found, "u", "v") == sorted([("a", 1), ("é", 2)] + [(None, None)] * 4, key=str)
    texts = {row[0] for row in found.rows.select(MALFORMED, "u").collect()}
    assert texts == {None, *wrong}
    filtered = opened(spark, at, column="if(_corrupt_record is null, u, null)")
    assert sorted(str(text) for text, _ in rows(filtered, "_corrupt_record", "u") if text) == sorted(wrong)


@pytest.mark.parametrize(
    "content", ['[\n {\n  "u": "a"\n }\n]\n', '{\n "u": "a"\n}\n', '[{\n"u": "a"},\n{"u": "b"}]\n']
)
@pytest.mark.parametrize("pack", ["", ".gz"])
def test_json_over_several_lines_names_the_option(spark: SparkSession, tmp_path: Path, content: str, pack: str) -> None:
    packed = gzip.compress(content.encode()) if pack else content
    file(tmp_path / "it", LINES, "0.json")
    at = file(tmp_path / "it", packed, f"a.json{pack}")
    error = refused(spark, tmp_path / "it")
    assert error.what == "The JSON of a file is spread over several lines"
    assert f"{at}, whose first line is {content[0]}" == error.found
    assert 'options = { multiLine = "true" }' in str(error.action)
    expected = [("a",), ("b",)] if '"b"' in content else [("a",)]
    assert rows(opened(spark, at, multiLine="true"), "u") == expected


def test_several_objects_in_a_file_are_not_cut_to_the_first(spark: SparkSession, tmp_path: Path) -> None:
    for content in (LINES, '{\n"u": "a"\n}\n{\n"u": "b"\n}\n', '{"u": "} {"}\n\n  {"u": "b"}'):
        error = refused(spark, file(tmp_path, content), multiLine="true")
        assert "multiLine reads only the first" in error.what
    one = file(tmp_path, '[{"u": "}\\n{"},\n{"u": "b"}\n]\n\n')
    assert rows(opened(spark, one, multiLine="true"), "u") == [("b",), ("}\n{",)]


def test_keys_that_differ_in_case_are_named(spark: SparkSession, tmp_path: Path) -> None:
    both = file(tmp_path, LINES + '{"U":"c","u":"d","v":3}\n', "d.json")
    assert "`U` and `u`" in refused(spark, both).what
    at = file(tmp_path, LINES + '{"U":"c","v":3}\n')
    error = refused(spark, at)
    assert error.what == "Keys of the objects differ in case only: `U` and `u`"
    assert str(at) in str(error.found)
    assert "coalesce(U, u)" in str(error.action)
    assert rows(opened(spark, at, column="v"), "v") == [(1,), (2,), (3,)]
    array = file(tmp_path, '[{"u":"a"},\n{"U":"c"}]', "b.json")
    assert "`U` and `u`" in refused(spark, array, multiLine="true").what
    deep = file(tmp_path, '{"x":{"u":"a"}}\n{"x":{"U":"c"}}\n', "c.json")
    assert "`x.U` and `x.u`" in refused(spark, deep, column="x.u").what


def test_one_row_with_a_key_twice_stops_nothing(spark: SparkSession, tmp_path: Path) -> None:
    at = file(tmp_path, LINES + '{"u":"b","v":3,"u":"c"}\n')
    assert rows(opened(spark, at), "u", "v") == [("a", 1), ("c", 3), ("é", 2)]


@pytest.mark.parametrize("form", ["json", "text"])
def test_files_that_are_not_text_in_utf8_are_refused(spark: SparkSession, tmp_path: Path, form: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.json", LINES)
    for name, content, said in (
        ("a.dat", LINES.encode("utf-16"), "iconv"),
        ("b.dat", LINES.encode("utf-16-le"), "iconv"),
        ("c.dat", packed.getvalue(), "is zip"),
        ("d.dat", gzip.compress(LINES.encode()), "is gzip"),
        ("e.dat", b"PAR1\x15\x04", "is Parquet"),
        ("f.bz2", LINES.encode(), "not compressed so"),
        ("g.snappy", LINES.encode(), "not compressed so"),
        ("h.gz", bz2.compress(LINES.encode()), "is bzip2"),
    ):
        at = file(tmp_path / name.partition(".")[0], content, name)
        assert said in str(refused(spark, at, form))
        assert str(at) in str(refused(spark, at.parent, form).found)


def test_packed_text_is_read(spark: SparkSession, tmp_path: Path) -> None:
    file(tmp_path / "it", gzip.compress(b"u1\n"), "a.txt.gz")
    file(tmp_path / "it", bz2.compress(b"u2\n"), "b.txt.bz2")
    file(tmp_path / "it", codecs.BOM_UTF8 + b"u3\r\n", "c.txt")
    file(tmp_path / "it", b"", "d.txt")
    assert rows(opened(spark, tmp_path / "it", "text", "value"), "value") == [("u1",), ("u2",), ("u3",)]


def test_an_encoding_of_text_is_not_left_out_in_silence(spark: SparkSession, tmp_path: Path) -> None:
    error = refused(spark, file(tmp_path, "é\n".encode("latin-1")), "text", "value", encoding="ISO-8859-1")
    assert 'format = "csv"' in str(error.action)


def test_what_is_no_json_at_all_says_so(spark: SparkSession, tmp_path: Path) -> None:
    error = refused(spark, file(tmp_path, "u,v\na,1\n"))
    assert error.what == "No line of the files is an object of JSON"
    assert str(error.found).startswith("u,v in ")
    assert refused(spark, file(tmp_path, "\n \n", "b.json")).what == "The file or folder holds no data"


def test_a_line_with_more_than_one_value_is_a_malformed_row(spark: SparkSession, tmp_path: Path) -> None:
    odd = ['{"u":"b"}{"u":"c"}', '{"u":"d"},{"u":"e"}', '[{"u":"f"}]{"u":"g"}', '{"u":"h"} # ok', '{"u":"i"']
    right = ["{'u':'j }{ k','t':[{'a':1},{'a':2}]}", '{"u":"l"},', '[{"u":"m"},{"u":"n"}]', " "]
    at = file(tmp_path / "shop=s 1", LINES + "\n".join([*odd, *right]), "a.json").parent.parent
    found = rows(opened(spark, at), "u", "shop", MALFORMED)
    assert [row[0] for row in found if row[2] is None] == ["a", "j }{ k", "l", "m", "n", "é"]
    assert sorted(row[2] for row in found if row[2] is not None) == sorted(odd)
    assert {row[1] for row in found} == {"s 1"}


def test_texts_and_lists_that_look_like_two_values_are_one(spark: SparkSession, tmp_path: Path) -> None:
    at = file(tmp_path, '{"u":"a } { b","t":[{"v":1},{"v":2}]}\n{"u":"[1] [2]"}\n')
    assert rows(opened(spark, at), "u", MALFORMED) == [("[1] [2]", None), ("a } { b", None)]


def test_an_object_where_others_have_an_id_is_a_malformed_row(spark: SparkSession, tmp_path: Path) -> None:
    at = file(tmp_path, LINES + '{"u":{"id":"b"},"v":3}\n{"u":["c"],"v":4}\n{"u":"{d}","v":5}\n')
    found = rows(opened(spark, at), "u", MALFORMED)
    assert [row[0] for row in found if row[1] is None] == ["a", "{d}", "é"]
    assert [row[0] for row in found if row[1] is not None] == ['["c"]', '{"id":"b"}']
    assert all(row[1] is None for row in rows(opened(spark, at, column="v"), "u", MALFORMED))
