"""Commands that live outside the core: entry points of the group `abm.commands`."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer

__all__ = ["GROUP", "add_commands"]

GROUP = "abm.commands"


def add_commands(app: typer.Typer) -> None:
    """Add every installed command to `app`, in the order of their names.

    An entry point `name = "module:function"` names a function as Typer takes it: annotated
    parameters, a docstring for `--help`. Its module is imported whenever `abm` starts, so it
    imports what is heavy only when it is called. A command whose module cannot be imported is
    listed and says so when it is called; the others work.
    """
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        app.command(name=entry.name)(_loaded(entry))


def _loaded(entry: EntryPoint) -> Callable[..., Any]:
    try:
        command: Callable[..., Any] = entry.load()
    except Exception as error:  # somebody else's code: it must not take `abm` with it
        return _broken(entry, error)
    return command


def _broken(entry: EntryPoint, error: Exception) -> Callable[[], None]:
    from abm.errors import AbmError

    def command() -> None:
        raise AbmError(f"the command {entry.name!r} ({entry.value}) cannot be loaded: {error}")

    command.__doc__ = f"(cannot be loaded: {error})"
    return command
