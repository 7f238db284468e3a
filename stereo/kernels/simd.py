"""LLVM vectors as Numba values: `uint8 x 64`, `uint16 x 32`, `float32 x 16`.

One source for every instruction set: LLVM turns 64 bytes into one AVX-512 register, two AVX2 or four SSE / NEON ones. Loops over
disparities are too short (64 to 256 lanes) for auto-vectorisation to pay; with explicit vectors Numba equals C++ intrinsics.

Offsets count elements from the array's first one. Nothing is checked here: a wrong offset reads or writes foreign memory, so
every kernel states its arrays' sizes and the tests run them on all sizes against slow twins.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

LANES = 64
"""disparities per vector of bytes"""
WIDE_LANES = 32
"""disparities per vector of uint16"""
FLOAT_LANES = 16
"""pixels per float32 vector"""

_I1, _I8, _I32, _F32 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.FloatType()


class Vector(types.Type):  # type: ignore[misc]
    """Numba type of an LLVM vector; `element` is "u8", "u16" or "f32"."""

    def __init__(self, element: str, lanes: int) -> None:
        self.element, self.lanes = element, lanes
        super().__init__(name=f"vector_{element}x{lanes}")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, numba_type: Vector) -> None:
        super().__init__(manager, numba_type, _llvm(numba_type))


U8, U16, F32 = Vector("u8", LANES), Vector("u16", WIDE_LANES), Vector("f32", FLOAT_LANES)
_SCALARS = {"u8": types.uint8, "u16": types.uint16, "u32": types.uint32, "f32": types.float32}


def _element(t: Vector) -> Any:
    return _F32 if t.element == "f32" else ir.IntType(int(t.element[1:]))


def _llvm(t: Vector) -> Any:
    return ir.VectorType(_element(t), t.lanes)


def _indices(values: Any) -> Any:
    values = list(values)
    return ir.Constant(ir.VectorType(_I32, len(values)), values)


def _undefined(t: Any) -> Any:
    return ir.Constant(t, ir.Undefined)


def _splat(b: Any, value: Any, lanes: int) -> Any:
    vector = ir.VectorType(value.type, lanes)
    one = b.insert_element(_undefined(vector), value, ir.Constant(_I32, 0))
    return b.shuffle_vector(one, _undefined(vector), _indices([0] * lanes))


def _call(b: Any, name: str, result: Any, args: Any) -> Any:
    return b.call(cgutils.get_or_insert_function(b.module, ir.FunctionType(result, [a.type for a in args]), name), args)


def _suffix(v: Any) -> str:
    return f"v{v.count}{'f32' if v.element == _F32 else f'i{v.element.width}'}"


def _element_pointer(context: Any, b: Any, array_type: Any, array: Any, offset: Any) -> Any:
    data = context.make_array(array_type)(context, b, array).data if isinstance(array_type, types.Array) else array
    return b.gep(data, [offset])


def _pointer(context: Any, b: Any, array_type: Any, array: Any, offset: Any, target: Any) -> Any:
    return b.bitcast(_element_pointer(context, b, array_type, array, offset), target.as_pointer())


@intrinsic
def pointer(typing_context: Any, array: Any) -> Any:
    """Where an array's data starts; the functions here take it like the array.

    Helpers inlined into a loop count references to the arrays that they are given, which costs more than their work; nobody
    counts references to a pointer.
    """

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return context.make_array(signature.args[0])(context, b, args[0]).data

    return types.CPointer(array.dtype)(array), generate


@intrinsic
def advanced(typing_context: Any, array: Any, count: Any) -> Any:
    """Pointer to an element of an array or behind a pointer."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return _element_pointer(context, b, signature.args[0], args[0], args[1])

    return types.CPointer(array.dtype)(array, types.intp), generate


@intrinsic(prefer_literal=True)
def local_vectors(typing_context: Any, count: Any) -> Any:
    """Room for a number of vectors that is known when compiling; places in it that are known too become registers.

    (A function made for a number would be new in every process, and with it the key of the kernel's cache.)
    """

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        place = cgutils.alloca_once(b, ir.ArrayType(_llvm(U8), max(count.literal_value, 1)))
        place.align = LANES
        return b.bitcast(place, ir.IntType(8).as_pointer())

    if not isinstance(count, types.IntegerLiteral):
        return None
    return types.CPointer(types.uint8)(count), generate


