"""Machine code of a cold machine: compiled once, kept where it is safe, and never a reason to fail."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from recsys_spark.numerics import code_cache
from tests.numerics.probe import called, started, zipped

PACKAGE = Path(code_cache.__file__).parents[1]
NOWHERE = "/dev/null"
"""Below a file even root cannot make a folder."""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return zipped(PACKAGE, tmp_path / "package.zip")


def test_of_several_cold_processes_one_compiles(tmp_path: Path, archive: Path) -> None:
    processes = [started(archive, str(tmp_path)) for _ in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [json.loads(process.communicate()[0]) for process in processes]
    assert sorted(answer["misses"] for answer in answers) == [0, 0, 0, 1]
    assert sum(answer["hits"] for answer in answers) == 3
    assert len({answer["bits"] for answer in answers}) == 1


def test_without_a_home_the_folder_for_temporary_files_is_taken(tmp_path: Path, archive: Path) -> None:
    temporary = str(tmp_path / "tmp")
    os.mkdir(temporary)
    first, second = (called(archive, NOWHERE, TMPDIR=temporary) for _ in range(2))
    assert first["folder"].startswith(f"{temporary}/recsys-spark-{os.getuid()}/machine-code/")
    assert (first["hits"], second["hits"]) == (0, 1)


def test_a_folder_that_others_can_write_to_is_not_read(tmp_path: Path, archive: Path) -> None:
    temporary = tmp_path / "tmp"
    shared = temporary / f"recsys-spark-{os.getuid()}"
    shared.mkdir(parents=True)
    shared.chmod(0o777)
    answers = [called(archive, NOWHERE, TMPDIR=str(temporary)) for _ in range(2)]
    assert [answer["misses"] for answer in answers] == [1, 1]
    assert not list(shared.iterdir())


def test_a_machine_without_any_place_compiles_in_each_process(tmp_path: Path, archive: Path) -> None:
    (tmp_path / f"recsys-spark-{os.getuid()}").write_text("in the way")
    answer = called(archive, NOWHERE, NUMBA_CACHE_DIR=NOWHERE, TMPDIR=str(tmp_path))
    assert (answer["hits"], answer["misses"]) == (0, 1)


def test_a_damaged_file_is_compiled_and_written_again(tmp_path: Path, archive: Path) -> None:
    first = called(archive, str(tmp_path))
    (file,) = [file for file in Path(first["folder"]).glob("*.nbc") if "row_norms" in file.name]
    file.write_bytes(file.read_bytes()[:100])
    second, third = called(archive, str(tmp_path)), called(archive, str(tmp_path))
    assert (second["hits"], third["hits"]) == (0, 1)
    assert first["bits"] == second["bits"] == third["bits"]
