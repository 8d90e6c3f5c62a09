"""Runs ingest on spoiled shops, many in one run, and compares what was stored with what must be."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from recsys_spark.config.file import parse_config
from recsys_spark.errors import RecsysError
from recsys_spark.pipeline import run_pipeline
from tests.slow.dirt import sums
from tests.slow.dirt.fault import FILES, Case, Read, Refused, Rejected, Work
from tests.slow.dirt.files import arrow, put
from tests.slow.dirt.shop import COLUMNS, RUN_DATE, STORED, TABLES, Row, cells, clean_rows, plain, stored

SEED = 18
POOL = 40
"""Cases in one run: more cost Spark longer plans, fewer cost more runs."""


@dataclass
class Verdict:
    """What came of a case."""

    case: Case
    complaints: list[str] = field(default_factory=list)
    """Empty where it came out as it must."""
    stopped: BaseException | None = None


@dataclass
class _Shop:
    """The sources of one run, and what must come of them."""

    sources: dict[str, list[Mapping[str, Any]]]
    accepted: dict[str, list[Row]]
    rejected: list[tuple[Case, str, str, Sequence[str]]]
    """(case, table, reason, words that the rejected text holds)."""


def run_cases(spark: SparkSession, chosen: Sequence[Case], folder: Path) -> Iterator[Verdict]:
    """Run cases: those that may be are pooled; where a pool stops, each of its cases runs alone."""
    pooled = [case for case in chosen if case.pooled]
    for at in range(0, len(pooled), POOL):
        yield from _pool(spark, pooled[at : at + POOL], folder / f"pool-{at}")
    for case in chosen:
        if not case.pooled:
            yield _alone(spark, case, folder / case.prefix)


def _pool(spark: SparkSession, pool: Sequence[Case], folder: Path) -> Iterator[Verdict]:
    if not pool:
        return
    verdicts = _run(spark, pool, folder)
    if len(pool) == 1 or all(verdict.stopped is None for verdict in verdicts):
        yield from verdicts
        return
    print(f"{len(pool)} cases in one run stopped, now one after another: {verdicts[0].stopped}")
    for case in pool:
        yield _alone(spark, case, folder / case.prefix)


def _alone(spark: SparkSession, case: Case, folder: Path) -> Verdict:
    with _settings(spark, case.fault.settings):
        [verdict] = _run(spark, [case], folder)
    return verdict


@contextmanager
def _settings(spark: SparkSession, settings: Mapping[str, str]) -> Iterator[None]:
    before = {name: spark.conf.get(name, None) for name in settings}
    for name, value in settings.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, old in before.items():
            spark.conf.unset(name) if old is None else spark.conf.set(name, old)


def _run(spark: SparkSession, pool: Sequence[Case], folder: Path) -> list[Verdict]:
    shop = _write(pool, folder)
    verdicts = {case.number: Verdict(case) for case in pool}
    log = _Log()
    try:
        with log:
            ctx = run_pipeline(spark, _config(shop, folder), RUN_DATE, stages=("ingest",))
    except Exception as error:
        for verdict in verdicts.values():
            verdict.stopped = error
            verdict.complaints += _complaints_of_error(verdict.case, error)
        return list(verdicts.values())
    for case in pool:
        if isinstance(case.fault.outcome, Refused):
            verdicts[case.number].complaints.append("was not refused")
        elif isinstance(case.fault.outcome, Read) and case.fault.outcome.warns not in log.text:
            verdicts[case.number].complaints.append(f"no warning with: {case.fault.outcome.warns}")
    manifest = ctx.area.finished("ingest")
    n_rows = {
        name: pq.read_table(f"{manifest.attempt}/{name}").num_rows for name in [*STORED.values(), "rejected_rows"]
    }
    wrong_sums = (("", complaint) for complaint in sums.complaints(manifest.facts, n_rows, STORED))
    for blamed, complaint in [*_differences(shop, Path(manifest.attempt)), *wrong_sums]:
        for case in pool:
            if case.prefix in blamed or len(pool) == 1:
                verdicts[case.number].complaints.append(complaint)
                break
        else:
            for verdict in verdicts.values():
                verdict.complaints.append(f"in this pool: {complaint}")
    return list(verdicts.values())


def _config(shop: _Shop, folder: Path) -> Any:
    return parse_config(
        {
            "run": {"store": str(folder / "store"), "top_n": 5},
            "sources": {name: sources for name, sources in shop.sources.items() if sources},
            "behaviours": {"weights": {"view": 1.0, "buy": 4.0}},
            "encoder": {"model": str(folder / "no-encoder")},
            "evaluate": {"enabled": False, "k": [5]},
        }
    )


def _write(pool: Sequence[Case], folder: Path) -> _Shop:
    """Write the spoiled sources, and one clean source per table with the rows of all other cases."""
    shop = _Shop({name: [] for name in TABLES}, {name: [] for name in TABLES}, [])
    clean: dict[str, list[Row]] = {name: [] for name in TABLES}
    for case in pool:
        for name in TABLES:
            if name != case.fault.table:
                clean[name] += clean_rows(name, "" if case.fault.alone else case.prefix, SEED)
        _spoil(case, folder, shop, clean)
    for name in TABLES:
        shop.accepted[name] += clean[name]
        if clean[name]:
            path = put(folder / f"{name}.parquet", arrow([cells(name, row) for row in clean[name]]))
            shop.sources[name].append({"format": "parquet", "path": str(path), "columns": COLUMNS[name]})
    return shop


def _spoil(case: Case, folder: Path, shop: _Shop, clean: dict[str, list[Row]]) -> None:
    fault, name = case.fault, case.fault.table
    rows = clean_rows(name, "" if fault.alone else case.prefix, SEED)
    work = Work(folder / f"{case.prefix}source", name, rows, case.spread, case.format, random.Random(SEED))
    shop.sources[name].append(fault.make(work))
    lost = work.lost
    if isinstance(fault.outcome, Rejected):
        lost = lost or {n: _ids(work.rows[n]) for n in work.chosen}
        shop.rejected += [(case, name, fault.outcome.reason, words) for words in lost.values()]
    shop.accepted[name] += [row for n, row in enumerate(work.rows) if n not in lost]
    for other, more in work.extra.items():
        clean[other] += more


def _ids(row: Row) -> list[str]:
    return [row[name] for name in ("user_id", "item_id", "friend_id") if name in row]


def _differences(shop: _Shop, attempt: Path) -> Iterator[tuple[str, str]]:
    """Yield (text that names the case to blame, complaint)."""
    expected, unknown = stored(shop.accepted)
    for name in STORED.values():
        found = Counter(map(plain, _rows(attempt / name)))
        for text in _few((found - expected[name]).elements()):
            yield text, f"{name} has too much: {text}"
        for text in _few((expected[name] - found).elements()):
            yield text, f"{name} lacks: {text}"
    rows = _rows(attempt / "rejected_rows")
    wanted = [(name, reason, words) for _, name, reason, words in shop.rejected]
    wanted += [("behaviours", reason, (user,)) for reason, user in unknown.elements()]
    left = list(rows)
    for name, reason, words in wanted:
        fitting = (r for r in left if (r["table"], r["reason"]) == (name, reason) and all(w in r["row"] for w in words))
        row = next(fitting, None)
        if row is None:
            yield str(words), f"no rejected row {name}.{reason} with {words}"
        else:
            left.remove(row)
    for row in left:
        yield row["row"], f"rejected without need: {row}"


def _rows(path: Path) -> list[Row]:
    """Return the rows of a stored table; bytes of text that are not UTF-8 are shown with backslashes."""
    table = pq.read_table(path)
    for at, name in enumerate(table.column_names):
        if pa.types.is_string(table.schema.types[at]):
            values = table[name].cast(pa.binary()).to_pylist()
            shown = [None if value is None else value.decode(errors="backslashreplace") for value in values]
            table = table.set_column(at, name, pa.array(shown, pa.string()))
    return table.to_pylist()


def _few(texts: Iterator[str], n: int = 200) -> list[str]:
    return sorted(texts)[:n]


def _complaints_of_error(case: Case, error: Exception) -> list[str]:
    outcome = case.fault.outcome
    said = f"{type(error).__name__}: {error}"
    if not isinstance(outcome, Refused):
        return [f"stopped: {said}"]
    right = (
        type(error).__name__ == outcome.kind and isinstance(error, RecsysError) and error.exit_code == outcome.status
    )
    # Where the first file is the odd one, the second is the first that differs.
    file = "part-" if case.spread == FILES[0] else f"part-{FILES.index(case.spread) if case.spread in FILES else 1}"
    words = [word.format(table=case.fault.table, file=file) for word in outcome.words]
    lacking = [word for word in words if word.lower() not in str(error).lower()]
    complaints = [] if right else [f"refused by another error: {said}"]
    return complaints + ([f"the message lacks {lacking}: {said}"] if lacking else [])


class _Log(logging.Handler):
    """What the job warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.text += record.getMessage() + "\n"

    def __enter__(self) -> _Log:
        logging.getLogger("recsys_spark").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("recsys_spark").removeHandler(self)
