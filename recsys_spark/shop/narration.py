"""What the demo prints at its end: what three customers did, what they get and why, and how good the lists are."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from recsys_spark.shop.showcase import Metric, Person

WIDTH = 118
_SEGMENTS = {"all": "all users", "profile": "users known only by tags or friends"}


def narrate(
    people: Sequence[Person], metrics: Sequence[Metric], published: str, *, w_cos: float = 1.0, w_ce: float = 1.0
) -> str:
    """Return the text that the demo prints at its end."""
    blocks = [_person(person, w_cos, w_ce) for person in people]
    tables = [_comparison([m for m in metrics if m["segment"] == key], words) for key, words in _SEGMENTS.items()]
    blocks += [table for table in tables if table] or ["This run had no backtest, so there are no metrics."]
    return "\n\n".join([*blocks, f"Lists of all users: {published}"])


def _person(person: Person, w_cos: float, w_ce: float) -> str:
    served = f"list from source `{person['source']}`" if person["source"] else "no list"
    lines = [f"{person['user_id']}, {person['about']}: {served}", "  Behaviours, newest first"]
    lines += [f"    {_ago(e['days_ago']):>12}  {e['behaviour']:<9} {_short(e['title'], 80)}" for e in person["history"]]
    hidden = person["n_behaviours"] - len(person["history"])
    if hidden > 0:
        lines.append(f"    {'earlier':>12}  and {hidden:,} more")
    elif not person["history"]:
        lines.append("    none yet")
    if person["tags"]:
        lines.append(_line("  Interests: ", ", ".join(person["tags"])))
    if person["friends"]:
        lines.append(_line("  Friends: ", ", ".join(person["friends"])))
    formula = f"{_factor(w_cos)}cosine + {_factor(w_ce)}log P" if w_cos else f"{_factor(w_ce)}log P"
    lines.append(f"  Recommendations{'score = ' + formula:>{WIDTH - 17}}")
    for item in person["recommendations"]:
        cosine = f"{_factor(w_cos)}{item['cosine']:5.2f} + " if w_cos else ""
        parts = f"{item['score']:6.2f} = {cosine}{_factor(w_ce)}{item['log_prob']:6.2f}"
        room = WIDTH - len(parts) - 10
        lines.append(f"    {item['rank']:>2}  {_short(item['title'], room):<{room}}  {parts}")
        lines += [_line("          ", reason) for reason in item["reasons"]]
    return "\n".join(lines)


def _comparison(metrics: Sequence[Metric], words: str) -> str:
    """Return a table with a line per model and a column per metric; empty where there are no metrics."""
    columns = list(dict.fromkeys((m["metric"], m["k"]) for m in metrics))
    models = list(dict.fromkeys(m["model"] for m in metrics))
    if not columns:
        return ""
    cells = {(m["model"], m["metric"], m["k"]): _interval(m) for m in metrics}
    heads = [f"{metric}@{k}" for metric, k in columns]
    n_users = max(m["n_users"] for m in metrics)
    lines = [f"What {words} did next, compared with their lists of that day ({n_users:,} users; 95% intervals)"]
    lines.append(f"  {'':<14}" + "".join(f"{head:<24}" for head in heads).rstrip())
    for model in models:
        row = "".join(f"{cells.get((model, *column), '-'):<24}" for column in columns)
        lines.append(f"  {model:<14}" + row.rstrip())
    return "\n".join(lines)


def _interval(metric: Metric) -> str:
    value = f"{metric['value']:.3f}"
    if metric["ci_low"] is None or metric["ci_high"] is None:
        return value
    return f"{value} [{metric['ci_low']:.3f}, {metric['ci_high']:.3f}]"


def _ago(days: float) -> str:
    whole = int(days)
    if whole < 1:
        return "today"
    return f"{whole} day{'s' if whole > 1 else ''} ago"


def _factor(weight: float) -> str:
    return "" if weight == 1.0 else f"{round(weight, 2):g} x "


def _short(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1].rstrip() + "…"


def _line(indent: str, text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=" " * len(indent))
