"""Lanes moved within and between vectors: shifts by one label, minima of 16 vectors at once, bytes repeated four times.

A byte that every lane needs is kept as four equal bytes: processors load and repeat 32 bits without a shuffle, but not 8.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from stereo.kernels import inlined
from stereo.kernels.simd import (
    _I32,
    LANES,
    U8,
    U16,
    WIDE_LANES,
    Vector,
    _call,
    _indices,
    _llvm,
    _loader,
    _pointer,
    _splat,
    _splatter,
    _storer,
    _suffix,
    load8,
    load16,
    minimum,
)

GROUP = 16
"""pixels whose minima are taken together"""

_BYTES, _WORDS, _LONGS = (Vector(f"u{bits}", GROUP) for bits in (8, 16, 32))
load_bytes, load_words, load_longs = (_loader(t) for t in (_BYTES, _WORDS, _LONGS))
store_bytes, store_words, store_longs = (_storer(t) for t in (_BYTES, _WORDS, _LONGS))
splat_longs = _splatter(_LONGS)
"""16 numbers of 8, 16 or 32 bits, one for each pixel of a group"""


def _shuffle(indices: list[int], *, result: Any = None, fill: int | None = None) -> Any:
    """A fixed shuffle of one vector; index `lanes` means the constant `fill`."""

    @intrinsic
    def shuffle(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            other = ir.Constant(_llvm(x), ir.Undefined if fill is None else [fill] * x.lanes)
            return b.shuffle_vector(args[0], other, _indices(indices))

        return (result or x)(x), generate

    return shuffle


# A shift repeats the edge lane: with one or two vectors per pixel it then holds the label itself or its other neighbour, which
# changes no minimum. With more vectors `first_negative` or `last_negative` keeps it out of a maximum.
repeat_up = _shuffle([0, *range(LANES - 1)])
"""lane i <- x[i - 1], lane 0 <- x[0]"""
repeat_down = _shuffle([*range(1, LANES), LANES - 1])
"""lane i <- x[i + 1], the last lane <- itself"""
repeat_up16 = _shuffle([0, *range(WIDE_LANES - 1)])
repeat_down16 = _shuffle([*range(1, WIDE_LANES), WIDE_LANES - 1])

four_times = _shuffle([i // 4 for i in range(LANES)], result=U8)
"""16 bytes, each repeated four times"""
four_times_reversed = _shuffle([GROUP - 1 - i // 4 for i in range(LANES)], result=U8)
_next_byte = _shuffle([i // 2 * 2 + 1 - i % 2 for i in range(LANES)])
_next_word = _shuffle([i // 2 * 2 + 1 - i % 2 for i in range(WIDE_LANES)])
_next_pair = _shuffle([i // 4 * 4 + (i + 2) % 4 for i in range(LANES)])


reverse_longs = _shuffle(list(range(GROUP - 1, -1, -1)))


def _shortened(t: Vector, indices: Any) -> Any:
    """The low bits of 16 numbers of 32 bits, in the given order."""

    @intrinsic
    def shorten(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            ordered = b.shuffle_vector(args[0], ir.Constant(_llvm(x), ir.Undefined), _indices(indices))
            return b.trunc(ordered, _llvm(t))

        return t(x), generate

    return shorten


as_bytes, as_words = _shortened(_BYTES, range(GROUP)), _shortened(_WORDS, range(GROUP))
reversed_bytes, reversed_words = _shortened(_BYTES, range(GROUP - 1, -1, -1)), _shortened(_WORDS, range(GROUP - 1, -1, -1))


@intrinsic
def scaled(typing_context: Any, x: Any, factor: Any) -> Any:
    """Times factor / 1024, rounded down, for numbers of 32 bits."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        product = b.mul(args[0], _splat(b, b.trunc(args[1], _I32), x.lanes))
        return b.lshr(product, ir.Constant(_llvm(x), [10] * x.lanes))

    return x(x, types.int64), generate


@intrinsic
def times(typing_context: Any, x: Any, factor: Any) -> Any:
    """Product for numbers of 32 bits."""
    return x(x, types.int64), lambda context, b, signature, args: b.mul(args[0], _splat(b, b.trunc(args[1], _I32), x.lanes))


