"""What a rule gave back that cannot stand: found in the loop, told with agent and time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.errors import RuleError
from abm.kernels.rule import name_of

__all__ = ["no_fault", "raise_fault", "spot_of"]


def no_fault() -> NDArray[np.float64]:
    """Where a driver writes down a fault: found or not, agent, partner, time, value; shape (5,)."""
    return np.array([0.0, -1.0, -1.0, np.nan, np.nan])


def spot_of(fault: NDArray[np.float64]) -> dict[str, Any]:
    """Whom a driver was at, as far as it has written that down: -1 and nan for what is unknown."""
    agent, partner, time = fault[1:4].tolist()
    return {"agent": int(agent), "partner": int(partner), "time": time}


def raise_fault(
    fault: NDArray[np.float64], rule: Any, low: Any, high: Any, *, what: str = "value"
) -> None:
    """Raise the fault that a driver has found, if it has.

    Raises
    ------
    RuleError
        Names the rule, the agent's row, the time and the value.
    """
    if not fault[0]:
        return
    agent, partner, time, value = int(fault[1]), int(fault[2]), float(fault[3]), float(fault[4])
    met = f" with agent {partner}" if partner >= 0 else ""
    when = "" if np.isnan(time) else f" at time {time:g}"
    wanted = f"{low:g} <= {what} <= {high:g}"
    if isinstance(low, int):
        wanted = f"a whole number with {wanted}"
    raise RuleError(
        f"rule {name_of(rule)!r} gave {what} {value!r} for agent {agent}{met}{when}, expected "
        f"{wanted}; the columns are as they were before",
        agent=agent,
        partner=partner if partner >= 0 else None,
        time=time,
        value=value,
    )
