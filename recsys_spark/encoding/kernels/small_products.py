"""Matrix products of a few rows in vector registers, for which the call of a library costs more than the product."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from recsys_spark.numerics.instructions import instruction

LANES = 16
"""Columns of the result at a time: two vector registers of AVX2, one of AVX-512, four of NEON."""
ROWS = 4
"""Rows of the result at a time: with LANES columns, they and their factors fit AVX2's sixteen registers."""
INTEGER, FLOAT = ir.IntType(64), ir.FloatType()
VECTOR = ir.VectorType(FLOAT, LANES)


def _product(n_rows: int) -> Any:
    """Return a compiled ``out[r, l] = sum_k a[r, k] b[k, l]`` for ``n_rows`` rows r and LANES columns l."""

    @instruction
    def product(
        _context: Any,
        out: Any,
        o: Any,
        o_row: Any,
        a: Any,
        a0: Any,
        a_row: Any,
        a_step: Any,
        b: Any,
        b0: Any,
        b_row: Any,
        n: Any,
    ) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            arrays = [
                context.make_array(kind)(context, builder, arg).data
                for kind, arg in zip(signature.args, args, strict=True)
                if isinstance(kind, types.Array)
            ]
            (out_at, out_row), (a_at, a_row, a_step), (b_at, b_row) = args[1:3], args[4:7], args[8:10]
            zeros = ir.Constant(VECTOR, None)
            sums = [cgutils.alloca_once_value(builder, zeros) for _ in range(n_rows)]  # type: ignore[no-untyped-call]

            def vector_at(array: Any, at: Any) -> Any:
                return builder.bitcast(builder.gep(array, [at]), VECTOR.as_pointer())

            with cgutils.for_range(builder, args[10], intp=INTEGER) as loop:
                right = builder.load(vector_at(arrays[2], builder.add(b_at, builder.mul(loop.index, b_row))))
                right.align = 4
                for row, total in enumerate(sums):
                    at = builder.add(builder.mul(loop.index, a_step), builder.mul(a_row, ir.Constant(INTEGER, row)))
                    factor = builder.load(builder.gep(arrays[1], [builder.add(a_at, at)]))
                    one = builder.insert_element(
                        ir.Constant(VECTOR, ir.Undefined), factor, ir.Constant(ir.IntType(32), 0)
                    )
                    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
                    factors = builder.shuffle_vector(one, ir.Constant(VECTOR, ir.Undefined), everywhere)
                    term = builder.fmul(factors, right, flags=("contract",))
                    builder.store(builder.fadd(builder.load(total), term, flags=("contract",)), total)
            for row, total in enumerate(sums):
                at = builder.add(out_at, builder.mul(out_row, ir.Constant(INTEGER, row)))
                stored = builder.store(builder.load(total), vector_at(arrays[0], at))
                stored.align = 4
            return context.get_dummy_value()

        size = types.int64
        return types.void(out, size, size, a, size, size, size, b, size, size, size), build

    return product


product_of_rows, product_of_row = _product(ROWS), _product(1)
"""``(out, o, o_row, a, a0, a_row, a_step, b, b0, b_row, n)``: with float32 arrays seen as flat memory,

``out[o + r o_row + l] = sum_{k < n} a[a0 + r a_row + k a_step] * b[b0 + k b_row + l]`` for r < ROWS (or 1), l < LANES.

Nothing is checked: the caller makes sure that all positions lie inside the arrays.
"""
