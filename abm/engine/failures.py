"""Whose process failed, and when: notes on an exception that stays what it is.

An error in an agent's process reaches the caller as the very object that was raised. It gains the
attributes `agent_id`, `agent_key` and `time` and a note, so that a traceback from a run of a
million agents says where to look.
"""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import Any

import mesa

from abm.errors import AbmError

__all__ = ["blame", "blame_from_traceback", "describe"]


def describe(agent: Any) -> str:
    """`Citizen 7` or, where the key is not the id, `Citizen 7 (key 'respondent 12')`."""
    name = f"{type(agent).__name__} {agent.unique_id}"
    key = getattr(agent, "key", agent.unique_id)
    return name if key in (agent.unique_id, name) else f"{name} (key {key!r})"


def blame(error: BaseException, agent: Any, time: float) -> None:
    """Attach agent and time to an error, once: the innermost process is the one to blame.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> error = ZeroDivisionError("division by zero")
    >>> blame(error, SimpleNamespace(unique_id=7), 2.5)
    >>> error.agent_id, error.time
    (7, 2.5)
    """
    if agent is None or getattr(error, "agent_id", None) is not None:
        return
    key = getattr(agent, "key", agent.unique_id)
    values = {"agent_id": agent.unique_id, "agent_key": key, "time": time}
    with suppress(AttributeError, TypeError):
        for name, value in values.items():
            setattr(error, name, value)
        if isinstance(error, AbmError):
            error.values.update(values)
    error.add_note(f"in {describe(agent)} at time {time:g}")


def blame_from_traceback(error: BaseException, time: float) -> None:
    """Blame the innermost agent whose method is on the traceback, if there is one."""
    agent = None
    frame: TracebackType | None = error.__traceback__
    while frame is not None:
        owner = frame.tb_frame.f_locals.get("self")
        if isinstance(owner, mesa.Agent) and hasattr(owner, "unique_id"):
            agent = owner
        frame = frame.tb_next
    blame(error, agent, time)
