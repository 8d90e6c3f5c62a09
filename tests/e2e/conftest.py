"""Every run of the pipeline here checks that each step reads only the settings that its stage declares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.steps.recording import check_every_stage


@pytest.fixture(scope="package", autouse=True)
def walks() -> Iterator[set[tuple[str, bool]]]:
    """(stage, whether in a backtest) of every step that has run under the check."""
    with pytest.MonkeyPatch.context() as patch:
        yield check_every_stage(patch)
