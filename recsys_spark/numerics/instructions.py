"""Operations that Numba does not offer, written as LLVM instructions, which exist on every processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

instruction = cast(Callable[[Callable[..., Any]], Any], intrinsic)
"""Numba's decorator. Its types do not know that the caller does not give the first argument."""
WORD = 64
"""Values per call of :func:`reaching`."""


@instruction
def times_two_to(_context: Any, value: Any, exponent: Any) -> Any:
    """Return value * 2^n, both float32, where ``exponent`` is n + 1.5 * 2^23: its low bits are n."""

    def build(_ctx: Any, builder: Any, _signature: Any, args: Any) -> Any:
        integer = ir.IntType(32)
        bits, n = (builder.bitcast(arg, integer) for arg in args)
        return builder.bitcast(builder.add(bits, builder.shl(n, ir.Constant(integer, 23))), ir.FloatType())

    return types.float32(types.float32, types.float32), build


@instruction
def widened(_context: Any, value: Any) -> Any:
    """Return a float32 unchanged, and a uint16 with the bits of a bfloat16 as the float32 of that value."""

    def build(_ctx: Any, builder: Any, signature: Any, args: Any) -> Any:
        if signature.args[0] == types.float32:
            return args[0]
        integer = ir.IntType(32)
        bits = builder.zext(args[0], integer)
        return builder.bitcast(builder.shl(bits, ir.Constant(integer, 16)), ir.FloatType())

    return types.float32(value), build


@instruction
def reaching(_context: Any, values: Any, at: Any, bound: Any) -> Any:
    """Return which of the float32 ``values[at : at + WORD]`` are at least ``bound``: bit k of a uint64 is value k."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(ir.FloatType(), WORD)
        array = context.make_array(signature.args[0])(context, builder, args[0])
        at = builder.sext(args[1], ir.IntType(64)) if args[1].type.width < WORD else args[1]
        loaded = builder.load(builder.bitcast(builder.gep(array.data, [at]), vector.as_pointer()))
        loaded.align = 4
        first = builder.insert_element(ir.Constant(vector, ir.Undefined), args[2], ir.Constant(ir.IntType(32), 0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), WORD), [0] * WORD)
        bounds = builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), everywhere)
        return builder.bitcast(builder.fcmp_ordered(">=", loaded, bounds), ir.IntType(WORD))

    return types.uint64(values, at, types.float32), build


@instruction
def lowest_bit(_context: Any, bits: Any) -> Any:
    """Return the number, from 0, of the lowest bit that is set in a uint64 other than 0, as int64."""

    def build(_ctx: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), build
