"""Memory fetched ahead: rows of arrays that will be needed soon, asked for while others are used.

It changes nothing but the time; without Numba it does nothing.
"""

from __future__ import annotations

from typing import Any

from abm.kernels.library import lean
from abm.kernels.tools import has_numba

__all__ = ["fetch"]

_READ, _KEEP, _DATA = 0, 3, 1  # what the processor is told


if has_numba():
    from llvmlite import ir  # type: ignore[import-untyped]
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    _unpacked: Any = cgutils.unpack_tuple  # what Numba's stubs leave open
    _moved: Any = cgutils.pointer_add

    @intrinsic
    def _prefetch(_context: Any, array: Any, row: Any) -> Any:
        """The first element of a row on its way into the cache."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            held = context.make_array(signature.args[0])(context, builder, arguments[0])
            stride = _unpacked(builder, held.strides)[0]
            place = context.cast(builder, arguments[1], signature.args[1], types.intp)
            byte = ir.IntType(8).as_pointer()
            where = _moved(builder, held.data, builder.mul(place, stride), byte)
            number = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
            ask = builder.module.declare_intrinsic("llvm.prefetch", (byte,), kind)
            builder.call(ask, [where, number(_READ), number(_KEEP), number(_DATA)])
            return context.get_dummy_value()

        return types.void(array, row), generate

    _ask: Any = _prefetch  # it is called with its two arguments, from compiled code

else:

    def _ask(_array: Any, _row: Any) -> None:
        return


@lean
def fetch(array: Any, row: Any) -> None:
    """Ask for the memory of a row of an array; the row must exist."""
    _ask(array, row)
