"""Places in a study: which key a mistake is about, and the error that carries it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from abm.errors import AbmError, ScenarioError

__all__ = ["at_place", "check_name", "check_whole", "dotted", "error_at", "expect"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def error_at(place: Sequence[str | int], message: str, **values: Any) -> ScenarioError:
    """A ScenarioError that carries the place in the study that it is about."""
    name = dotted(place)
    text = message if message.startswith(name) else f"{name}: {message}"
    return ScenarioError(text, place=tuple(place), said=message, **values)


def dotted(place: Sequence[str | int]) -> str:
    """`("interventions", 0, "at")` as `interventions[0].at`."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place).removeprefix(".")


class at_place:
    """Adds the place in the study to whatever error is raised inside."""

    def __init__(self, *place: str | int) -> None:
        self.place = place

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, AbmError):
            inner = getattr(error, "place", ())
            raise error_at((*self.place, *inner), getattr(error, "said", str(error))) from error


def expect(good: bool, place: Sequence[str | int], value: Any, what: str) -> None:
    if not good:
        raise error_at(place, f"{dotted(place)} = {value!r}: {what}", value=value)


def check_name(name: Any, place: tuple[str, ...]) -> None:
    good = isinstance(name, str) and _NAME.fullmatch(name) is not None and len(name) <= 80
    what = "expected a name of letters, digits and . _ + - (it becomes a folder)"
    expect(good, place, name, what)


def check_whole(value: Any, place: tuple[str, ...], least: int) -> None:
    good = isinstance(value, int) and not isinstance(value, bool) and value >= least
    expect(good, place, value, f"expected a whole number >= {least}")
