"""Threads that follow each other through an image: claimed rows, published progress, waiting that gives the processor away."""

import ctypes
import os
import platform
import sys
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from stereo.kernels import inlined
from stereo.kernels.simd import _element_pointer

COUNTER_STRIDE = 8
"""int64 elements between two counters: one cache line each"""
_SPINS = 200
_X86 = platform.machine().lower() in ("x86_64", "amd64", "i386", "i686")
_I64 = ir.IntType(64)


@intrinsic
def claim(typing_context: Any, counters: Any, index: Any) -> Any:
    """Add 1 to an int64 and return what it was, as one step for all threads."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        pointer = _element_pointer(context, b, signature.args[0], args[0], args[1])
        return b.atomic_rmw("add", pointer, ir.Constant(_I64, 1), "seq_cst")

    return types.int64(counters, types.intp), generate


@intrinsic
def publish(typing_context: Any, counters: Any, index: Any, value: Any) -> Any:
    """Store an int64 after everything before it."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        b.store_atomic(args[2], _element_pointer(context, b, signature.args[0], args[0], args[1]), "release", 8)
        return context.get_dummy_value()

    return types.void(counters, types.intp, types.int64), generate


@intrinsic
def published(typing_context: Any, counters: Any, index: Any) -> Any:
    """Load an int64 before everything behind it."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.load_atomic(_element_pointer(context, b, signature.args[0], args[0], args[1]), "acquire", 8)

    return types.int64(counters, types.intp), generate


@intrinsic
def _pause(typing_context: Any) -> Any:
    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        if _X86:
            kind = ir.FunctionType(ir.VoidType(), [])
            b.call(cgutils.get_or_insert_function(b.module, kind, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def _call_address(typing_context: Any, address: Any) -> Any:
    """Call a C function without arguments; what it returns is not used."""

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        b.call(b.inttoptr(args[0], ir.FunctionType(ir.IntType(32), []).as_pointer()), [])
        return context.get_dummy_value()

    return types.void(types.intp), generate


@inlined
def wait_for(counters: Any, index: Any, target: Any, give_way: Any) -> None:
    """Wait until a counter reaches `target`; a long wait calls `give_way`, the address of the system's yield (0: none)."""
    spins = 0
    while published(counters, index) < target:
        spins += 1
        if spins > _SPINS and give_way != 0:
            _call_address(give_way)
        else:
            _pause()


@cache
def yield_address() -> int:
    """Address of the system's function that lets another thread run; 0 where none is known."""
    try:
        if sys.platform == "win32":
            function = ctypes.windll.kernel32.SwitchToThread
        elif os.name == "posix":
            function = ctypes.CDLL(None).sched_yield
        else:
            return 0
        return ctypes.cast(function, ctypes.c_void_p).value or 0
    except (OSError, AttributeError):
        return 0