def _loader(t: Vector) -> Any:
    @intrinsic
    def load(typing_context: Any, array: Any, offset: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            pointer = _pointer(context, b, signature.args[0], args[0], args[1], _llvm(t))
            return b.load(pointer, align=array.dtype.bitwidth // 8)

        return t(array, types.intp), generate

    return load


@intrinsic
def prefetch(typing_context: Any, array: Any, offset: Any) -> Any:
    """Ask for a cache line that will be read once, soon; it need not exist."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        place = b.bitcast(_element_pointer(context, b, signature.args[0], args[0], args[1]), ir.IntType(8).as_pointer())
        flags = [ir.Constant(_I32, v) for v in (0, 2, 1)]
        kind = ir.FunctionType(ir.VoidType(), [place.type, _I32, _I32, _I32])
        b.call(cgutils.get_or_insert_function(b.module, kind, "llvm.prefetch.p0"), [place, *flags])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


def _storer(t: Vector, align: int | None = None) -> Any:
    """Store; with `align` (bytes, must be true) past the caches, for data that is not read again soon."""

    @intrinsic
    def store(typing_context: Any, array: Any, offset: Any, value: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            pointer = _pointer(context, b, signature.args[0], args[0], args[1], _llvm(t))
            instruction = b.store(args[2], pointer, align=align or array.dtype.bitwidth // 8)
            if align:
                instruction.set_metadata("nontemporal", b.module.add_metadata([ir.Constant(_I32, 1)]))
            return context.get_dummy_value()

        return types.void(array, types.intp, value), generate

    return store


def _broadcaster(t: Vector) -> Any:
    """Load one element and repeat it in every lane."""

    @intrinsic
    def broadcast(typing_context: Any, array: Any, offset: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            pointer = _pointer(context, b, signature.args[0], args[0], args[1], _element(t))
            return _splat(b, b.load(pointer, align=array.dtype.bitwidth // 8), t.lanes)

        return t(array, types.intp), generate

    return broadcast


def _splatter(t: Vector) -> Any:
    @intrinsic
    def splat(typing_context: Any, value: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            return _splat(b, context.cast(b, args[0], signature.args[0], _SCALARS[t.element]), t.lanes)

        return t(value), generate

    return splat


load8, load16, load_f = _loader(U8), _loader(U16), _loader(F32)
store8, store16, store_f = _storer(U8), _storer(U16), _storer(F32)
stream8, stream16 = _storer(U8, align=64), _storer(U16, align=64)
broadcast8 = _broadcaster(U8)
splat8, splat16, splat_f = _splatter(U8), _splatter(U16), _splatter(F32)


def _intrinsic_of_two(name: str) -> Any:
    @intrinsic
    def operation(typing_context: Any, x: Any, y: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            v = _llvm(x)
            return _call(b, f"{name}.{_suffix(v)}", v, args)

        return x(x, y), generate

    return operation


def _instruction(method: str) -> Any:
    @intrinsic
    def operation(typing_context: Any, x: Any, y: Any) -> Any:
        return x(x, y), lambda context, b, signature, args: getattr(b, method)(args[0], args[1])

    return operation


minimum, add_saturated, subtract_saturated = (_intrinsic_of_two(f"llvm.{n}") for n in ("umin", "uadd.sat", "usub.sat"))
add, subtract, xor, bit_or, bit_and = (_instruction(n) for n in ("add", "sub", "xor", "or_", "and_"))
add_f, subtract_f, multiply_f, divide_f = (_instruction(n) for n in ("fadd", "fsub", "fmul", "fdiv"))


@intrinsic
def multiply_add_f(typing_context: Any, x: Any, y: Any, z: Any) -> Any:
    """X y + z, rounded once where the processor has such an instruction (so last bits may differ between machines)."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return _call(b, f"llvm.fmuladd.{_suffix(_llvm(x))}", _llvm(x), args)

    return x(x, y, z), generate


@intrinsic
def maximum_f(typing_context: Any, x: Any, y: Any) -> Any:
    """The larger, lane by lane; `y` where either is NaN."""
    return x(x, y), lambda context, b, signature, args: b.select(b.fcmp_ordered(">", args[0], args[1]), args[0], args[1])


@intrinsic
def absolute_f(typing_context: Any, x: Any) -> Any:
    """|x| lane by lane."""
    return x(x), lambda context, b, signature, args: _call(b, f"llvm.fabs.{_suffix(_llvm(x))}", _llvm(x), args)


@intrinsic
def count_bits(typing_context: Any, x: Any) -> Any:
    """Number of ones in each lane."""
    return x(x), lambda context, b, signature, args: _call(b, f"llvm.ctpop.{_suffix(_llvm(x))}", _llvm(x), args)


@intrinsic
def reduce_minimum(typing_context: Any, x: Any) -> Any:
    """The smallest lane, as a number."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return _call(b, f"llvm.vector.reduce.umin.{_suffix(_llvm(x))}", _element(x), args)

    return _SCALARS[x.element](x), generate


def _permutation(indices: Any) -> Any:
    """Lanes of one vector in another order."""

    @intrinsic
    def permute(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            return b.shuffle_vector(args[0], _undefined(_llvm(x)), _indices(indices))

        return x(x), generate

    return permute


rotate_up = _permutation([LANES - 1, *range(LANES - 1)])
"""lane i <- x[i - 1], lane 0 <- the last"""
rotate_down = _permutation([*range(1, LANES), 0])
"""lane i <- x[i + 1], the last lane <- lane 0"""
reverse = _permutation(range(LANES - 1, -1, -1))


def _one_lane(lane: int) -> Any:
    @intrinsic
    def constant(typing_context: Any) -> Any:
        return U8(), lambda context, b, signature, args: ir.Constant(_llvm(U8), [255 if i == lane else 0 for i in range(LANES)])

    return constant


first_lane, last_lane = _one_lane(0), _one_lane(LANES - 1)
"""255 in one lane, 0 elsewhere"""


def _every_second(start: int) -> Any:
    @intrinsic
    def pick(typing_context: Any, x: Any, y: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            return b.shuffle_vector(args[0], args[1], _indices(range(start, 2 * LANES, 2)))

        return x(x, y), generate

    return pick


even_lanes, odd_lanes = _every_second(0), _every_second(1)
"""lanes 0, 2, 4 ... (1, 3, 5 ...) of two vectors side by side"""


@intrinsic
def even_bytes(typing_context: Any, x: Any) -> Any:
    """Lanes 0, 2, 4 ... of 64 bytes as 32 uint16 (a mask: cheaper than widening, which shuffles)."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.and_(b.bitcast(args[0], _llvm(U16)), ir.Constant(_llvm(U16), [255] * WIDE_LANES))

    return U16(x), generate


@intrinsic
def odd_bytes(typing_context: Any, x: Any) -> Any:
    """Lanes 1, 3, 5 ... of 64 bytes as 32 uint16."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.lshr(b.bitcast(args[0], _llvm(U16)), ir.Constant(_llvm(U16), [8] * WIDE_LANES))

    return U16(x), generate


def _comparison(predicate: str) -> Any:
    @intrinsic
    def compare(typing_context: Any, x: Any, y: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            mask = b.bitcast(b.icmp_unsigned(predicate, args[0], args[1]), ir.IntType(x.lanes))
            return b.zext(mask, ir.IntType(64)) if x.lanes < 64 else mask

        return types.uint64(x, y), generate

    return compare


lanes_equal, lanes_less = _comparison("=="), _comparison("<")


@intrinsic
def where_less(typing_context: Any, x: Any, y: Any, a: Any, c: Any) -> Any:
    """X < y ? a : c, lane by lane."""
    return a(x, y, a, c), lambda context, b, signature, args: b.select(b.icmp_unsigned("<", args[0], args[1]), args[2], args[3])


@intrinsic
def element(typing_context: Any, array: Any, offset: Any) -> Any:
    """One number of an array of whole numbers."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.load(_element_pointer(context, b, signature.args[0], args[0], args[1]))

    return array.dtype(array, types.intp), generate


@intrinsic
def set_element(typing_context: Any, array: Any, offset: Any, value: Any) -> Any:
    """Store one whole number."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        place = _element_pointer(context, b, signature.args[0], args[0], args[1])
        b.store(context.cast(b, args[2], signature.args[2], array.dtype), place)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


def _word(bits: int) -> tuple[Any, Any]:
    @intrinsic
    def load(typing_context: Any, memory: Any, offset: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            place = _pointer(context, b, signature.args[0], args[0], args[1], ir.IntType(bits))
            return b.zext(b.load(place, align=1), ir.IntType(64))

        return types.int64(memory, types.intp), generate

    @intrinsic
    def store(typing_context: Any, memory: Any, offset: Any, value: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            place = _pointer(context, b, signature.args[0], args[0], args[1], ir.IntType(bits))
            wide = context.cast(b, args[2], signature.args[2], types.int64)
            b.store(b.trunc(wide, ir.IntType(bits)), place, align=1)
            return context.get_dummy_value()

        return types.void(memory, types.intp, value), generate

    return load, store


(byte, set_byte), (half_word, set_half_word), (word, set_word) = (_word(bits) for bits in (8, 16, 32))
"""a whole number without sign of 1, 2 or 4 bytes, anywhere in memory; offsets count elements as for vectors"""


def _bit_scalar(name: str, *flags: int) -> Any:
    @intrinsic
    def operation(typing_context: Any, x: Any) -> Any:
        def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
            extra = [ir.Constant(_I1, f) for f in flags]
            return _call(b, f"llvm.{name}.i64", args[0].type, [args[0], *extra])

        return types.int64(types.uint64), generate

    return operation


first_bit, number_of_bits = _bit_scalar("cttz", 0), _bit_scalar("ctpop")


def aligned(count: int, dtype: Any) -> Any:
    """A zeroed array that starts on a cache line, as `stream16` needs; a vector's room before and behind may be read."""
    size = np.dtype(dtype).itemsize * count
    raw = np.zeros(size + 3 * LANES, np.uint8)
    start = LANES + -raw.ctypes.data % LANES
    return raw[start : start + size].view(dtype)
