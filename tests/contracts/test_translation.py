"""README.md and README.zh-CN.md say the same: headings, code blocks, links, figures and tables."""

from __future__ import annotations

import re

import pytest

from tests.markdown import ROOT, blocks, headings, links, prose

ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")


def differences(english: str, chinese: str) -> list[str]:
    """What the two pages do not share, in words."""
    # Each page links to the other one.
    ours, theirs = ([link for link in links(text) if not link.startswith("README")] for text in (english, chinese))
    figures, other_figures = (re.findall(r"[+-]?\d[\d.,]*\d%?", " ".join(tables(text))) for text in (english, chinese))
    pairs = {
        "levels of headings": ([h.level for h in headings(english)], [h.level for h in headings(chinese)]),
        "code blocks": (blocks(english), blocks(chinese)),
        "links": (ours, theirs),
        "code in the text": (set(names(english)), set(names(chinese))),
        "rows of tables": (len(tables(english)), len(tables(chinese))),
        "figures of tables": (figures, other_figures),
    }
    return [name for name, (left, right) in pairs.items() if left != right]


def tables(text: str) -> list[str]:
    return re.findall(r"^\|.*\|$", prose(text), re.MULTILINE)


def names(text: str) -> list[str]:
    return re.findall(r"`[^`\n]+`", prose(text))


def test_both_readmes_say_the_same() -> None:
    assert differences(ENGLISH, CHINESE) == []


def test_each_readme_links_to_the_other() -> None:
    assert "README.zh-CN.md" in links(ENGLISH)
    assert "README.md" in links(CHINESE)


def test_the_translation_is_chinese() -> None:
    chinese = [h.text for h in headings(CHINESE)[1:]]
    assert chinese
    assert [text for text in chinese if not re.search("[\u4e00-\u9fff]", text)] == []


@pytest.mark.parametrize(
    ("found", "instead", "noticed"),
    [
        ("\n## ", "\n### ", "levels of headings"),
        ("make test\n", "make tests\n", "code blocks"),
        ("](docs/mlflow.md)", "](docs/tuning.md)", "links"),
        ("`publish`", "`published`", "code in the text"),
        ("+47%", "+48%", "figures of tables"),
        ("|---|---|---|---|---|\n", "", "rows of tables"),
    ],
)
def test_a_drift_is_noticed(found: str, instead: str, noticed: str) -> None:
    assert found in CHINESE
    assert noticed in differences(ENGLISH, CHINESE.replace(found, instead, 1))
