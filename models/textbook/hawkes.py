"""A self-exciting stream of events, calibrated from four numbers instead of its likelihood.

Events come at rate mu + sum over earlier events of n beta exp(-beta age) (Hawkes 1971, Biometrika
58, 83). The summaries are the rate of events, the log Fano factor of counts in short and in long
windows, and the mean log gap between events. In long windows the Fano factor tends to
1 / (1 - n)^2; how fast it gets there tells the decay.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.analysis.hawkes import simulate_hawkes
from abm.calibration import Targets, scalar
from abm.rng import chance

__all__ = ["TRUTH", "planted_targets", "report", "simulate", "summaries"]

Floats = NDArray[np.float64]
TRUTH = {"rate": 1.0, "branching": 0.5, "decay": 1.0}
PLANTED_SEED = 1971


def summaries(times: Floats, end: float) -> dict[str, float]:
    """Four numbers of a stream of events in [0, end); nan where too few events define them.

    Examples
    --------
    >>> found = summaries(np.arange(0.5, 100.0), 100.0)
    >>> found["per_time"], found["log_gap"]
    (1.0, 0.0)
    """
    gaps = np.diff(times)
    return {
        "per_time": len(times) / end,
        "log_fano_short": _log_fano(times, end, 0.5),
        "log_fano_long": _log_fano(times, end, 20.0),
        "log_gap": float(np.log(gaps).mean()) if len(gaps) > 1 else float("nan"),
    }


def _log_fano(times: Floats, end: float, window: float) -> float:
    """log(variance / mean) of counts in windows; a small constant keeps equal counts finite."""
    counts, _ = np.histogram(times, np.arange(0.0, end + window / 2, window))
    mean = float(counts.mean())
    return float(np.log(counts.var(ddof=1) / mean + 1e-3)) if mean > 0 else float("nan")


def simulate(
    parameters: Mapping[str, float], seed: int, fidelity: str, *, end: float = 1000.0
) -> dict[str, float]:
    """The simulator of the study."""
    del fidelity
    times = simulate_hawkes(
        parameters["rate"],
        parameters["branching"],
        parameters["decay"],
        end=end,
        rng=chance(seed, "hawkes"),
    )
    return summaries(np.asarray(times, dtype=np.float64), end)


def planted_targets(end: float = 1000.0) -> Targets:
    """One stream at `TRUTH`."""
    return Targets([scalar(k, v) for k, v in simulate(TRUTH, PLANTED_SEED, "", end=end).items()])


def report(result: Any, problem: Any, folder: Path, simulations: Any) -> None:
    """REPORT.md, and whether the planted parameters lie in their intervals."""
    from abm.models.textbook.recovered import report_with_truth

    report_with_truth(result, problem, folder, simulations, TRUTH)
