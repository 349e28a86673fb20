"""Putting drivers together: compiled where that is possible and pays, else interpreted, and why.

A driver is assembled by a function of the tools, the rule and what kind of columns, ties and
schedule it works on. It is compiled once per rule and kind. The interpreted driver is the same
source on the same generator: it gives the same bits, only slower.
"""

from __future__ import annotations

import math
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

from abm.errors import AbmError, EngineError, RuleError
from abm.kernels.doing import done_so_far
from abm.kernels.mistakes import in_plain_words
from abm.kernels.rule import Taken, name_of
from abm.kernels.tools import Tools, has_numba, tools

__all__ = ["SLOWER", "RuleRun", "RuleWarning", "SlowWay", "launch"]

Factors = tuple[int, int]
SLOWER: Factors = (30, 450)
"""How many times slower an interpreted rule is, by driver: least and most among the measurements in
docs/rules_benchmarks.md. Told in messages."""

# Updates that are interpreted (some 5 microseconds each) sooner than a rule is compiled (seconds),
# or its machine code of former processes is loaded from disk (half a second, with Numba).
_SMALL = 500_000
_SMALL_IF_KEPT = 100_000
_OFTEN = 25  # how often each agent acts where nobody can tell beforehand
_WARNED = 20_000  # from so many updates on, a rule that can only be interpreted says so
_SPOT = {
    "agent": "for agent {}",
    "partner": "with agent {}",
    "time": "at time {:g}",
    "round": "in round {:g}",
}
_work: dict[Any, float] = {}
_not_kept: set[Any] = set()
_refused: dict[Any, str] = {}
_forms: dict[Any, tuple[str, ...]] = {}  # lean code, or code that may make arrays

Assemble = Callable[..., Callable[..., Any]]


class RuleWarning(UserWarning):
    """A rule runs slower than it could; says why and what it costs."""


class RuleRun(NamedTuple):
    """What a driver did: kept with the results.

    Attributes
    ----------
    driver
        `pairwise`, `neighbours`, `transitions`, ...
    rule
        Name of the rule.
    schedule
        `asynchronous`, `sweep`, `synchronous` or `matching`.
    rounds
        Rounds applied; for encounters in any number, encounters per member.
    n_updates
        How often the rule was applied.
    compiled
        Whether it was compiled.
    why
        Why not, if it was not; else empty.
    """

    driver: str
    rule: str
    schedule: str
    rounds: float
    n_updates: int
    compiled: bool
    why: str


class SlowWay(NamedTuple):
    """What is done with a rule that is not compiled.

    Attributes
    ----------
    drive
        A driver on the same arguments; the interpreted one if `None`.
    factor
        How many times slower than compiled it is, at least and at most.
    hint
        What could be quicker; for the warning.
    """

    drive: Callable[..., Any] | None = None
    factor: Factors = SLOWER
    hint: str = ""


def launch(
    assemble: Assemble,
    rule: Taken,
    kind: tuple[Any, ...],
    arguments: tuple[Any, ...] | Callable[[bool], tuple[Any, ...]],
    *,
    compiled: bool | None,
    work: float,
    guessed: bool = False,
    slow: SlowWay | None = None,
    at: Callable[[], dict[str, Any]] | None = None,
) -> tuple[Any, str]:
    """Run a driver on its arguments; returns its result, and why it was interpreted if it was.

    Parameters
    ----------
    assemble
        (tools, rule, *kind) -> driver.
    arguments
        Of the driver; or a function that makes them for a compiled driver, or not.
    compiled
        `True` or `False`; `None` lets the amount of work decide, and whether machine code is there.
    work
        About how often the rule will be applied.
    guessed
        Nobody can tell: `work` counts those who may act, each of them many times.
    slow
        What to do with a rule that is not compiled; interpret it if `None`.
    at
        Tells which `agent` (and `partner`) a rule was applied to when it raised an exception, and
        at which `time` or in which `round`, as far as that is known.

    Raises
    ------
    EngineError
        `compiled=True`, and the rule cannot be compiled.
    """
    given = arguments if callable(arguments) else lambda _: arguments
    slow = slow or SlowWay()
    key = (assemble, rule, kind)
    work *= _OFTEN if guessed else 1
    why = _why_not(key, compiled, work, slow, lambda: given(True))
    done_so_far(why=why)
    if not why:
        error = None
        for form in _forms.get(key, ("lean", "full")):
            driver = _driver(*key, form)
            try:
                made = driver(*given(True))
            except Exception as failure:
                if not _from_compiler(failure, driver):
                    raise _raised(rule, failure, at) from failure
                _note_refusal(driver, failure)
                error = error or failure
            else:
                _forms[key] = (form,)
                return made, ""
        assert error is not None
        why = _explain(rule, error, slow, must=compiled is True)
        _refused[rule.plain] = why
    if slow.drive is not None:
        why += "; applied to arrays, in layers"
    done_so_far(why=why)
    try:
        return (slow.drive or _driver(assemble, rule, kind, ""))(*given(False)), why
    except Exception as failure:
        raise _raised(rule, failure, at, interpreted=True) from failure


