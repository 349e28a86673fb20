"""What a rule gave back that cannot stand: found in the loop, told with agent and time.

Where there is no clock, the time is the round, counted from 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.errors import RuleError
from abm.kernels.rule import name_of

__all__ = ["no_fault", "raise_fault", "spot_of"]


def no_fault() -> NDArray[np.float64]:
    """Where a driver writes down a fault, shape (6,).

    Found or not, agent, partner, time or round, value; and for encounters how many there were
    before, or before the block.
    """
    return np.array([0.0, -1.0, -1.0, np.nan, np.nan, 0.0])


def spot_of(fault: NDArray[np.float64], *, clock: bool = False) -> dict[str, Any]:
    """Whom a driver was at, as far as it has written that down: -1 and nan for what is unknown.

    Parameters
    ----------
    clock
        Whether there is a clock, so that its time is a time and no round.
    """
    agent, partner, time = fault[1:4].tolist()
    return {"agent": int(agent), "partner": int(partner), "time" if clock else "round": time}


def raise_fault(
    fault: NDArray[np.float64],
    rule: Any,
    low: Any,
    high: Any,
    *,
    what: str = "value",
    clock: bool = False,
) -> None:
    """Raise the fault that a driver has found, if it has.

    Parameters
    ----------
    what
        What the rule gives.
    clock
        As in `spot_of`.

    Raises
    ------
    RuleError
        Names the rule, the agent's row, the time or round and the value.
    """
    if not fault[0]:
        return
    agent, partner, time, value = int(fault[1]), int(fault[2]), float(fault[3]), float(fault[4])
    met = f" with agent {partner}" if partner >= 0 else ""
    when = "" if np.isnan(time) else f" {'at time' if clock else 'in round'} {time:g}"
    wanted, told = f"{low:g} <= {what} <= {high:g}", f"{value!r}"
    if isinstance(low, int):
        wanted = f"a whole number with {wanted}"
        told = f"{value:.0f}" if value.is_integer() else told
    elif np.isinf(low) and np.isinf(high):
        wanted = "a number"
    raise RuleError(
        f"rule {name_of(rule)!r} gave {what} {told} for agent {agent}{met}{when}, expected "
        f"{wanted}; the columns are as they were before",
        agent=agent,
        partner=partner if partner >= 0 else None,
        time=time,
        value=value,
    )
