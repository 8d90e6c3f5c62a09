"""`recsys-spark encoders`: measures which encoder and backend suit this machine and these data."""

from __future__ import annotations

import logging
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from pyspark.sql import SparkSession

from recsys_spark.config.encoder import Encoder
from recsys_spark.config.sections import Config
from recsys_spark.encoder_choice import measurement
from recsys_spark.encoder_choice.candidates import labels
from recsys_spark.encoder_choice.inputs import profile_inputs
from recsys_spark.encoder_choice.measurement import Measurement
from recsys_spark.encoder_choice.sample import Sample, draw_sample
from recsys_spark.encoder_choice.verdict import Quality, Verdict, qualities, verdict
from recsys_spark.encoding.files.identity import resolve_encoder
from recsys_spark.encoding.kernels.spec import EncoderSpec
from recsys_spark.encoding.provision import provide
from recsys_spark.errors import EncoderError, RecsysError
from recsys_spark.spark.gpus import on_gpus
from recsys_spark.spark.session import task_threads
from recsys_spark.spark.startup import SAFE_PATH
from recsys_spark.worker.threads import THREAD_VARIABLES

log = logging.getLogger("recsys_spark")


@dataclass
class Measured:
    """A candidate with the measurements of its processes, or the reason why it could not be measured."""

    name: str
    encoder: Encoder
    spec: EncoderSpec | None = None
    measurements: list[Measurement] = field(default_factory=list)
    error: str | None = None
    quality: Quality | None = None

    @property
    def texts_per_s(self) -> float:
        """Median of the rounds."""
        return statistics.median(one.n_texts / one.seconds for one in self.measurements)

    @property
    def tokens_per_s(self) -> float:
        """Median of the rounds; padding is not counted."""
        return statistics.median(one.n_tokens / one.seconds for one in self.measurements)

    @property
    def spread(self) -> float:
        """Difference between the fastest and the slowest round, as a share of the median."""
        seconds = [one.seconds for one in self.measurements]
        return (1 / min(seconds) - 1 / max(seconds)) * statistics.median(seconds)

    @property
    def load_s(self) -> float:
        """Median of the rounds."""
        return statistics.median(one.load_s for one in self.measurements)

    @property
    def memory_bytes(self) -> int:
        """Largest of the rounds."""
        return max(one.memory_bytes for one in self.measurements)


@dataclass(frozen=True)
class Comparison:
    """All candidates on one sample."""

    rows: list[Measured]
    verdict: Verdict
    sample: Sample
    run_date: str
    n_threads: int


@dataclass(frozen=True)
class Sizes:
    """Sizes of the sample."""

    n_texts: int = 2_000
    n_users: int = 1_000
    n_items: int = 5_000


@dataclass(frozen=True)
class Prepared:
    """The input of the measurements, without Spark."""

    rows: list[Measured]
    sample: Sample
    run_date: str
    n_threads: int
    needs_spark: bool
    """A model is in a folder that is deleted with the session."""


def prepare(spark: SparkSession, cfg: Config, candidates: Sequence[Encoder], run_date: date, sizes: Sizes) -> Prepared:
    """Find the candidates' models and draw the sample; raises RecsysError, but not for a single candidate."""
    rows, needs_spark = _found(spark, candidates)
    _at_least_one(rows)
    with profile_inputs(spark, cfg, run_date) as inputs:
        sample = draw_sample(
            inputs,
            cfg,
            as_of=datetime(run_date.year, run_date.month, run_date.day, tzinfo=UTC),
            n_texts=sizes.n_texts,
            n_users=sizes.n_users,
            n_items=sizes.n_items,
        )
    return Prepared(rows, sample, run_date.isoformat(), task_threads(spark), needs_spark)


