"""What was aimed at and what was found, line by line, from the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.common.ledger import Row
from benchmarks.encode.again import CHANGED
from benchmarks.encode.again import FIRST as FIRST_RUN
from benchmarks.encode.again import NEXT as NEXT_RUN
from benchmarks.encode.again import SAME as SAME_RUN
from benchmarks.encode.reload import EMPTY, FIRST, NEXT
from benchmarks.encode.results import LIMIT, OURS, RIVAL, TOKENISER, UDF_RIVAL, cases, of, ours, times_as_fast, title

FLOAT32, INT8 = ours("torch-float32"), ours("int8")


@dataclass(frozen=True)
class Found:
    """One figure for a target."""

    what: str
    where: str
    """What was encoded."""
    target: str
    figure: str
    met: bool | None
    """None where nothing was aimed at."""

    @property
    def verdict(self) -> str:
        """In a word."""
        return "" if self.met is None else "met" if self.met else "**missed**"


def at_least(what: str, where: str, bound: float, value: float, form: str = "{:.2f}x", note: str = "") -> Found:
    """A figure that should not be smaller.

    >>> at_least("speed", "titles", 1.4, 1.25).verdict, at_least("speed", "titles", 1.4, 1.5).figure
    ('**missed**', '1.50x')
    """
    return Found(what, where, f"at least {form.format(bound)}", form.format(value) + note, value >= bound)


def below(what: str, where: str, bound: float, value: float, form: str = "{:.1%}", note: str = "") -> Found:
    """A figure that should be smaller."""
    return Found(what, where, f"under {form.format(bound)}", form.format(value) + note, value < bound)


def found(rows: Sequence[Row]) -> list[Found]:
    """A line for every figure that can be computed from the rows there are."""
    return [line for lines in LINES for line in lines(rows)]


def against_rivals(rows: Sequence[Row]) -> Iterable[Found]:
    """Line 1 and 5: the whole stage beside SentenceTransformer.encode and predict_batch_udf."""
    for method, bound in ((FLOAT32, 1.4), (INT8, 3.0)):
        for case in with_method(of(rows, "stage"), method, RIVAL):
            mine, rival = case[method], case[RIVAL]
            note = f" ({times_as_fast(mine, rival, by_cpu=True):.2f}x by CPU-seconds)"
            name = method.removeprefix(f"{OURS} ").removeprefix("torch-")
            yield at_least(f"stage, {name}, over {RIVAL}", title(mine), bound, times_as_fast(mine, rival), note=note)
    for method in methods(rows, "stage"):
        for case in with_method(of(rows, "stage"), method, UDF_RIVAL):
            mine, rival = case[method], case[UDF_RIVAL]
            note = f" ({times_as_fast(mine, rival, by_cpu=True):.2f}x by CPU-seconds)"
            name = method.removeprefix(f"{OURS} ").removeprefix("torch-")
            figure = f"{times_as_fast(mine, rival):.2f}x{note}"
            yield Found(f"stage, {name}, over predict_batch_udf", title(mine), "the ratio", figure, None)


def against_the_limit(rows: Sequence[Row]) -> Iterable[Found]:
    """Line 2: float32's share of what the matrix products alone would allow."""
    for part, bound in (("kernel", 0.75), ("stage", 0.65)):
        for case in with_method(of(rows, part), FLOAT32, LIMIT):
            mine, limit = case[FLOAT32], case[LIMIT]
            note = f" ({times_as_fast(mine, limit, by_cpu=True):.2f} by CPU-seconds)"
            yield at_least(
                f"{part}, float32, share of the limit", title(mine), bound, times_as_fast(mine, limit), "{:.2f}", note
            )


def quality(rows: Sequence[Row]) -> Iterable[Found]:
    """Line 3: int8 beside float32."""
    for case in with_method(of(rows, "quality"), INT8, FLOAT32):
        mine, exact = case[INT8], case[FLOAT32]
        where = title(mine)
        yield at_least(
            "int8, cosine with float32 of 99% of texts", where, 0.99, mine["cosine_q01"], "{:.4f}",
            f" (median {mine['cosine_median']:.4f}, worst {mine['cosine_worst']:.4f})",
        )  # fmt: skip
        yield at_least("int8, top-10 neighbours shared with float32", where, 0.93, mine["overlap"], "{:.1%}")
        if "recall" in mine:
            yield loss("recall@10 of plain text vectors, int8 against float32", where, exact["recall"], mine["recall"])
    runs = of(rows, "recommendations")
    exact_by_seed = {row["seed"]: row for row in runs if row["method"] == FLOAT32}
    int8_by_seed = {row["seed"]: row for row in runs if row["method"] == INT8}
    for seed in sorted(exact_by_seed.keys() & int8_by_seed.keys()):
        mine, exact = int8_by_seed[seed], exact_by_seed[seed]
        where = f"{mine['origin']}, {mine['n_users']:,} users, {mine['model']}, seed {seed}"
        yield loss("recall@10 of the recommendations, int8 against float32", where, exact["recall"], mine["recall"])
    values = [row["recall"] for row in exact_by_seed.values()]
    if len(values) > 1:
        apart = max(values) / min(values) - 1
        yield Found("recall@10 of the recommendations, float32, one seed against another", "the same", "for comparison", f"{apart:.1%} apart", None)  # fmt: skip


