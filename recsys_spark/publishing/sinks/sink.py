"""What a sink is: it makes the lists of a date visible, all at once, in place of the earlier ones of that date."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pyspark.sql import DataFrame


class Sink(Protocol):
    """A place that readers take published lists from. tests/publishing/sink_contract.py has what each sink promises."""

    def publish(self, run_date: str, lists: DataFrame, manifest: Mapping[str, Any]) -> str:
        """Replace the lists of a date, and no others, and return where they are.

        ``lists`` are RECOMMENDATIONS. A reader sees the earlier lists or all of the new ones, also after a failure.
        """

    def published(self, run_date: str) -> DataFrame:
        """Return the lists of a date, RECOMMENDATIONS. Raises StoreError where there are none."""

    def manifest(self, run_date: str) -> dict[str, Any] | None:
        """Return the manifest that was published with the lists of a date, or None."""

    def path(self, run_date: str) -> str:
        """Return where the lists of a date are read."""

    def recover(self, run_date: str) -> None:
        """Finish or undo what a crash left half-done for a date; a run calls it before its first stage."""
