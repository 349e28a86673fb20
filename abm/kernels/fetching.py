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
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    @intrinsic  # type: ignore[untyped-decorator]
    def _prefetch(_context: Any, array: Any, row: Any) -> Any:
        """The first element of a row on its way into the cache."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            held = context.make_array(signature.args[0])(context, builder, arguments[0])
            stride = cgutils.unpack_tuple(builder, held.strides)[0]
            place = context.cast(builder, arguments[1], signature.args[1], types.intp)
            byte = ir.IntType(8).as_pointer()
            where = cgutils.pointer_add(builder, held.data, builder.mul(place, stride), byte)
            number = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
            ask = builder.module.declare_intrinsic("llvm.prefetch", (byte,), kind)
            builder.call(ask, [where, number(_READ), number(_KEEP), number(_DATA)])
            return context.get_dummy_value()

        return types.void(array, row), generate

else:

    def _prefetch(_array: Any, _row: Any) -> None:
        return


@lean
def fetch(array: Any, row: Any) -> None:
    """Ask for the memory of a row of an array; the row must exist."""
    _prefetch(array, row)