def _blocks(size: int, start: int) -> Any:
    """Every second block of `size` bytes of two vectors side by side."""

    @intrinsic
    def pick(typing_context: Any, x: Any, y: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            lanes = size * x.lanes // LANES
            indices = [i for i in range(2 * x.lanes) if i // lanes % 2 == start]
            return b.shuffle_vector(args[0], args[1], _indices(indices))

        return x(x, y), generate

    return pick


_even32, _odd32, _even16, _odd16 = _blocks(32, 0), _blocks(32, 1), _blocks(16, 0), _blocks(16, 1)
_even8, _odd8, _even4, _odd4 = _blocks(8, 0), _blocks(8, 1), _blocks(4, 0), _blocks(4, 1)


@inlined
def _join32(x: Any, y: Any) -> Any:
    return minimum(_even32(x, y), _odd32(x, y))


@inlined
def _join16(x: Any, y: Any) -> Any:
    return minimum(_even16(x, y), _odd16(x, y))


@inlined
def _join8(x: Any, y: Any) -> Any:
    return minimum(_even8(x, y), _odd8(x, y))


def _tree(load: Any, step: int) -> Any:
    """Minima of 16 vectors in one: 15 joins instead of 16 trees of their own; 32 bits of the result belong to each."""

    @inlined
    def half(array: Any, o: Any) -> Any:
        a = _join16(_join32(load(array, o), load(array, o + step)), _join32(load(array, o + 2 * step), load(array, o + 3 * step)))
        o += 4 * step
        b = _join16(_join32(load(array, o), load(array, o + step)), _join32(load(array, o + 2 * step), load(array, o + 3 * step)))
        return _join8(a, b)

    @inlined
    def join(array: Any, o: Any) -> Any:
        x, y = half(array, o), half(array, o + 8 * step)
        return minimum(_even4(x, y), _odd4(x, y))

    return join


_tree8, _tree16 = _tree(load8, LANES), _tree(load16, LANES)


@inlined
def minima_of_16(array: Any, offset: Any) -> Any:
    """The smallest byte of each of 16 vectors that lie one after the other, four times each."""
    x = _tree8(array, offset)
    x = minimum(x, _next_pair(x))
    return minimum(x, _next_byte(x))


@inlined
def wide_minima_of_16(array: Any, offset: Any) -> Any:
    """The smallest uint16 of each of 16 vectors, twice each."""
    x = _tree16(array, offset)
    return minimum(x, _next_word(x))


def _repeater(t: Vector) -> Any:
    """Load 32 bits and repeat them."""

    @intrinsic
    def repeat(typing_context: Any, array: Any, offset: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            value = b.load(_pointer(context, b, signature.args[0], args[0], args[1], _I32), align=4)
            return b.bitcast(_splat(b, value, LANES // 4), _llvm(t))

        return t(array, types.intp), generate

    return repeat


repeat8, repeat16 = _repeater(U8), _repeater(U16)


def _signed(name: str) -> Any:
    @intrinsic
    def operation(typing_context: Any, x: Any, y: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            return _call(b, f"llvm.{name}.{_suffix(_llvm(x))}", _llvm(x), args)

        return x(x, y), generate

    return operation


larger = _signed("smax")
"""the larger lane, read as signed numbers"""


@intrinsic
def differing_bits(typing_context: Any, x: Any, y: Any, mask: Any) -> Any:
    """(x xor y) without the bits of `mask`."""
    return x(x, y, mask), lambda context, b, signature, args: b.and_(b.xor(args[0], args[1]), b.not_(args[2]))


def _edge(t: Vector, lane: int, value: int) -> Any:
    @intrinsic
    def constant(typing_context: Any) -> Any:
        v = _llvm(t)
        return t(), lambda context, b, signature, args: ir.Constant(v, [value if i == lane else 0 for i in range(v.count)])

    return constant


first_none, last_none = _edge(U8, 0, 255), _edge(U8, LANES - 1, 255)
"""all ones in one lane, 0 elsewhere"""
first_none16, last_none16 = _edge(U16, 0, 65535), _edge(U16, WIDE_LANES - 1, 65535)
first_negative, last_negative = _edge(U8, 0, 128), _edge(U8, LANES - 1, 128)
"""the sign bit in one lane"""


def _ordered(quarter: int) -> Any:
    """Of 64 words, the even ones in one vector and the odd ones in another, the given 16 in their order, each twice."""

    @intrinsic
    def order(typing_context: Any, even: Any, odd: Any) -> Any:
        words = [GROUP * quarter + i // 2 for i in range(WIDE_LANES)]
        indices = [w // 2 + (WIDE_LANES if w % 2 else 0) for w in words]
        return even(even, odd), lambda context, b, signature, args: b.shuffle_vector(args[0], args[1], _indices(indices))

    return order


words_0, words_1, words_2, words_3 = (_ordered(quarter) for quarter in range(4))