def _found(spark: SparkSession, candidates: Sequence[Encoder]) -> tuple[list[Measured], bool]:
    """Return a row per candidate, with its spec or its error, and whether a model is deleted with the session."""
    found: dict[Encoder, EncoderSpec | str] = {}
    needs_spark = False
    for encoder in candidates:
        try:
            provided = provide(encoder, spark)
            spec = resolve_encoder(encoder, folder=provided.folder, on_gpu=on_gpus(spark, encoder.device))
        except RecsysError as error:
            found[encoder] = str(error)
            continue
        needs_spark = needs_spark or bool(provided.with_job)
        # By the backend that `auto` stands for, which may be a candidate as well.
        found[encoder.model_copy(update={"backend": spec.backend})] = spec
    rows = [
        Measured(name, encoder, error=spec) if isinstance(spec, str) else Measured(name, encoder, spec)
        for name, (encoder, spec) in zip(labels(list(found)), found.items(), strict=True)
    ]
    return rows, needs_spark


def compare(prepared: Prepared, n_rounds: int = 3) -> Comparison:
    """Measure the candidates, in a new process each round; raises EncoderError where none can be measured.

    Each round measures every candidate once, so that a busy minute of the machine does not hit only one of them.
    """
    rows, sample = prepared.rows, prepared.sample
    with tempfile.TemporaryDirectory(prefix="recsys-spark-encoders-") as name:
        folder = Path(name)
        measurement.write_inputs(folder, sample.texts, sample.probe)
        for number in range(n_rounds):
            for row in (row for row in rows if row.error is None):
                # The vectors are the same in every round, so one round is enough for the probe.
                _measure(row, folder, prepared.n_threads, probed=number == 0 and sample.probe.n_users > 0)
                log.info("encoders: %s, round %d of %d %s", row.name, number + 1, n_rounds, _outcome(row))
    _at_least_one(rows)
    measured = [row for row in rows if row.error is None]
    speeds = [row.texts_per_s for row in measured]
    found = qualities([row.measurements[0].ranks or [] for row in measured], speeds, sample.user_hashes)
    for row, quality in zip(measured, found, strict=False):
        row.quality = quality
    decided = verdict([row.name for row in measured], speeds, found, sample.probe.n_users, sample.remedy)
    chosen = None if decided.chosen is None else rows.index(measured[decided.chosen])
    return Comparison(rows, Verdict(chosen, decided.sentence), sample, prepared.run_date, prepared.n_threads)


def _measure(row: Measured, folder: Path, n_threads: int, *, probed: bool) -> None:
    """Run one process and add its measurement, or its error, to the row."""
    assert row.spec is not None
    measurement.write_task(folder, row.spec, n_threads=n_threads, probed=probed)
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(n_threads))
    # An empty entry would mean the working directory, as `-m` does without SAFE_PATH.
    environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), SAFE_PATH: "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", measurement.__name__, str(folder)]
    ended = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    result = measurement.read_result(folder)
    if isinstance(result, Measurement):
        row.measurements.append(result)
    else:
        row.error = result or _died(ended.returncode, ended.stderr.decode(errors="replace"))


def _died(status: int, said: str) -> str:
    """Return what happened to a process that left no result."""
    if status < 0:
        name = signal.Signals(-status).name
        return f"the process was ended by {name}" + (
            ", often because memory was exhausted" if name == "SIGKILL" else ""
        )
    return f"the process ended with status {status}: {(said.strip().splitlines() or ['it said nothing'])[-1]}"


def _outcome(row: Measured) -> str:
    return f"failed: {first_line(row.error)}" if row.error else f"({row.measurements[-1].seconds:.1f} s)"


def first_line(error: str) -> str:
    """Return the first line of an error, which fits into a table."""
    return error.splitlines()[0]


def _at_least_one(rows: Sequence[Measured]) -> None:
    if all(row.error for row in rows):
        raise EncoderError(
            "No candidate could be measured",
            where="--candidates",
            found="".join(f"\n    {row.name}: " + (row.error or "").replace("\n", "\n    ") for row in rows),
            expected="at least one encoder that can be loaded",
            action="Correct what the candidates' errors name.",
        )
