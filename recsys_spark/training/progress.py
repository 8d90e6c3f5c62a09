"""Progress of a training as its task prints it: a line after each epoch, and a bar if the terminal belongs to this
machine.

The driver cannot see into a running task. In local mode the task's standard error is on the driver's terminal: the JVM
passes it on byte for byte. On a cluster it is in the executor's log, where a bar would only make noise.
"""

from __future__ import annotations

import sys
from typing import TextIO

from tqdm import tqdm

from recsys_spark.model.kernels.epochs import EpochLoss, TrialEpoch
from recsys_spark.training.kernels.run import Step

BAR_COLUMNS = 100


class TrainingProgress:
    """Prints every step and epoch that it is told of."""

    def __init__(self, *, bar: bool, stream: TextIO | None = None) -> None:
        self._stream, self._drawn = stream or sys.stderr, bar
        self._bar: tqdm[None] | None = None
        self._ndcg: float | None = None
        self.muted = False
        """Of several tasks only one speaks"""

    def step(self, step: Step) -> None:
        """Move the bar; each run has its own bar."""
        if not self._drawn or self.muted:
            return
        if self._bar is None or step.done < self._bar.n or step.of != self._bar.total:
            self.close()
            self._bar = tqdm(
                total=step.of,
                initial=step.done - 1,
                desc="train",
                unit=" steps",
                file=self._stream,
                ncols=BAR_COLUMNS,
                leave=False,
            )
        said = f"loss {step.loss:.3f}" + ("" if self._ndcg is None else f", held-out ndcg {self._ndcg:.4f}")
        self._bar.set_postfix_str(said, refresh=False)
        self._bar.update()

    def epoch(self, entry: EpochLoss | TrialEpoch) -> None:
        """Write a line for an epoch."""
        loss = entry.loss if isinstance(entry, TrialEpoch) else entry
        if isinstance(entry, TrialEpoch) and entry.found:
            self._ndcg = entry.found.ndcg
        n_left = loss.of - loss.epoch
        left = f", about {tqdm.format_interval(n_left * loss.seconds)} left of this run" if n_left else ""
        self.say(f"{entry.line()}{left}")

    def say(self, text: str) -> None:
        """Write another line, above the bar if there is one."""
        if self.muted:
            return
        line = f"train: {text}"
        if self._bar is None:
            print(line, file=self._stream, flush=True)
        else:
            tqdm.write(line, file=self._stream)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
