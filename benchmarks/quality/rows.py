"""The rows of the quality benchmark: figures with intervals, paired differences, and the values behind them on disk."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.common.ledger import Row
from benchmarks.quality.baselines import TEXT_NEIGHBOURS
from benchmarks.quality.metrics import (
    AMONG_COLD,
    COLD_IN_LIST,
    COLD_USERS,
    OVERALL,
    SEGMENTS,
    SHOWN,
    Values,
    interval,
    paired_difference,
    replicate_means,
)
from benchmarks.quality.ours import OURS
from benchmarks.quality.texts import CACHE

FIGURE, DIFFERENCE = "figure", "difference"
Ids = npt.NDArray[np.object_]


def figure_rows(values: Mapping[str, Values], user_ids: Ids, **facts: object) -> list[Row]:
    """Return a row for each segment that has users; ``facts`` go into each."""
    rows = []
    for segment, some in values.items():
        if len(some.users):
            low, high = interval(replicate_means(some, user_ids))
            row = {"kind": FIGURE, **facts, "segment": segment, "n_users": len(some.users)}
            rows.append(row | _named(some.means, low, high))
    return rows


def difference_rows(method: str, rival: str, values: Mapping[str, dict[str, Values]], user_ids: Ids) -> list[Row]:
    """Return paired differences, ``method`` minus ``rival``, by segment, also as shares of the rival's figure."""
    rows = []
    for segment in SEGMENTS:
        mine, other = values[method][segment], values[rival][segment]
        if not len(mine.users):
            continue
        mean, low, high = paired_difference(mine, other, user_ids)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = mean / other.means
        row = {"kind": DIFFERENCE, "method": method, "rival": rival, "segment": segment, "n_users": len(mine.users)}
        row |= _named(mean, low, high)
        row |= {
            f"{name}_relative": float(share) if np.isfinite(share) else None
            for name, share in zip(SHOWN, relative, strict=True)
        }
        rows.append(row)
    return rows


def _named(mean: np.ndarray, low: np.ndarray, high: np.ndarray) -> Row:
    row: Row = {}
    for number, name in enumerate(SHOWN):
        row |= {name: float(mean[number]), f"{name}_low": float(low[number]), f"{name}_high": float(high[number])}
    return row


def store_values(label: str, method: str, values: Mapping[str, Values], folder: Path = CACHE) -> None:
    """Keep each user's metrics, so that a later run can pair its own with them."""
    name = re.sub(r"[^\w.=-]+", "_", method)
    path = folder / "values" / label / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray] = {"method": np.array(method)}
    for number, segment in enumerate(SEGMENTS):
        arrays |= {f"users_{number}": values[segment].users, f"values_{number}": values[segment].values}
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def load_values(label: str, folder: Path = CACHE) -> dict[str, dict[str, Values]]:
    """Return the values of every method that was ever run on the split of that label."""
    found = {}
    for path in sorted((folder / "values" / label).glob("*.npz")):
        with np.load(path) as arrays:
            found[str(arrays["method"])] = {
                segment: Values(arrays[f"users_{number}"], arrays[f"values_{number}"])
                for number, segment in enumerate(SEGMENTS)
            }
    return found


def replaced(old: Sequence[Row], protocol: str, rows: Sequence[Row], user_ids: Ids, cache: Path = CACHE) -> list[Row]:
    """Return a data set's ``old`` rows with those of one method replaced, and the protocol's differences made anew.

    Differences are made only between methods whose figures are of the same split.
    """
    [method], [label] = {row["method"] for row in rows}, {row["label"] for row in rows}
    others = [row for row in old if row["protocol"] != protocol]
    others += [row for row in old if row["protocol"] == protocol and _stays(row, method)]
    figures = [*(row for row in others if row["protocol"] == protocol), *rows]
    methods = list(dict.fromkeys(row["method"] for row in figures if row["label"] == label))
    values = {name: some for name, some in load_values(label, cache).items() if name in methods}
    differences = [
        {"protocol": protocol, "label": label, **row}
        for one in methods
        for other in methods
        if is_ours(one) and one != other and {one, other} <= set(values)
        for row in difference_rows(one, other, values, user_ids)
    ]
    return [*others, *rows, *differences]


def _stays(row: Row, method: str) -> bool:
    return bool(row["kind"] != DIFFERENCE and row["method"] != method)


def is_ours(method: str) -> bool:
    """Return whether the method is ours or one of its ablations.

    >>> is_ours("ours:w_cos=0"), is_ours("EASE")
    (True, False)
    """
    return method.partition(":")[0] == OURS


def best_rival(rows: Sequence[Row], segment: str) -> str | None:
    """Return the baseline of highest ndcg among the figures of one protocol; None if there is none.

    For segments of cold items it is text neighbours: a method of ids orders cold items by their ids.

    >>> best_rival([{"kind": "figure", "method": "EASE", "segment": "overall", "ndcg": 0.1}], "overall")
    'EASE'
    """
    known = [row for row in rows if row["kind"] == FIGURE and row["segment"] == segment and not is_ours(row["method"])]
    if segment in {COLD_IN_LIST, AMONG_COLD}:
        known = [row for row in known if row["method"] == TEXT_NEIGHBOURS]
    return str(max(known, key=lambda row: float(row["ndcg"]))["method"]) if known else None


def main_segment(rows: Sequence[Row]) -> str:
    """Return OVERALL; COLD_USERS if whole users were hidden."""
    return OVERALL if any(row["segment"] == OVERALL for row in rows) else COLD_USERS
