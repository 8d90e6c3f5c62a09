"""The combined rank of an item for a user: its weights and its one definition.

    logit = (theta_j . x_i + b_j + boost_ij) * scale     scale = 1 / temperature
    raw   = w_cos * cos(x_i, y_j) + w_ce * logit
    score = w_cos * cos(x_i, y_j) + w_ce * (logit - log Z) = raw - w_ce * log Z

The cosine is 0 where a vector is zero. log Z is the same for all items of a user, so the best items by ``raw`` are also
the best by ``score``. The formula exists in four forms, because no form can run the code of another:

- ``float32`` screens items on the CPU;
- ``float64`` decides between the few that are left, exactly;
- ``gpu`` screens items on a GPU;
- ``scoring/rank.py`` builds the columns of Spark SQL.

The tests compare each form with one oracle, ``tests/scoring/rank_oracle.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from recsys_spark.numerics.machine_code import inlined

if TYPE_CHECKING:
    from recsys_spark.config.sections import Score


class Rank(NamedTuple):
    """The weights of the combined rank; compiled code reads the fields."""

    w_cos: float = 1.0
    """Weight of the cosine."""
    w_ce: float = 1.0
    """Weight of the logit, and so of log P."""
    scale: float = 1.0
    """1 / temperature: what a logit is multiplied by."""
    log_z: bool = True
    """Whether log Z is computed. Lists are the same without it."""

    @staticmethod
    def of(score: Score) -> Rank:
        """Return the weights of a configuration; an unset ``w_cos`` is 1."""
        w_cos = 1.0 if score.w_cos is None else score.w_cos
        return Rank(w_cos, score.w_ce, 1 / score.temperature, score.normalise != "none")

    @property
    def w_product(self) -> float:
        """Weight of theta . x + b before it is scaled."""
        return self.w_ce * self.scale


def combined(rank: Rank, cosine: Any, logit: Any) -> Any:
    """Return ``w_cos * cosine + w_ce * logit`` of numbers, arrays or columns; the score where ``logit`` is log P.

    >>> combined(Rank(w_cos=0.5, w_ce=2.0), 1.0, -3.0)
    -5.5
    """
    return rank.w_cos * cosine + rank.w_ce * logit


exact_raw = inlined()(combined)
"""The same on float64 numbers, for compiled code."""


def less_log_z(rank: Rank, raw: Any, log_z: Any) -> Any:
    """Return the score ``raw - w_ce * log_z`` of numbers, arrays or columns.

    >>> less_log_z(Rank(w_ce=2.0), 1.5, 3.0)
    -4.5
    """
    return raw - rank.w_ce * log_z
