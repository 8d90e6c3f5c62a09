"""Which files a source has. A file that is not part of the table is refused, because Spark would read its rows too; so
is a file of the table that Spark would leave out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from fnmatch import fnmatchcase
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession

from recsys_spark.config.sources import Source
from recsys_spark.errors import SourceError
from recsys_spark.ingest.opened import used
from recsys_spark.spark.expressions import partition_columns
from recsys_spark.spark.files import Listing, listing
from recsys_spark.spark.filesystem import FileSystem

_OWN = {
    "csv": (".csv",),
    "json": (".json", ".jsonl", ".ndjson"),
    "parquet": (".parquet", ".parq", ".pq"),
    "orc": (".orc",),
    "text": (".txt", ".text"),
}
"""Format -> endings that only its own files have."""
_COMPRESSIONS = (".gz", ".gzip", ".bz2", ".zst", ".zstd", ".snappy", ".lz4", ".deflate", ".xz", ".zip", ".z")
_NOTES = re.compile(r"(readme|licen[cs]e|notice|copying|authors|changelog|manifest|checksums?|(md5|sha\d*)sums?)")
"""Names of files without an ending that lie next to tables."""
_NUMBER = re.compile(r"\.[\d_:-]+|\.[0-9a-f]{8,}")
_LOGS = ("_delta_log", ".hoodie")
"""Folders of table formats that say which files belong to the table now."""
_ANY = "*?[{"
_N_SHOWN = 5


def files_of(spark: SparkSession, source: Source, *, where: str) -> Listing:
    """Return the files of a source, at any depth. Raises SourceError where some are not part of the table."""
    path = str(source.path)
    found = listing(spark, path, source.options)
    _refuse_log(spark, path, where=where)
    foreign, own = _sorted_out([name for name in found.paths if not _is_named(name, path, source)], str(source.format))
    if foreign:
        raise SourceError(
            "The folder holds files that are not part of the table",
            where=f"{where}.path",
            found=f"{named(foreign)}, next to {len(own)} files such as {_name(own[0])}",
            expected="files with one ending, because Spark reads every file as rows of the table",
            action=_way_out(path, own),
        )
    return found


def check_reach(rows: DataFrame, in_files: Iterable[str], files: Listing, source: Source, *, where: str) -> None:
    """Raise SourceError where ``rows``, just opened, lack some of ``files``, or read a column from two places.

    ``in_files``: the columns that the files themselves have.
    """
    if option(source, "recursiveFileLookup") == "true":
        return
    folders = partition_columns(rows)
    if folders:
        read = {name for name in files.paths if folders <= set(_folder_keys(name))}
    else:
        read = {one_slash(name) for name in map(unquote, rows.inputFiles())}
    lost = [name for name in files.paths if name not in read and one_slash(name) not in read]
    if lost:
        beside = f"outside the folders {', '.join(f'{name}=...' for name in sorted(folders))}" if folders else "deeper"
        raise SourceError(
            "Some files of the folder would not be read",
            where=f"{where}.path",
            found=f"{named(lost)}, {beside}",
            expected="all files in one folder, or in folders NAME=VALUE of one depth",
            action='Move them, or set options = { recursiveFileLookup = "true" } to read the files of all folders.',
        )
    in_one_place(folders, in_files, used(rows, source) if folders else (), files.paths[0], where=where)


def in_one_place(
    folders: Iterable[str], columns: Iterable[str], needed: Container[str], example: str, *, where: str
) -> None:
    """Raise SourceError where a column that is ``needed`` is in the names of ``folders`` and among the files'
    ``columns``."""
    own = {name.lower() for name in columns}
    for name in sorted(folders):
        if name.lower() in own and name.lower() in needed:
            raise SourceError(
                f"Column `{name}` is in the names of the folders and in the files",
                where=f"{where}.path",
                found=f"{named([example])}, which has a column `{name}` too",
                expected="one place for each column",
                action='To use the column of the files, set options = { recursiveFileLookup = "true" }. '
                "To use the folders, write the files without it.",
            )


def named(paths: Sequence[str]) -> str:
    """Return the first paths for a message, without the scheme of local files."""
    shown = ", ".join(name.removeprefix("file://").removeprefix("file:") for name in paths[:_N_SHOWN])
    return shown + (f" and {len(paths) - _N_SHOWN} more" if len(paths) > _N_SHOWN else "")


def ending(name: str) -> str:
    """Return the ending of a file's name in small letters, apart from that of its compression. `.#` is any number.

    >>> [ending(name) for name in ("part-0.CSV.gz", "a.csv.bak", "part-0", "log.2024-01-01", "a.csv.1")]
    ['.csv', '.bak', '', '.#', '.#']
    """
    name = name.lower()
    for compression in _COMPRESSIONS:
        name = name.removesuffix(compression)
    head, dot, last = name.rpartition(".")
    if not dot or not head:
        return ""
    return ".#" if _NUMBER.fullmatch(f".{last}") else f".{last}"


def _sorted_out(paths: Sequence[str], form: str) -> tuple[list[str], list[str]]:
    """Return the files that are not part of the table, and those that are."""
    endings = {path: ending(_name(path)) for path in paths}
    notes = {path for path, found in endings.items() if not found and _NOTES.fullmatch(_name(path).lower())}
    counts = Counter(found for path, found in endings.items() if path not in notes)
    if not counts:
        return [], list(paths)
    own = [found for found in counts if found in _OWN[form]]
    if own:
        # Files like `part-00000` belong to the table, a file `README` does not.
        own.append("")
        notes |= {path for path, found in endings.items() if not found and not re.search(r"\d", _name(path))}
    else:
        own = [min(counts, key=lambda found: (-counts[found], found))]
    foreign = [path for path in paths if endings[path] not in own or path in notes]
    return foreign, [path for path in paths if path not in set(foreign)]


def _is_named(file: str, path: str, source: Source) -> bool:
    """Whether the user's own words name the file: it is the path itself, or a pattern with the ending matches it."""
    last = path.rstrip("/").rpartition("/")[2]
    if not any(mark in last for mark in _ANY):
        return last == _name(file)
    patterns = (last, option(source, "pathGlobFilter"))
    return any(
        "." in re.split(r"[*?]", pattern)[-1] and any(fnmatchcase(_name(file), one) for one in _alternatives(pattern))
        for pattern in patterns
    )


