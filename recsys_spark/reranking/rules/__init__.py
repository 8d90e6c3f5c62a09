"""The re-ranking rules, in the order in which they are applied.

To add a rule, write a file next to ``category_cap.py`` that exports a ``RULE``, and name it in ``RULES`` below. Its
keys go into ``config/sections.py``. A test class that inherits ``RuleContract`` (``tests/reranking/rule_contract.py``)
checks it.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame

from recsys_spark.config.sections import Config
from recsys_spark.reranking.rules import category_cap, top_n
from recsys_spark.reranking.rules.rule import Rule

RULES: tuple[Rule, ...] = (category_cap.RULE, top_n.RULE)


def apply_rules(candidates: DataFrame, cfg: Config, rules: Sequence[Rule] = RULES) -> DataFrame:
    """Return the rows of RULE_COLUMNS after every rule that the configuration switches on."""
    for rule in rules:
        if rule.is_on(cfg):
            candidates = rule.apply(candidates, cfg)
    return candidates


def candidates_needed(cfg: Config, rules: Sequence[Rule] = RULES) -> int:
    """Return how many candidates per user scoring must find, so that every rule has enough to choose from."""
    return max([cfg.run.top_n, *(rule.candidates(cfg) for rule in rules if rule.is_on(cfg))])


def with_settings(*declared: str, rules: Sequence[Rule] = RULES) -> tuple[str, ...]:
    """Return the keys that a stage declares, and those keys of the rules that lie in none of them."""
    keys = dict.fromkeys(key for rule in rules for key in rule.settings)
    others = (key for key in keys if not any(f"{key}.".startswith(f"{name}.") for name in declared))
    return (*declared, *others)
