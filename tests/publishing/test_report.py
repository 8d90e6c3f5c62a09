"""The report: self-contained, escaped, complete, and readable for a run that lacks parts."""

from __future__ import annotations

import re
from dataclasses import asdict
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest

from recsys_spark.ingest.accounts import Account
from recsys_spark.ingest.sums import TableAccount
from recsys_spark.publishing.report import ReportInputs, render_report

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Outline(HTMLParser):
    """Collects tags, ids, attributes and text, and checks that tags are closed in order."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def metric(model: str, name: str, k: int, value: float, segment: str = "all") -> dict[str, Any]:
    bounds = (None, None) if name == "coverage" else (value * 0.9, value * 1.1)
    return {
        **{"model": model, "segment": segment, "metric": name, "k": k, "value": value, "n_users": 1234},
        **{"ci_low": bounds[0], "ci_high": bounds[1]},
    }


EVIL = '<script>alert("x")</script> & $\\frac$'


@pytest.fixture(scope="module")
def full() -> str:
    metrics = [
        metric(model, name, k, value, segment)
        for model, value in (("popularity", 0.07), ("recsys-spark", 0.1234), ("als", 0.09), (EVIL, 0.01))
        for name in ("coverage", "recall", "ndcg", "mrr", "hit_rate")
        for k in (20, 10)
        for segment in ("all", "light")
    ]
    item = {"rank": 1, "item_id": "i1", "title": EVIL, "score": -3.456, "reasons": [f"because of {EVIL}"]}
    event = {"title": EVIL, "behaviour": EVIL, "ts": "2025-12-31"}
    samples = [
        {
            "user_id": f"u{n} {EVIL}",
            "segment": "heavy",
            "source": "history",
            "interest_tags": [EVIL],
            "history": [event] * 30,
            "recommendations": [item],
        }
        for n in range(4)
    ]
    return render_report(
        ReportInputs(
            run_date="2026-01-01",
            as_of="2026-01-01T00:00:00Z",
            config_fingerprint="c0ffee",
            encoder_id="enc-1",
            model_id="model-1",
            row_counts={"interactions": 1234567, "recommendations": 200},
            rejected=[{"table": "items", "reason": "null_id", "count": 3}, {"table": EVIL, "reason": "x", "count": 9}],
            sources=[asdict(Account(f"sources.{EVIL}", 1234, 200, 30, 1000, reshaped=-4))],
            tables=[asdict(TableAccount(EVIL, 1000, 900, 70, 20, later=10))],
            timings={"ingest": 12.34, "embed": 75.0},
            metrics=metrics,
            losses=[{"epoch": n, "loss": 3 / n, "cross_entropy": 2.9 / n, "bce": 0.1 / n} for n in range(1, 9)],
            trial=[{"epoch": n, "ndcg": 0.1 - 0.01 * abs(n - 6)} for n in range(1, 9)],
            held_out={"ndcg": 0.0871},
            chosen="links count 3.0 times, w_cos is 0.80",
            samples=[*samples, {"user_id": "nobody", "history": None, "recommendations": [{**item, "reasons": None}]}],
        )
    )


def test_texts_are_escaped_wherever_they_stand(full: str) -> None:
    outline = Outline(full)
    assert outline.open == []
    assert "script" not in outline.tags
    assert outline.text.count('<script>alert("x")</script> & $\\frac$') >= 4 * (1 + 1 + 8 * 2 + 2), "shown as text"


def test_every_row_of_a_source_is_accounted_for(full: str) -> None:
    rows = [re.findall(r'<td class="num">([^<]+)</td>', row) for row in re.findall(r"<tr>.*?</tr>", full)]
    assert ["1,234", "-4", "200", "30", "1,000"] in rows
    assert ["1,000", "0", "10", "20", "70", "900"] in rows


def test_file_needs_nothing_from_outside_and_runs_nothing(full: str) -> None:
    outline = Outline(full)
    assert {"link", "img", "script", "iframe", "image"}.isdisjoint(outline.tags)
    assert all(link.startswith("#") for link in outline.links)
    assert set(re.findall(r"https?://[^\"' <]+", full)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "default-src 'none'" in full
    assert "@import" not in full
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", full))


def test_charts_are_named_for_screen_readers_and_ids_are_unique(full: str) -> None:
    outline = Outline(full)
    assert len(outline.ids) == len(set(outline.ids))
    charts = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", full, re.DOTALL)]
    assert len(charts) == 2
    for chart in charts:
        assert chart.get("role") == "img"
        names = {e.get("id"): e.text for e in chart.iter() if e.tag.split("}")[1] in ("title", "desc")}
        assert all(names[part] for part in str(chart.get("aria-labelledby")).split())
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', full))
    assert used <= set(outline.ids)


def test_the_trial_run_is_told(full: str) -> None:
    text = " ".join(Outline(full).text.split())
    assert (
        "A trial run of 8 epochs did not see some of the last behaviours and had ndcg@10 0.0871 on them. "
        "It chose: links count 3.0 times, w_cos is 0.80."
    ) in text
    assert "held-out ndcg@10 from 0.05 to 0.08" in text


def test_every_colour_follows_the_light_or_dark_page(full: str) -> None:
    for svg in re.findall(r"<svg.*?</svg>", full, re.DOTALL):
        assert re.findall(r"#[0-9a-f]{6}\b", svg) == []
        for name in re.findall(r"var\((--[\w-]+)\)", svg):
            assert full.count(f"{name}: #") == 2, f"{name} is given for light and for dark"


def test_numbers_of_the_run_are_there(full: str) -> None:
    text = " ".join(Outline(full).text.split())
    for shown in ("2026-01-01", "c0ffee", "enc-1", "model-1", "1,234,567", "12.3 s", "1 min 15 s", "null id", "-3.46"):
        assert shown in text
    assert "and 22 earlier" in text


def test_metrics_stand_in_their_order_with_intervals_and_the_best_marked(full: str) -> None:
    table = full[full.index("All 1,234 users") : full.index("<details>")]
    lines = re.findall(r'<th scope="row">(.*?)</th>', table)
    assert lines == [f"{m}@{k}" for m in ("recall", "ndcg", "mrr", "hit rate", "coverage") for k in (10, 20)]
    models = re.findall(r'<th scope="col" class="num"><bdi>(.*?)</bdi>', table)
    assert models[:3] == ["recsys-spark", "popularity", "als"]
    assert "0.1111 – 0.1357" in table
    best = re.findall(r'class="num best"><strong>(.*?)</strong>', table)
    assert best == ["0.1234"] * len(lines)
    assert "Users: light (1,234)" in full


def test_run_without_metrics_losses_or_samples_says_so() -> None:
    page = render_report(ReportInputs("2026-01-01", "2026-01-01T00:00:00Z", "c", "e", "m"))
    assert Outline(page).open == []
    assert "<svg" not in page
    for sentence in (
        "no backtest",
        "No losses",
        "No users were sampled",
        "No rows were rejected",
        "No source was recorded",
        "No timings",
    ):
        assert sentence in page


def test_same_inputs_give_the_same_file(full: str) -> None:
    inputs = ReportInputs(
        "2026-01-01", "2026-01-01", "c", "e", "m", metrics=[metric("a", "recall", 5, 0.2)], losses=[{"loss": 1.0}]
    )
    assert render_report(inputs) == render_report(inputs)