def _alternatives(pattern: str) -> list[str]:
    """Return a pattern of Hadoop without its braces.

    >>> _alternatives("*.{csv,csv.gz}")
    ['*.csv', '*.csv.gz']
    """
    found = re.search(r"\{([^{}]*)\}", pattern)
    if found is None:
        return [pattern]
    made = (pattern[: found.start()] + one + pattern[found.end() :] for one in found[1].split(","))
    return [alternative for one in made for alternative in _alternatives(one)]


def _way_out(path: str, own: Sequence[str]) -> str:
    suffixes = sorted({_name(name)[len(_stem(_name(name))) :] for name in own})
    if "" in suffixes or any(ending(_name(name)) == ".#" for name in own):
        return "Move them to another folder."
    pattern = "*" + (suffixes[0] if len(suffixes) == 1 else "{" + ",".join(suffixes) + "}")
    flat = not any(mark in path for mark in _ANY) and len({name.rpartition("/")[0] for name in own}) == 1
    chosen = f'path = "{path.rstrip("/")}/{pattern}"' if flat else f'options = {{ pathGlobFilter = "{pattern}" }}'
    return f"Move them to another folder, or choose the files of the table: {chosen}."


def _stem(name: str) -> str:
    """Return a file's name without its ending and the one of its compression."""
    stem = name
    for compression in _COMPRESSIONS:
        stem = stem[: -len(compression)] if stem.lower().endswith(compression) else stem
    return stem.rpartition(".")[0] if ending(name) else stem


def _refuse_log(spark: SparkSession, path: str, *, where: str) -> None:
    if any(mark in path for mark in _ANY):
        return
    system = FileSystem(spark)
    logs = [log for log in _LOGS if system.exists(f"{path.rstrip('/')}/{log}")]
    if logs:
        raise SourceError(
            "The folder is a table with a log, and its files alone are not the table",
            where=f"{where}.path",
            found=f"{path}/{logs[0]}",
            expected="a folder of files that are all part of the table",
            action="Register it in the session's catalog and name it by `table`. Files deleted from it would be read.",
        )


def _folder_keys(path: str) -> list[str]:
    """Return the names of the folders NAME=VALUE directly above a file."""
    keys: list[str] = []
    for folder in reversed(path.split("/")[:-1]):
        name, equals, _ = folder.partition("=")
        if not equals:
            break
        keys.append(unquote(name))
    return keys


def option(source: Source, name: str) -> str:
    """Return an option of the source, whose names Spark reads in any case; empty where it is not set."""
    return next((value for key, value in source.options.items() if key.lower() == name.lower()), "")


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def one_slash(address: str) -> str:
    """Return `file:/x` for `file:///x`: Spark writes the one in some places, and the other elsewhere."""
    return re.sub(r"^(\w+):/+(?=/)", r"\1:", address) if address.startswith("file:") else address
