"""The four schedules: in which order a rule is applied, and what each agent sees.

* `asynchronous`: somebody drawn at random acts, and all later ones see the effect.
* `sweep`: everybody acts once per round, in an order shuffled anew every round, and all later ones
  see the effect.
* `synchronous`: everybody acts at once, on the state at the start of the round.
* `matching`: everybody is in at most one pair per round; all pairs act at once.

They are different models: the same rule gives different results, and so a schedule is named, never
implied, and told in the record of a run.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from abm.errors import EngineError, PopulationError, require

__all__ = ["Schedule", "check_schedule", "member_rows", "order_of", "turn_of"]

Schedule = Literal["asynchronous", "sweep", "synchronous", "matching"]


def check_schedule(schedule: str, offered: tuple[str, ...], driver: str) -> None:
    """Refuse a schedule that a driver does not have.

    Raises
    ------
    EngineError
        Names the schedules that it has.
    """
    require(
        schedule in offered,
        EngineError,
        f"schedule = {schedule!r}, expected one of {', '.join(offered)} for {driver}",
        argument="schedule",
        value=schedule,
    )


def member_rows(members: ArrayLike | None, n: int) -> NDArray[np.int32] | None:
    """Rows of the members, all different; `None` stands for everybody.

    Raises
    ------
    PopulationError
        Rows outside the columns, or twice the same.
    """
    if members is None:
        return None
    rows = np.asarray(members)
    rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64).ravel()
    good = bool(((rows >= 0) & (rows < n)).all()) and np.unique(rows).size == rows.size
    require(good, PopulationError, f"members: expected different rows in 0..{n - 1}")
    return rows.astype(np.int32)


def turn_of(schedule: str, members: NDArray[np.int32] | None) -> str:
    """How the next agent is found: `anybody`, `members` or `sweep`."""
    if schedule == "asynchronous":
        return "anybody" if members is None else "members"
    return "sweep"


def order_of(turn: str, members: NDArray[np.int32] | None, n: int) -> NDArray[np.int32]:
    """The members; a copy if the driver will shuffle them, empty where it needs none."""
    if turn == "anybody":
        return np.empty(0, dtype=np.int32)
    if members is None:
        return np.arange(n, dtype=np.int32)
    return members.copy() if turn == "sweep" else members
