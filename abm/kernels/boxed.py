"""Objects with methods inside compiled rules: `rng.random()`, `agenda.cancel(j)`. Imports Numba.

An object of a class that is registered here holds one thing (an array, or a tuple of arrays), and
crosses into compiled code as that thing under a type of its own, for which methods are declared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import (
    NativeValue,
    make_attribute_wrapper,
    models,
    overload_method,
    register_model,
    typeof_impl,
    unbox,
)

__all__ = ["BoxedType", "method_of", "methods_of", "register"]

_methods: dict[type[Any], list[Callable[..., Any]]] = {}


class BoxedType(types.Type):
    """Type of an object that holds something of type `held`; one subclass per class."""

    def __init__(self, held: Any) -> None:
        self.held = held
        super().__init__(f"{type(self).__name__}({held})")


def register(kind: type[Any], boxed: type[BoxedType]) -> None:
    """Let objects of class `kind`, whose attribute `held` is what they hold, be passed in."""

    @register_model(boxed)
    class Model(models.StructModel):
        def __init__(self, dmm: Any, typ: Any) -> None:
            super().__init__(dmm, typ, [("held", typ.held)])  # type: ignore[no-untyped-call]

    @typeof_impl.register(kind)
    def typeof(value: Any, context: Any) -> Any:
        return boxed(typeof_impl(value.held, context))

    @unbox(boxed)  # type: ignore[no-untyped-call, untyped-decorator]
    def opened(typ: Any, value: Any, c: Any) -> Any:
        held = c.pyapi.object_getattr_string(value, "held")
        native = c.unbox(typ.held, held)
        proxy: Any = cgutils.create_struct_proxy(typ)  # type: ignore[no-untyped-call]
        made = proxy(c.context, c.builder)
        made.held = native.value
        c.pyapi.decref(held)
        whole = made._getvalue()
        error, cleanup = native.is_error, native.cleanup
        return NativeValue(whole, is_error=error, cleanup=cleanup)  # type: ignore[no-untyped-call]

    make_attribute_wrapper(boxed, "held", "held")


def method_of(boxed: type[BoxedType], method: Callable[..., Any]) -> None:
    """Let compiled code call `it.name(...)`; `method`, called `_name`, takes (it[, a[, b]])."""

    def none(it: Any) -> Any:  # noqa: ARG001
        return method

    def one(it: Any, a: Any) -> Any:  # noqa: ARG001
        return method

    def two(it: Any, a: Any, b: Any) -> Any:  # noqa: ARG001
        return method

    _methods.setdefault(boxed, []).append(method)
    typed = (none, one, two)[method.__code__.co_argcount - 1]
    overload_method(boxed, method.__name__[1:])(typed)


def methods_of(kind: BoxedType) -> list[Callable[..., Any]]:
    """The methods that were declared for a type."""
    return _methods.get(type(kind), [])
