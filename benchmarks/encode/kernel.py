"""The encoder without Spark, on one core and on several, beside its rival and beside nothing but its matrix products."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.common.ledger import Row, say
from benchmarks.common.measure import alternate
from benchmarks.common.processes import own_process, run_in
from benchmarks.encode.cases import Case, backends, chosen, device_name, load_ours, load_rival, parameters, the_cases
from benchmarks.encode.results import LIMIT, RIVAL, TOKENISER, cost_rows, ours, title, tokens_per_s

if TYPE_CHECKING:
    import torch

    from recsys_spark.encoding.kernels.encoder import TextEncoder
    from recsys_spark.encoding.kernels.spec import EncoderSpec

ROWS = 1_024
"""Of a product: as many as the default batch has tokens, which stay in cache."""
ENOUGH = 40_000
"""Tokens."""
BUCKET = 2_048
"""Texts that the stage packs by length together, at most."""


class Products:
    """A model's matrix products and nothing else: query, key and value in one, attention's output, feed-forward in and out.

    Preallocated, one matrix of each shape for all layers, so that it stays in cache: the strictest form of this limit.
    """

    def __init__(self, spec: EncoderSpec, dtype: torch.dtype, device: str) -> None:
        import torch

        from recsys_spark.encoding.files.checks import read_config

        folder = _folder(spec)
        config = read_config(folder, False)
        h, f = config["hidden_size"], config["intermediate_size"]
        self.n_layers, self.device = config["num_hidden_layers"], device
        self.per_token = 2 * parameters(folder)
        """FLOP that the model's parameters cost a token."""
        self.flop = sum(2 * ROWS * k * n for k, n in ((h, 3 * h), (h, h), (h, f), (f, h))) * self.n_layers
        """FLOP of one pass over ROWS tokens."""
        generator = torch.Generator().manual_seed(0)

        def matrix(rows: int, columns: int) -> torch.Tensor:
            return torch.randn(rows, columns, generator=generator).to(device, dtype)

        narrow, wide = matrix(ROWS, h), matrix(ROWS, f)
        self.terms = [
            (left, matrix(left.shape[1], n), torch.empty(ROWS, n, dtype=dtype, device=device))
            for left, n in ((narrow, 3 * h), (narrow, h), (narrow, f), (wide, h))
        ]

    def passes(self, n_tokens: int) -> int:
        """How many passes cost about half of what ``n_tokens`` cost, and no more than a steady figure needs."""
        return max(1, round(min(n_tokens, ENOUGH) * self.per_token / self.flop / 2))

    def tokens(self, n_passes: int) -> int:
        """Tokens whose parameters cost as much as so many passes."""
        return round(n_passes * self.flop / self.per_token)

    def run(self, n_passes: int) -> None:
        """Multiply."""
        import torch

        for _ in range(n_passes * self.n_layers):
            for left, right, out in self.terms:
                torch.mm(left, right, out=out)
        if self.device != "cpu":
            torch.cuda.synchronize()


def products_of(encoder: TextEncoder) -> Products:
    """In the precision in which that encoder multiplies on its device; int8 is held against float32."""
    import torch

    return Products(encoder.spec, getattr(torch, dtype_of(encoder.spec.backend)), encoder.device)


def dtype_of(backend: str) -> str:
    """The precision of what a backend is held against.

    >>> dtype_of("torch-float16"), dtype_of("int8")
    ('float16', 'float32')
    """
    return "float32" if backend == "int8" else backend.removeprefix("torch-")


def rival_name(backend: str) -> str:
    """On a GPU the rival is measured in half precision as well."""
    return RIVAL if dtype_of(backend) == "float32" else f"{RIVAL} in {dtype_of(backend)}"


def measure_case(case: Case, n_threads: int, repeats: int) -> list[Row]:
    """Rows of one case; in a process that may use ``n_threads``."""
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
        **{name: lambda r=rival: r.encode(texts) for name, rival in rivals.items()},
        **{ours(name): lambda e=encoder: e.encode_each(texts) for name, encoder in encoders.items()},
        TOKENISER: lambda: first.tokenise(texts),
    }
    products.run(1)
    agreement = _cosine(rivals[RIVAL].encode(texts), whole[names[0]].vectors)
    costs = alternate(runs, repeats, warm_up=0)
    tokens = dict.fromkeys(runs, n_tokens) | {LIMIT: products.tokens(n_passes)}
    rows = cost_rows(
        costs, tokens, what="kernel", model=case.label, texts=case.texts, origin=read.origin, n_texts=len(texts),
        threads=n_threads, device=device_name(first.device), flop_per_token=products.per_token,
    )  # fmt: skip
    for row in rows:
        for name, encoder in encoders.items():
            if row["method"] == ours(name):
                row["padding"] = 1 - n_tokens / whole[name].n_slots
                row["bucket_padding"] = bucket_padding(encoder, case) if row["padding"] else 0.0
        if row["method"] == ours(names[0]):
            row["cosine_with_rival"] = agreement
    return rows


def bucket_padding(encoder: TextEncoder, case: Case) -> float:
    """Padding's share of the slots where BUCKET texts of this kind, or all there are, are packed together and padding is computed."""
    import numpy as np

    from recsys_spark.encoding.kernels.encoder import plan_batches

    more = Case(case.model, case.label, case.texts, BUCKET, case.prefix).read()
    lengths = np.array([len(ids) for ids in encoder.tokenise(more.texts)], np.int64)
    n_slots = sum(len(rows) * int(lengths[rows[0]]) for rows in plan_batches(lengths.copy(), encoder.batch_tokens))
    return float(1 - lengths.sum() / n_slots)


def _folder(spec: EncoderSpec) -> Any:
    from recsys_spark.encoding.files.identity import verified_folder

    return verified_folder(spec)


def _cosine(theirs: Any, mine: Any) -> float:
    """The smallest of all texts."""
    import numpy as np

    norms = np.linalg.norm(theirs, axis=1) * np.linalg.norm(mine, axis=1)
    return float(((theirs * mine).sum(1) / norms).min())


def measure(*, tiny: bool, cores: int, texts: Sequence[str] = ()) -> Iterator[Row]:
    """All cases, on ``cores`` and on one, each in a process of its own."""
    for case in chosen(the_cases(tiny=tiny), texts):
        for n_threads in sorted({1, cores}, reverse=True):
            with own_process(n_threads) as process:
                mine = run_in(process, measure_case, case, n_threads, 1 if tiny else 3)
            say(f"kernel: {title(mine[0])}, {mine[1]['n_tokens']:,} tokens")
            for row in mine:
                say(f"kernel:   {row['method']}: {tokens_per_s(row):,.0f} tokens/s, {row['cpu_s']:.2f} CPU s")
            yield from mine
