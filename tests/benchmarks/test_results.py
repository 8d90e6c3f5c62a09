"""The published reports are what the code makes of the published rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest

from benchmarks.common.ledger import RESULTS, Ledger, Row
from benchmarks.encode.__main__ import ENCODE
from benchmarks.quality import report as quality
from benchmarks.score.__main__ import SCORE
from benchmarks.train.__main__ import TRAIN

BENCHMARKS = [(made.ledger, made.report) for made in (SCORE, ENCODE, TRAIN)]


@pytest.mark.parametrize(("ledger", "report"), [*BENCHMARKS, (quality.LEDGER, quality.report)])
def test_a_published_report_is_made_of_the_published_rows(
    ledger: Ledger, report: Callable[[Sequence[Row]], str]
) -> None:
    published = (RESULTS / f"{ledger.name}.md").read_text()
    assert report(ledger.load(RESULTS)) == published
    assert not re.search(r"\b(aim|target|targets|missed)\b", published, re.I), "results are not graded"
