"""The encoder without Spark, on one core and on several, next to its rival and to its bare matrix products."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.common.costs import alternate
from benchmarks.common.ledger import Row
from benchmarks.common.processes import own_process, run_in
from benchmarks.common.suite import Part, say
from benchmarks.common.tables import Section
from benchmarks.encode.cases import Case, backends, chosen, device_name, load_ours, load_rival, the_cases
from benchmarks.encode.products import dtype_of, products_of
from benchmarks.encode.rows import (
    FLOAT32,
    LIMIT,
    RIVAL,
    TOKENISER,
    EncodePlan,
    cost_rows,
    ours,
    short,
    times_as_fast,
    title,
    tokens_per_s,
)
from benchmarks.encode.speeds import SPEEDS, compared, methods, ratio, ratios, share_of_limit, with_methods

if TYPE_CHECKING:
    from recsys_spark.encoding.kernels.encoder import TextEncoder

BUCKET = 2_048
"""Texts that the stage packs by length together, at most."""


def rival_name(backend: str) -> str:
    """Return the rival's name in a backend's precision: on a GPU it is measured in half precision as well."""
    return RIVAL if dtype_of(backend) == "float32" else f"{RIVAL} in {dtype_of(backend)}"


def measure_case(case: Case, n_threads: int, repeats: int) -> list[Row]:
    """Return the rows of one case, in a process that may use ``n_threads``."""
    read = case.read()
    texts, names = read.texts, backends(case)
    encoders = {name: load_ours(case, name, n_threads) for name in names}
    first = encoders[names[0]]
    rivals = {
        rival_name(name): load_rival(first.spec.path, first.spec.max_length, n_threads, dtype_of(name))
        for name in names
    }
    products = products_of(first)
    whole = {name: encoder.encode_each(texts) for name, encoder in encoders.items()}
    n_tokens, n_passes = whole[names[0]].n_tokens, products.passes(whole[names[0]].n_tokens)
    runs: dict[str, Callable[[], object]] = {
        LIMIT: lambda: products.run(n_passes),
        **{name: partial(rival.encode, texts) for name, rival in rivals.items()},
        **{ours(name): partial(encoder.encode_each, texts) for name, encoder in encoders.items()},
        TOKENISER: lambda: first.tokenise(texts),
    }
    products.run(1)
    agreement = _cosine(rivals[RIVAL].encode(texts), whole[names[0]].vectors)
    costs = alternate(runs, repeats, warm_up=0)
    tokens = dict.fromkeys(runs, n_tokens) | {LIMIT: products.tokens(n_passes)}
    facts: Row = {"what": "kernel", "model": case.label, "texts": case.texts, "origin": read.origin}
    facts |= {"n_texts": len(texts), "threads": n_threads, "device": device_name(first.device)}
    rows = cost_rows(costs, tokens, **facts, flop_per_token=products.per_token)
    for row in rows:
        for name, encoder in encoders.items():
            if row["method"] == ours(name):
                row["padding"] = 1 - n_tokens / whole[name].n_slots
                row["bucket_padding"] = bucket_padding(encoder, case) if row["padding"] else 0.0
        if row["method"] == ours(names[0]):
            row["cosine_with_rival"] = agreement
    return rows


def bucket_padding(encoder: TextEncoder, case: Case) -> float:
    """Return padding's share of the slots if BUCKET texts of this kind, or all there are, are packed together."""
    import numpy as np

    from recsys_spark.encoding.kernels.encoder import plan_batches

    more = Case(case.model, case.label, case.texts, BUCKET, case.prefix).read()
    lengths = np.array([len(ids) for ids in encoder.tokenise(more.texts)], np.int64)
    n_slots = sum(len(rows) * int(lengths[rows[0]]) for rows in plan_batches(lengths.copy(), encoder.batch_tokens))
    return float(1 - lengths.sum() / n_slots)


def _cosine(theirs: Any, mine: Any) -> float:
    """The smallest of all texts."""
    import numpy as np

    norms = np.linalg.norm(theirs, axis=1) * np.linalg.norm(mine, axis=1)
    return float(((theirs * mine).sum(1) / norms).min())


def measure(plan: EncodePlan) -> Iterator[list[Row]]:
    """All cases, on all cores and on one, each in its own process."""
    for case in chosen(the_cases(tiny=plan.tiny), plan.texts):
        for n_threads in sorted({1, plan.cores}, reverse=True):
            with own_process(n_threads) as process:
                mine = run_in(process, measure_case, case, n_threads, plan.times(3))
            say(f"kernel: {title(mine[0])}, {mine[1]['n_tokens']:,} tokens")
            for row in mine:
                say(f"kernel:   {row['method']}: {tokens_per_s(row):,.0f} tokens/s, {row['cpu_s']:.2f} CPU s")
            yield mine


def shares(mine: list[Row]) -> Iterator[Row]:
    """Yield the share of the limit, of padding and of the tokeniser."""
    yield from share_of_limit("kernel", mine)
    for row in mine:
        if row["method"] == FLOAT32 and row["threads"] == 1:
            timed = f"in the {row['n_texts']:,} texts that are timed {row['padding']:.1%}"
            yield ratio("padding in a bucket of 2,048 texts", row, f"{row['bucket_padding']:.1%} ({timed})")
    for method in methods(mine):
        for case in with_methods(mine, method, TOKENISER):
            share = times_as_fast(case[method], case[TOKENISER])
            yield ratio(f"tokeniser's share of the time, {short(method)}", case[method], f"{share:.1%}")


def after(mine: list[Row]) -> list[str]:
    """Return how far vectors are the rival's, and the table of shares."""
    alike = [row["cosine_with_rival"] for row in mine if "cosine_with_rival" in row]
    same = f"Cosine of our float32 vectors with SentenceTransformer's: {min(alike, default=0):.6f} or more."
    return [*([same, ""] if alike else []), *ratios(list(shares(mine)))]


PART = Part(
    "kernel",
    "the encoder without Spark next to SentenceTransformer and bare matrix products",
    measure,
    Section(
        "The encoder without Spark",
        SPEEDS,
        "The limit is set by the matrix products: FLOP/s of the model's own shapes, preallocated and in cache, "
        "over 2 x its parameters without the embeddings. Both methods cut texts at the same length; "
        "SentenceTransformer has its defaults otherwise, and is loaded in float32.",
        after=after,
        prepared=compared,
    ),
)
