"""A user's rule: what it takes, how it is called, and what it may give back.

A rule is a small function of numbers. It names its arguments in the order that its driver tells;
if the last one is called `u`, it gets a uniform random number in [0, 1), and if it is called `rng`,
a generator with `random()`, `integer(n)`, `exponential()` and `normal()`.

Rules compute in 64 bits, whatever the type of the column: floats arrive as 64-bit floats, integers
as 64-bit integers, and what comes back is rounded to the column when it is stored. So a rule gives
the same numbers compiled and interpreted. Rules that are given arrays read numbers of 64 bits out
of them where they are interpreted; compiled, sums and products of two numbers of arrays of 32-bit
floats have 32 bits, so that `float(x[i])` says it where the last bit counts.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from numbers import Number
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from abm.errors import EngineError, require
from abm.kernels.mistakes import refuse_mistakes
from abm.kernels.tools import Tools

__all__ = [
    "Bounds",
    "Taken",
    "bounds_of",
    "calling",
    "checked_params",
    "name_of",
    "on_arrays",
    "taken",
    "widen",
]

Function = Callable[..., Any]
_Rule = TypeVar("_Rule", bound=Function)
Bounds = tuple[float, float] | None


class Taken(NamedTuple):
    """What a rule takes.

    Attributes
    ----------
    plain
        The function itself, without a compiler's wrapping.
    extra
        Whether it takes the optional argument of its driver.
    chance
        Name of its last argument if that is `u` or `rng`, else the empty text.
    arrays_at
        Place of the argument that holds the arrays of a state; -1 for a rule on numbers.
    """

    plain: Function
    extra: bool
    chance: str
    arrays_at: int = -1


def taken(rule: Function, base: tuple[str, ...], extra: str = "") -> Taken:
    """What a rule takes, read from its signature.

    Parameters
    ----------
    base
        What the driver passes; the rule may use other names for them.
    extra
        Name of a further argument that may stand before the last of `base`.

    Raises
    ------
    EngineError
        The rule takes other arguments, asks `rng` for what it does not offer, or draws from a
        generator that the seed of a run does not decide.

    Examples
    --------
    >>> taken(lambda own, other, p, u: (own, other), ("own", "other", "params")).chance
    'u'
    """
    plain = getattr(rule, "py_func", rule)
    require(callable(plain), EngineError, f"rule = {rule!r}, expected a function")
    names = list(inspect.signature(plain).parameters)
    chance = names[-1] if names and names[-1] in ("u", "rng") else ""
    given = names[:-1] if chance else names
    has_extra = bool(extra) and extra in given and len(given) == len(base) + 1
    place = len(base) - 1
    good = len(given) == len(base) + has_extra and (not has_extra or given[place] == extra)
    shape = [*base[:-1], *([f"[{extra}]"] if extra else []), base[-1]]
    require(
        good,
        EngineError,
        f"rule {name_of(rule)!r} takes ({', '.join(names)}), expected ({', '.join(shape)}), and if "
        "it uses chance a last argument `u` (a uniform number) or `rng` (a generator)",
    )
    refuse_mistakes(plain, chance)
    arrays_at = len(base) - 2 if base[-2:] == ("state", "params") else -1
    return Taken(plain, has_extra, chance, arrays_at)


def calling(pieces: Tools, rule: Taken) -> Function:
    """`call(rng, *arguments)`, for any rule: with `u`, with `rng` or without chance."""
    inner = rule.plain
    if pieces.compiled:
        inner = pieces.jit(inner)
    elif rule.arrays_at >= 0:
        inner = _reading_wide(inner, rule.arrays_at)

    def without(_rng: Any, *arguments: Any) -> Any:
        return inner(*arguments)

    def uniform(rng: Any, *arguments: Any) -> Any:
        return inner(*arguments, rng.random())

    def generator(rng: Any, *arguments: Any) -> Any:
        return inner(*arguments, rng)

    made: Function = pieces.jit({"": without, "u": uniform, "rng": generator}[rule.chance])
    return made


_NARROW = frozenset(map(np.dtype, ("b1", "i1", "i2", "i4", "u1", "u2", "u4", "f2", "f4")))
_read = np.ndarray.__getitem__


class _Wide(np.ndarray[Any, Any]):
    """A view of an array of narrow numbers, out of which Python's own are read, as compiled code
    does: the sum of two of its 8-bit integers has no 8 bits."""

    def __getitem__(self, place: Any) -> Any:
        value = _read(self, place)
        return value if isinstance(value, np.ndarray) else value.item()


def _reading_wide(rule: Function, at: int) -> Function:
    """An interpreted rule that reads numbers of 64 bits from the arrays of its state."""

    def call(*arguments: Any) -> Any:
        given = arguments[at]
        wide = _wide(given)
        if wide is given:
            return rule(*arguments)
        return rule(*arguments[:at], wide, *arguments[at + 1 :])

    return call


def _wide(given: Any) -> Any:
    """A tuple of arrays, to be read in 64 bits."""
    narrow = [array.dtype in _NARROW for array in given]
    if True not in narrow:
        return given
    made = [a.view(_Wide) if small else a for a, small in zip(given, narrow, strict=True)]
    return given._make(made) if hasattr(given, "_make") else tuple(made)


def widen(pieces: Tools, dtype: DTypeLike) -> Function:
    """Number of a column -> what a rule gets: 64-bit float, 64-bit integer, or truth value."""
    kind = np.dtype(dtype).kind
    require(
        kind in "fiub",
        EngineError,
        f"a column of type {np.dtype(dtype)}, expected floats, integers or truth values: give "
        "categories numbers",
    )
    if kind == "f":
        return pieces.real
    return bool if kind == "b" else int


def on_arrays(twin: Function | None = None) -> Callable[[_Rule], _Rule]:
    """Tell what a rule for `run_pairwise` is on arrays, for where there is no compiler.

    Parameters
    ----------
    twin
        `twin(own, other, params[, u]) -> (own', other')`, with the same operations in the same
        order, and `np.where` for `if`. `None` for a rule without `if`, which serves as it is.

    Examples
    --------
    >>> @on_arrays(lambda own, other, p: (np.where(own > 0, own - 1, own), other))
    ... def spend(own, other, p):
    ...     return (own - 1 if own > 0 else own), other
    >>> spend.vectorised(np.array([0, 3]), np.array([5, 5]), ())[0].tolist()
    [0, 2]
    """

    def give(rule: _Rule) -> _Rule:
        rule.vectorised = rule if twin is None else twin  # type: ignore[attr-defined]
        return rule

    return give


def bounds_of(dtype: DTypeLike, bounds: Bounds) -> tuple[Any, Any]:
    """The range that values of a column may have; by default all that its type can hold but nan.

    Examples
    --------
    >>> bounds_of("int8", None), bounds_of("float32", (0, 1))
    ((-128, 127), (0.0, 1.0))
    """
    kind = np.dtype(dtype).kind
    if kind == "b":
        return False, True
    if kind == "f":
        low, high = (-np.inf, np.inf) if bounds is None else bounds
        low, high = float(low), float(high)
    else:
        info = np.iinfo(dtype)
        low, high = (info.min, info.max) if bounds is None else bounds
        low, high = max(int(np.ceil(low)), info.min), min(int(np.floor(high)), info.max)
        low, high = max(low, -(2**63)), min(high, 2**63 - 1)
    require(
        low <= high, EngineError, f"bounds = {bounds!r}, expected (lowest, highest)", value=bounds
    )
    return low, high


def checked_params(params: Any) -> tuple[Any, ...]:
    """Parameters in 64 bits, in the tuple they came in, if they are a tuple of numbers.

    Examples
    --------
    >>> checked_params((np.float32(0.5), 3))
    (0.5, 3)
    """
    require(
        isinstance(params, tuple)
        and all(isinstance(value, (Number, np.number)) for value in params),
        EngineError,
        f"params = {params!r}, expected a tuple or named tuple of numbers; columns belong to the "
        "state",
    )
    if not any(isinstance(value, np.generic) for value in params):
        return params  # type: ignore[no-any-return]
    # Interpreted, a number of 32 bits would draw what it meets down to 32 bits.
    plain = [value.item() if isinstance(value, np.generic) else value for value in params]
    return params._make(plain) if hasattr(params, "_make") else tuple(plain)


def name_of(rule: Function) -> str:
    """Name of a rule, for messages and records."""
    return str(getattr(rule, "__name__", rule))