def loss(what: str, where: str, exact: float, mine: float) -> Found:
    """How far recall falls; a gain is no miss.

    >>> loss("r", "w", 0.10, 0.0995).figure, loss("r", "w", 0.10, 0.098).met
    ('-0.5% (0.1000 to 0.0995)', False)
    """
    change = mine / exact - 1 if exact else 0.0
    return Found(what, where, "within 1%", f"{change:+.1%} ({exact:.4f} to {mine:.4f})", change >= -0.01)


def overheads(rows: Sequence[Row]) -> Iterable[Found]:
    """Line 4: padding, tokeniser, cores, small tasks."""
    kernels = of(rows, "kernel")
    for row in kernels:
        if row["method"] == FLOAT32 and row["threads"] == 1:
            note = f" (in the {row['n_texts']:,} texts that are timed {row['padding']:.1%})"
            yield below("padding in a bucket of 2,048 texts", title(row), 0.05, row["bucket_padding"], note=note)
    for method in methods(rows, "kernel"):
        for case in with_method(kernels, method, TOKENISER):
            share = times_as_fast(case[method], case[TOKENISER])
            name = method.removeprefix(f"{OURS} ").removeprefix("torch-")
            yield below(f"tokeniser's share of the time, {name}", title(case[method]), 0.1, share)
    runs = of(rows, "cores")
    for what in dict.fromkeys(row["what"] for row in runs):
        one, *more = [row for row in runs if row["what"] == what]
        for row in more:
            name = what.removeprefix(f"{OURS} ").removeprefix("torch-")
            note = f" ({one['cpu_s']:.1f} and {row['cpu_s']:.1f} CPU-seconds)"
            yield at_least(
                f"stage, {name}, {row['method']} over local[1]", title(row), 1.8, times_as_fast(row, one), note=note
            )
    tasks = of(rows, "reload")
    for what in dict.fromkeys(row["what"] for row in tasks):
        by_method = {row["method"]: row for row in tasks if row["what"] == what}
        if {FIRST, NEXT} <= by_method.keys():
            first, later = (by_method[name]["seconds_per_task"] for name in (FIRST, NEXT))
            name = what.removeprefix(f"{OURS} ").removeprefix("torch-")
            bare = (
                f", without the encoder {by_method[EMPTY]['seconds_per_task'] * 1e3:.0f} ms"
                if EMPTY in by_method
                else ""
            )
            yield Found(
                f"a Spark task of one text, {name}", f"{by_method[NEXT]['tasks']} tasks, {by_method[NEXT]['model']}", "no reload",
                f"{later * 1e3:.0f} ms, the first {first * 1e3:,.0f} ms{bare}", later < first / 10,
            )  # fmt: skip


def nights(rows: Sequence[Row]) -> Iterable[Found]:
    """What a second night costs."""
    runs = {row["method"]: row for row in of(rows, "again")}
    if not {FIRST_RUN, SAME_RUN, NEXT_RUN} <= runs.keys():
        return
    first, same, some = runs[FIRST_RUN], runs[SAME_RUN], runs[NEXT_RUN]
    where = f"{first['n_texts']:,} {first['texts']}, {first['model']}"
    figure = (
        f"{same['n_encoded']:,} texts, {same['wall_s']:.1f} s ({same['wall_s'] / first['wall_s']:.1%} of the first)"
    )
    yield Found("a second run", where, "encodes nothing", figure, same["n_encoded"] == 0)
    share, whole = some["n_encoded"] / first["n_encoded"], some["wall_s"] / first["wall_s"]
    more = (some["cpu_s"] - same["cpu_s"]) / (first["cpu_s"] - same["cpu_s"])
    what = f"a run with 1 of {CHANGED} items changed"
    yield Found(
        f"{what}, texts encoded", where, "about 1%", f"{some['n_encoded']:,} texts ({share:.1%})", share < 0.015
    )
    figure = f"{whole:.1%} ({some['wall_s']:.1f} s); without what a run costs that encodes nothing {more:.1%} of the CPU-seconds"
    yield Found(f"{what}, time", where, "about 1%", figure, whole < 0.015)


LINES: tuple[Callable[[Sequence[Row]], Iterable[Found]], ...] = (
    against_rivals, against_the_limit, quality, overheads, nights,
)  # fmt: skip


def with_method(rows: Sequence[Row], *names: str) -> list[dict[str, Row]]:
    """The cases that have all these methods."""
    return [case for case in cases(rows) if case.keys() >= set(names)]


def methods(rows: Sequence[Row], part: str) -> list[str]:
    """Our own methods of a part."""
    return list(dict.fromkeys(row["method"] for row in of(rows, part) if row["method"].startswith(OURS)))
