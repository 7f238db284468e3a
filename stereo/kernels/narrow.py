"""Vectors of 16 lanes, for the second pass: bytes, and their sums as uint16. As in `simd`, offsets count elements, unchecked."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from stereo.kernels.simd import LANES, U8, Vector, _broadcaster, _loader, _splatter, _storer

NARROW = 16
"""lanes"""
BYTES, WORDS = Vector("u8", NARROW), Vector("u16", NARROW)
load_narrow, load_wide = _loader(BYTES), _loader(WORDS)
store_narrow, store_wide = _storer(BYTES), _storer(WORDS)
broadcast_narrow = _broadcaster(BYTES)
splat_narrow, splat_wide = _splatter(BYTES), _splatter(WORDS)

_BYTE, _WORD, _INT = ir.IntType(8), ir.IntType(16), ir.IntType(32)
_LLVM_BYTES, _LLVM_WORDS = ir.VectorType(_BYTE, NARROW), ir.VectorType(_WORD, NARROW)


def _order(lanes: Any) -> Any:
    values = list(lanes)
    return ir.Constant(ir.VectorType(_INT, len(values)), values)


def _neighbour(lanes: Any) -> Any:
    @intrinsic
    def shifted(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            return b.shuffle_vector(args[0], ir.Constant(_LLVM_BYTES, [255] * NARROW), _order(lanes))

        return x(x), generate

    return shifted


above, below = _neighbour(range(1, NARROW + 1)), _neighbour([NARROW, *range(NARROW - 1)])
"""lane i <- x[i + 1] (x[i - 1]); 255 comes in"""


@intrinsic
def widen(typing_context: Any, x: Any) -> Any:
    """Bytes as uint16."""
    return WORDS(x), lambda context, b, signature, args: b.zext(args[0], _LLVM_WORDS)


@intrinsic
def half_gradient(typing_context: Any, after: Any, before: Any, clip: Any) -> Any:
    """(after - before) / 2, halves to the even number, within +- clip, plus clip, as bytes."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        def same(value: int) -> Any:
            return ir.Constant(_LLVM_WORDS, [value] * NARROW)

        def call(name: str, x: Any, y: Any) -> Any:
            kind = ir.FunctionType(_LLVM_WORDS, [_LLVM_WORDS, _LLVM_WORDS])
            return b.call(cgutils.get_or_insert_function(b.module, kind, f"llvm.{name}.v{NARROW}i16"), [x, y])

        one = same(1)
        limit = b.insert_element(ir.Constant(_LLVM_WORDS, ir.Undefined), b.trunc(args[2], _WORD), ir.Constant(_INT, 0))
        limit = b.shuffle_vector(limit, limit, _order([0] * NARROW))
        step = b.sub(args[0], args[1])
        half = b.ashr(b.add(step, b.and_(b.ashr(step, one), one)), one)
        half = call("smax", call("smin", half, limit), b.sub(same(0), limit))
        return b.trunc(b.add(half, limit), _LLVM_BYTES)

    return BYTES(after, before, types.intp), generate


@intrinsic
def last_lane_narrow(typing_context: Any) -> Any:
    """255 in the last lane, 0 elsewhere."""
    return BYTES(), lambda context, b, signature, args: ir.Constant(_LLVM_BYTES, [0] * (NARROW - 1) + [255])


@intrinsic
def repeat_four(typing_context: Any, array: Any, offset: Any) -> Any:
    """64 lanes: each of four bytes 16 times."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, b, args[0]).data
        four = b.load(b.bitcast(b.gep(data, [args[1]]), ir.VectorType(_BYTE, 4).as_pointer()), align=1)
        return b.shuffle_vector(four, four, _order(i // NARROW for i in range(LANES)))

    return U8(array, types.intp), generate
