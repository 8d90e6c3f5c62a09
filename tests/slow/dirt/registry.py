"""All faults by family: the one list that the slow test runs and that docs/dirty-data.md shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.slow.dirt import (
    columnar,
    csv_files,
    csv_rows,
    encodings,
    json_files,
    keys,
    partitions,
    shapes,
    times,
    values,
)
from tests.slow.dirt.fault import Case, Fault, cases

FAMILIES: Mapping[str, Sequence[Fault]] = {
    "Key expressions": keys.FAULTS,
    "Expressions of times that raise": times.FAULTS,
    "Other expressions that raise": values.FAULTS,
    "Rows of CSV files": csv_rows.FAULTS,
    "CSV files and folders": csv_files.FAULTS,
    "JSON": json_files.FAULTS,
    "Parquet and ORC": columnar.FAULTS,
    "Partition folders": partitions.FAULTS,
    "Encodings": encodings.FAULTS,
    "Ids, duplicates, joins, groups, text files": shapes.FAULTS,
}
"""Heading -> faults."""


def all_cases(*, every_spread: bool) -> list[Case]:
    """Return every fault, in its first spread or in every one."""
    found = cases([fault for faults in FAMILIES.values() for fault in faults])
    first = [case for n, case in enumerate(found) if n == 0 or found[n - 1].fault is not case.fault]
    return found if every_spread else first