def _raised(
    rule: Taken,
    failure: Exception,
    at: Callable[[], dict[str, Any]] | None,
    *,
    interpreted: bool = False,
) -> Exception:
    """What a rule raised, as an error that names the rule, and the agent if that is known."""
    if isinstance(failure, AbmError):
        return failure
    spot = (
        {} if at is None else {key: value for key, value in at().items() if 0 <= value < math.inf}
    )
    where = "".join(f" {_SPOT[key].format(value)}" for key, value in spot.items())
    if "round" in spot:
        spot["time"] = spot.pop("round")
    if interpreted and _is_of_the_driver(failure, rule):
        return RuleError(
            f"rule {name_of(rule.plain)!r} gave{where} what cannot be used: {failure}; expected "
            "numbers, as many as the rules of its driver return; columns are as they were then",
            **{"value": failure, **spot},
        )
    return RuleError(
        f"rule {name_of(rule.plain)!r} raised {type(failure).__name__}{where}: {failure}; columns "
        "are as they were at that moment. To see where in the rule, run with compiled=False",
        **{"value": failure, **spot},
    )


def _is_of_the_driver(failure: Exception, rule: Taken) -> bool:
    """Whether an interpreted driver choked on what a rule gave, rather than the rule itself."""
    if not isinstance(failure, (TypeError, ValueError)):
        return False
    frames = [frame for frame, _ in traceback.walk_tb(failure.__traceback__)]
    where = str(frames[-1].f_globals.get("__name__"))
    ours = where.startswith("abm.kernels.") and not where.startswith("abm.kernels.rules")
    code = getattr(rule.plain, "__code__", None)
    return ours and all(frame.f_code is not code for frame in frames)


@lru_cache(maxsize=512)
def _driver(
    assemble: Assemble, rule: Taken, kind: tuple[Any, ...], form: str
) -> Callable[..., Any]:
    pieces: Tools = tools(compiled=bool(form), lean=form == "lean")
    made: Callable[..., Any] = pieces.jit(assemble(pieces, rule, *kind))
    if form:
        with suppress(ImportError):  # another Numba, whose machine code we cannot keep
            from abm.kernels.kept import keep

            keep(made)
    return made


def _why_not(
    key: tuple[Any, ...],
    compiled: bool | None,
    work: float,
    slow: SlowWay,
    arguments: Callable[[], tuple[Any, ...]],
) -> str:
    """Why a rule is not compiled this time; empty if it is. `key`: assemble, rule and kind."""
    rule: Taken = key[1]
    if compiled is False:
        return "as asked"
    if rule.plain in _refused and compiled is None:
        return _refused[rule.plain]
    if not has_numba():
        if compiled:
            raise EngineError(
                "compiled=True needs Numba, which is not installed: pip install numba, or leave "
                "compiled out to have the rule interpreted"
            )
        _warn(rule, "Numba is not installed (pip install numba)", work, slow)
        return "Numba is not installed"
    return "" if compiled else _too_little(key, work * slow.factor[0] / SLOWER[0], arguments)


def _too_little(key: tuple[Any, ...], work: float, arguments: Callable[[], tuple[Any, ...]]) -> str:
    """Whether what a rule has had to do in this process so far is too little to compile it for."""
    if key in _forms:
        return ""
    place = (key[0], key[1].plain)
    done = _work[place] = _work.get(place, 0.0) + work
    if done >= _SMALL or (done >= _SMALL_IF_KEPT and _is_kept(key, arguments)):
        return ""
    kept = ", and it is not kept from before" if done >= _SMALL_IF_KEPT else ""
    return f"too little work to compile for{kept}"


def _is_kept(key: tuple[Any, ...], arguments: Callable[[], tuple[Any, ...]]) -> bool:
    """Whether the machine code of a driver is on disk; looked up once in a process."""
    if key in _not_kept:
        return False
    with suppress(ImportError):
        from abm.kernels.kept import is_kept

        if any(is_kept(_driver(*key, form), arguments()) for form in ("lean", "full")):
            return True
    _not_kept.add(key)
    return False


def _warn(rule: Taken, reason: str, work: float, slow: SlowWay) -> None:
    if work >= _WARNED:
        least, most = slow.factor
        how = "is interpreted" if slow.drive is None else "is applied to arrays, in layers"
        warnings.warn(
            f"rule {name_of(rule.plain)!r} {how}, {least} to {most} times slower than compiled, "
            f"with the same results: {reason}" + (f". {slow.hint}" if slow.hint else ""),
            RuleWarning,
            stacklevel=_level(),
        )


def _level() -> int:
    """How far up the first frame outside of the library is, counted from `_warn`."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and str(frame.f_globals.get("__name__")).startswith("abm."):
        frame, level = frame.f_back, level + 1
    return level


def _note_refusal(driver: Any, failure: Exception) -> None:
    with suppress(ImportError):
        from abm.kernels.kept import keep_refusal

        keep_refusal(driver, failure)


def _from_compiler(error: Exception, driver: Any) -> bool:
    """Whether compiling failed, rather than the rule."""
    from numba.core.errors import NumbaError

    return isinstance(error, NumbaError) or not driver.signatures


def _explain(rule: Taken, error: Exception, slow: SlowWay, *, must: bool) -> str:
    reason = _first_reason(str(error))
    if must:
        raise EngineError(
            f"rule {name_of(rule.plain)!r} cannot be compiled: {reason}; use plain arithmetic on "
            "numbers, or leave compiled out to have it interpreted",
        ) from error
    _warn(rule, reason, _WARNED, slow)
    return reason


def _first_reason(text: str) -> str:
    """What a message of Numba says, in one line."""
    import re

    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    lines = [line.strip(" -") for line in plain.splitlines() if line.strip(" -")]
    told = [line for line in lines if not line.startswith(("Failed in", "Resolution failure"))]
    return in_plain_words((told or lines or ["Numba gives no reason"])[0])[:300]
