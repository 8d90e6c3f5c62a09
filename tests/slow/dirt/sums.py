"""Checks the accounts in the manifest of ingest against what is stored: no row is lost, and none invented."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def complaints(facts: Mapping[str, Any], n_rows: Mapping[str, int], stored: Mapping[str, str]) -> Iterator[str]:
    """Yield what does not add up.

    ``n_rows``: rows of each stored table, counted by the reader of the files. ``stored``: contract table -> stored one.
    """
    for one in facts["sources"]:
        if one["read"] + one["reshaped"] != one["filtered"] + one["rejected"] + one["accepted"]:
            yield f"the account of a source does not add up: {one}"
    for one in facts["tables"]:
        used = one["stored"] + one["merged"] + one["rejected"] + one["later"] + one["hidden"]
        if one["accepted"] + one["added"] != used or one["stored"] != n_rows[stored[one["table"]]]:
            yield f"the account of a table does not add up: {one}"
    rejected = sum(one["rejected"] for one in [*facts["sources"], *facts["tables"]])
    if rejected != n_rows["rejected_rows"]:
        yield f"{rejected} rows are rejected by the accounts, {n_rows['rejected_rows']} are stored"
