"""The account of a source: every row that was read is accepted, rejected or filtered, and the sum is right."""

from __future__ import annotations

from dataclasses import dataclass

from recsys_spark.errors import DataError


@dataclass(frozen=True)
class Account:
    """What became of the rows of one source, or of the side of one join.

    ``read + reshaped = filtered + rejected + accepted``
    """

    source: str
    """Its place in the configuration, such as `sources.items[1].join`."""
    read: int
    """Rows that the reader gave."""
    filtered: int
    """Rows that do not meet `where`."""
    rejected: int
    """Rows that are in rejected_rows."""
    accepted: int
    """Rows that are used."""
    reshaped: int = 0
    """Rows that `group_by`, a generator or a join added; below 0 where they made several rows one."""

    def check(self, *, may_reshape: bool, n_rows: int | None) -> None:
        """Raise DataError where rows are lost or invented. ``n_rows``: rows by another count, such as footers."""
        if n_rows is not None and n_rows != self.read:
            raise does_not_add_up(self.source, f"{n_rows:,} rows in the files, {self.read:,} rows read")
        used = self.filtered + self.rejected + self.accepted
        if self.read + self.reshaped != used or (self.reshaped and not may_reshape):
            raise does_not_add_up(self.source, f"{self.read:,} rows read, {used:,} rows accounted for")


def does_not_add_up(where: str, found: str) -> DataError:
    """Return the error for rows of which nobody knows what became."""
    return DataError(
        "The rows of a source do not add up",
        where=where,
        found=found,
        expected="every row read to be accepted, rejected, filtered or merged",
        action="Check that nobody writes to the source meanwhile, and run again. If it stays, please report it.",
    )
