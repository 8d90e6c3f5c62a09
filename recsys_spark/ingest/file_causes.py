"""Why files could not be read: what Spark and the libraries below it say, in words on which the user can act."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from urllib.parse import unquote

from recsys_spark.config.sources import Source

_READING = re.compile(r"(?:while reading file|Could not read footer for file:?) (\S+?)\.?(?=\s|$)")
_PATH = re.compile(r"\b(?:[a-z][a-z0-9+]*):/+\S+?(?=[\s,;]| is not|$)")
_AGAIN = "Copy or write the file again, and check its size. If it is not part of the table, move it to another folder."


DAMAGED = "A compressed file is cut off or damaged"


@dataclass(frozen=True)
class Cause:
    """A kind of failure."""

    pattern: str
    """Regular expression that finds it in the messages of Spark and of what Spark calls."""
    what: str
    expected: str
    action: str
    said: bool = True
    """Whether the message itself helps the reader."""


CAUSES = (
    Cause(
        r"No space left on device|[Dd]isk quota exceeded|quota is exceeded",
        "The disk was full while the source was read",
        "space for the rows of the source in the store, and in Spark's local directories",
        "Free space, or move `run.store` or spark.local.dir to a larger disk. The same command again continues.",
    ),
    Cause(
        r"OutOfMemoryError|Java heap space|GC overhead limit",
        "The memory was full while the source was read",
        "rows, files and compressed blocks that fit into the memory of a task",
        "Check that the file is whole and is compressed as its ending says. Then raise spark.driver.memory or "
        "spark.executor.memory in [spark].",
    ),
    Cause(
        r"PARQUET_COLUMN_DATA_TYPE_MISMATCH|SchemaColumnConvertNotSupported|"
        r"(?:Int|Long|Double|Float|Binary|Utf8|Bytes?)\w* cannot be cast to",
        "A column has another type in one file than in the others",
        "one type of the column in all files",
        "Write that file again with the type of the others, or give it a source of its own. "
        "Where it was replaced just now, run the same command again.",
    ),
    Cause(
        r"datetimeRebaseMode|READ_ANCIENT_DATETIME",
        "A file has dates before 1582, or times before 1900, which two calendars read differently",
        "the calendar in which the file was written",
        'Set options = { datetimeRebaseMode = "CORRECTED" }; for files of Spark 2 or Hive set "LEGACY".',
        said=False,
    ),
    Cause(
        r"FILE_NOT_EXIST|FileNotFoundException|No such file or directory|NoSuchKey",
        "A file was removed or replaced while it was read",
        "files that stay as they are until ingest has ended",
        "Run the same command again when the export has ended. An export that writes to a new folder avoids this.",
        said=False,
    ),
    Cause(
        r"AccessControlException|Permission denied|AccessDenied|Access Denied",
        "A file must not be read by this user",
        "files that the user of the job can read",
        "Ask the owner of the files for the right to read them.",
    ),
    Cause(
        r"MALFORMED_RECORD_IN_PARSING|BadRecordException|FAILFAST",
        "A row has not the form of its file, and the source has mode = FAILFAST",
        "rows that can all be parsed",
        "Correct the row. Without the option `mode` such rows go to rejected_rows, and are counted there.",
    ),
    Cause(
        r"[Nn]ot a gzip file|Unknown frame descriptor|incorrect header check|Stream is not in the BZip2 format|"
        r"bad block header|[Ii]nvalid (?:LZ4|Snappy|magic)|unknown compression method|invalid (?:stored )?block type",
        "A file is not compressed as its ending says",
        "files whose ending names their compression, such as .gz for gzip",
        "Give the file the ending of its content, or copy it again.",
    ),
    Cause(
        r"EOFException|[Uu]nexpected end of (?:input stream|ZLIB|file)|[Tt]runcated|invalid distance|invalid code|"
        r"incorrect data check|CRC|[Cc]orrupt(?:ed)? (?:gzip|block|input)|DataFormatException|ZstdIOException",
        DAMAGED,
        "whole files",
        _AGAIN,
    ),
    Cause(
        r"is not a Parquet file|CANNOT_READ_FILE_FOOTER|Malformed ORC file|InvalidProtocolBufferException|"
        r"can not read class org.apache.parquet|[Cc]ould not read (?:page|footer)|ParquetDecodingException|"
        r"Invalid postscript|failed to read footer",
        "A file is cut off or damaged, or it is not in the format of the source",
        "whole files of the format of the source",
        _AGAIN,
    ),
    Cause(
        r"MALFORMED_CHARACTER_CODING|MalformedInputException|UnmappableCharacter|CharConversionException",
        "A file is in another encoding than the source says",
        "text in the encoding of the option `encoding`, which is UTF-8 where it is not set",
        'Set the encoding of the file, such as options = { encoding = "ISO-8859-1" }, or save the file as UTF-8.',
        said=False,
    ),
    Cause(
        r"CANNOT_MERGE_SCHEMAS|CANNOT_MERGE_INCOMPATIBLE_DATA_TYPE|Failed merging schema",
        "A column has different types in the files",
        "one type of the column in all files",
        "Write the files again with one type, or give each kind of file a source of its own.",
    ),
    Cause(
        r"COLUMN_ALREADY_EXISTS|[Ff]ound duplicate (?:column|field)",
        "Two columns have one name, or names that differ in case only",
        "names that differ apart from their case",
        "Rename one of them in the files.",
    ),
    Cause(
        r"lineSep option must be specified",
        "The option `encoding` needs the option `lineSep`",
        "both options, because Spark cannot find the ends of lines in this encoding by itself",
        r'Add lineSep = "\n" to the options of the source.',
        said=False,
    ),
    Cause(
        r"must not be included in the denyList",
        "Spark does not read lines of JSON in this encoding",
        "JSON in UTF-8, or in UTF-16LE or UTF-16BE without a byte order mark",
        r"Save the files as UTF-8, for example with `iconv -f UTF-16 -t UTF-8`.",
        said=False,
    ),
)


def cause_of(text: str) -> Cause | None:
    """Return the first kind of failure that the messages of a failure speak of."""
    return next((cause for cause in CAUSES if re.search(cause.pattern, text)), None)


def file_of(text: str) -> str | None:
    """Return the file that the messages name.

    >>> file_of("Encountered error while reading file file:///a%20b/c.csv. Details:")
    '/a b/c.csv'
    """
    found = _READING.search(text) or _PATH.search(text)
    if found is None:
        return None
    path = unquote(found[1] if found.re is _READING else found[0])
    return re.sub(r"^file:/*(?=/)", "", path)


def column_of(text: str) -> tuple[str, str, str] | None:
    """Return the column, the expected type and the type in the file, where the messages name them."""
    found = re.search(r"column \[([^\]]+)\]\. Expected Spark type (.+?), actual Parquet type (\S+?)\.", text)
    return (found[1].strip("[]`"), found[2], found[3]) if found else None


def charset_cause(text: str, source: Source) -> Cause | None:
    """Return the cause where Spark does not know the encoding of the source; Java may know it."""
    found = re.search(r"expects one of the (.+?), but got (\S+?)\.", text)
    if "CHARSET" not in text or found is None:
        return None
    try:
        codecs.lookup(found[2])
        known = True
    except LookupError:
        known = False
    setting = 'Set "spark.sql.legacy.javaCharsets" = "true" in [spark], or save the files as UTF-8.'
    return Cause(
        "",
        f"Spark does not read the encoding {found[2]}" + (" with its default settings" if known else ""),
        f"one of {found[1]}",
        setting if known else "Correct the option `encoding`, or save the files as UTF-8.",
        said=False,
    )
