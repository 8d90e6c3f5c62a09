"""What every gate promises. A test class of a gate inherits this one and says what holds and what does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import pytest

from recsys_spark.config.sections import Publish
from recsys_spark.errors import PublishRefused
from recsys_spark.publishing.gates import GATES, Night, check_gates
from recsys_spark.publishing.list_facts import ListFacts

LISTS = ListFacts(n_users=10, n_lists=10, n_full=10, n_bad_scores=0)
NIGHT = Night(LISTS, {}, n_rejected=0, n_input=100)


class GateContract:
    """Holds at its bound, refuses just beyond it, tells its value and bound; its key is one of `[publish]`."""

    gate: ClassVar[str]
    """Its name in GATES."""
    told: ClassVar[str]
    """What the manifest says at the bound."""
    cfg: ClassVar[dict[str, Any]] = {}
    at_bound: ClassVar[dict[str, Any]]
    """Parts of a night, laid over one without faults; parts of ListFacts stand below `lists`."""
    beyond: ClassVar[dict[str, Any]]

    def night(self, parts: dict[str, Any]) -> Night:
        return replace(NIGHT, **{**parts, "lists": replace(LISTS, **parts.get("lists", {}))})

    def test_it_holds_at_its_bound_and_says_so(self) -> None:
        assert self.told in check_gates(Publish(**self.cfg), self.night(self.at_bound))

    def test_it_refuses_beyond_its_bound_and_says_why(self) -> None:
        with pytest.raises(PublishRefused) as caught:
            check_gates(Publish(**self.cfg), self.night(self.beyond))
        name = self.told.partition(":")[0]
        assert caught.value.where == name
        assert str(caught.value.expected) == f"{name} {' '.join(self.told.split()[-2:])}"
        assert str(caught.value.found).startswith(f"{name} = ")

    def test_its_key_is_one_of_the_configuration(self) -> None:
        key = GATES[self.gate].key
        assert key is None or key in Publish.model_fields
        assert key is None or self.told.startswith(f"publish.{key}")
