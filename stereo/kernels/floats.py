"""Median of the labels in a 5 x 5 window, 16 pixels at a time: Batcher's sorting network, written as LLVM instructions.

Batcher, "Sorting networks and their applications", AFIPS 1968.
"""

from collections.abc import Iterator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from stereo.kernels.simd import F32, FLOAT_LANES

WINDOW_RADIUS = 2
_TAPS = (2 * WINDOW_RADIUS + 1) ** 2
_FLOATS = ir.VectorType(ir.FloatType(), FLOAT_LANES)
_INTS = ir.VectorType(ir.IntType(32), FLOAT_LANES)


def comparators(count: int) -> Iterator[tuple[int, int]]:
    """Batcher's odd-even merge sort for any `count`: pairs (i, j), i < j, to be put in order one after the other."""
    p = 1
    while p < count:
        k = p
        while k >= 1:
            for j in range(k % p, count - k, 2 * k):
                for i in range(min(k, count - j - k)):
                    if (i + j) // (2 * p) == (i + j + k) // (2 * p):
                        yield i + j, i + j + k
            k //= 2
        p *= 2


def _same(kind: Any, value: Any) -> Any:
    return ir.Constant(kind, [value] * FLOAT_LANES)


@intrinsic
def median_5x5(typing_context: Any, array: Any, offset: Any, stride: Any, none: Any) -> Any:
    """Median of those of the 25 values around `offset` that are not `none`; of an even number the mean of the middle two.

    Lanes without any value hold infinity.
    """

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, b, args[0]).data
        missing = b.insert_element(ir.Constant(_FLOATS, ir.Undefined), args[3], ir.Constant(ir.IntType(32), 0))
        missing = b.shuffle_vector(missing, missing, _same(_INTS, 0))
        count = _same(_INTS, 0)
        values = []
        for dy in range(-WINDOW_RADIUS, WINDOW_RADIUS + 1):
            row = b.add(args[1], b.mul(args[2], ir.Constant(args[2].type, dy)))
            for dx in range(-WINDOW_RADIUS, WINDOW_RADIUS + 1):
                place = b.bitcast(b.gep(data, [b.add(row, ir.Constant(row.type, dx))]), _FLOATS.as_pointer())
                value = b.load(place, align=4)
                known = b.fcmp_unordered("!=", value, missing)
                count = b.add(count, b.zext(known, _INTS))
                values.append(b.select(known, value, _same(_FLOATS, float("inf"))))
        for i, j in comparators(_TAPS):
            less = b.fcmp_ordered("<", values[i], values[j])
            values[i], values[j] = b.select(less, values[i], values[j]), b.select(less, values[j], values[i])
        lower = upper = values[0]
        one = _same(_INTS, 1)
        below, above = b.lshr(b.sub(count, one), one), b.lshr(count, one)
        for k in range(1, _TAPS // 2 + 1):
            lower = b.select(b.icmp_signed("==", below, _same(_INTS, k)), values[k], lower)
            upper = b.select(b.icmp_signed("==", above, _same(_INTS, k)), values[k], upper)
        return b.fmul(b.fadd(lower, upper), _same(_FLOATS, 0.5))

    return F32(array, types.intp, types.intp, types.float32), generate


@intrinsic
def round_f(typing_context: Any, x: Any) -> Any:
    """To the nearest whole number, halves to the even one, lane by lane."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        name = f"llvm.rint.v{FLOAT_LANES}f32"
        return b.call(cgutils.get_or_insert_function(b.module, ir.FunctionType(_FLOATS, [_FLOATS]), name), args)

    return x(x), generate


@intrinsic
def where_less_f(typing_context: Any, x: Any, y: Any, a: Any, c: Any) -> Any:
    """X < y ? a : c, lane by lane."""
    return a(x, y, a, c), lambda context, b, signature, args: b.select(b.fcmp_ordered("<", args[0], args[1]), args[2], args[3])
