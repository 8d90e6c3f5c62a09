"""The type of a re-ranking rule: it changes the ranks of a user's candidates, or the number of them that stay."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import DataFrame

from recsys_spark.config.sections import MAX_PER_USER, Config

RULE_COLUMNS = ("user_id", "rank", "item_id", "score", "cosine", "log_prob", "source", "category", "labels")
"""Columns that a rule receives and returns: CANDIDATES, the item's category, and its labels (category and tags)."""


def just_enough(cfg: Config) -> int:
    """Return `run.top_n`: the candidates that a rule needs which never brings up an item from below."""
    return cfg.run.top_n


def oversampled(cfg: Config) -> int:
    """Return `score.oversample` times `run.top_n`: the candidates that a rule needs which chooses among more."""
    return min(math.ceil(cfg.run.top_n * cfg.score.oversample), MAX_PER_USER)


@dataclass(frozen=True)
class Rule:
    """One re-ranking rule.

    ``apply`` keeps the promises of ``RuleContract`` in the tests. Ranks of a user run from 1 without gaps. Items that
    the rule treats alike keep their order. No list becomes shorter than `run.top_n` by the rule. Partitions do not
    matter.
    """

    name: str
    settings: tuple[str, ...]
    """Dotted configuration keys that the rule reads; the stages `score` and `rerank` declare them, too."""
    is_on: Callable[[Config], bool]
    """Returns whether the configuration asks for the rule."""
    apply: Callable[[DataFrame, Config], DataFrame]
    """Rows of RULE_COLUMNS -> rows of RULE_COLUMNS."""
    candidates: Callable[[Config], int] = just_enough
    """Returns how many candidates per user the rule needs."""
