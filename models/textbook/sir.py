"""The Markov epidemic S + I -> 2 I at rate infection S I / N, I -> R at rate recovery I.

Simulated exactly, event by event (Kermack and McKendrick 1927; Gillespie 1977). The summaries are
numbers of infected people at the end of each day, as a school infirmary counts them, and how many
were ever infected.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from abm.calibration import Targets, scalar, series
from abm.errors import CalibrationError, require
from abm.rng import chance

__all__ = ["TRUTH", "epidemic", "planted_targets", "report", "school_targets", "simulate"]

Floats = NDArray[np.float64]
TRUTH = {"infection": 1.6, "recovery": 0.5}
"""Per day; the basic reproduction number is their ratio, 3.2."""
PLANTED_SEED = 1978


def epidemic(
    infection: float,
    recovery: float,
    *,
    n_people: int,
    n_infected: int,
    n_days: int,
    rng: np.random.Generator,
) -> tuple[Floats, int]:
    """Infected people at the end of days 1 to n_days, and how many were ever infected.

    Parameters
    ----------
    infection, recovery
        Rates per day, > 0.
    n_people, n_infected
        Everybody, and those infected at time 0.

    Examples
    --------
    >>> curve, ever = epidemic(1.6, 0.5, n_people=500, n_infected=5, n_days=14,
    ...                        rng=np.random.default_rng(1))
    >>> curve.shape, 5 <= ever <= 500
    ((14,), True)
    """
    susceptible, infected = n_people - n_infected, n_infected
    time, curve = 0.0, np.zeros(n_days)
    most = 2 * n_people
    waits, luck = rng.exponential(size=most).tolist(), rng.random(most).tolist()
    day = 1
    for wait, u in zip(waits, luck, strict=True):
        if infected == 0:
            break
        up = infection * susceptible * infected / n_people
        total = up + recovery * infected
        time += wait / total
        while day <= n_days and time > day:
            curve[day - 1] = infected
            day += 1
        if day > n_days:
            break
        if u * total < up:
            susceptible, infected = susceptible - 1, infected + 1
        else:
            infected -= 1
    return curve, n_people - susceptible


def simulate(
    parameters: Mapping[str, float],
    seed: int,
    fidelity: str,
    *,
    n_people: int = 500,
    n_infected: int = 5,
    n_days: int = 14,
) -> dict[str, Any]:
    """The simulator of the studies: `infected` per day and `ever` infected."""
    del fidelity
    curve, ever = epidemic(
        parameters["infection"],
        parameters["recovery"],
        n_people=n_people,
        n_infected=n_infected,
        n_days=n_days,
        rng=chance(seed, "epidemic"),
    )
    return {"infected": curve, "ever": float(ever)}


def planted_targets(n_people: int = 500, n_infected: int = 5, n_days: int = 14) -> Targets:
    """One epidemic at `TRUTH`; the number ever infected is held out."""
    data = simulate(
        TRUTH, PLANTED_SEED, "", n_people=n_people, n_infected=n_infected, n_days=n_days
    )
    return Targets(
        [series("infected", data["infected"]), scalar("ever", data["ever"], held_out=True)]
    )


def school_targets(file: str, day: str = "day", infected: str = "in_bed") -> Targets:
    """The curve of an outbreak from a file that you name, such as the boarding school of 1978.

    The counts of that school (British Medical Journal 1978, 1, 587: 763 boys, 14 days) are not
    shipped here. The R package `outbreaks` has them as `influenza_england_1978_school`.

    Parameters
    ----------
    file
        A CSV with one row per day.
    day, infected
        Its columns: the day, from 1 or as a date, and the number in bed on that day.

    Raises
    ------
    CalibrationError
        There is no such file or column, or a count or a day is missing.
    """
    path = Path(file)
    require(
        path.is_file(),
        CalibrationError,
        f"there is no file {file!r}. The curve is not shipped: export "
        "`influenza_england_1978_school` of the R package `outbreaks` to a CSV with the columns "
        f"{day!r} and {infected!r}, and name it in [targets] file = ...",
        argument="file",
    )
    table = pl.read_csv(path, infer_schema_length=None, try_parse_dates=True)
    missing = [name for name in (day, infected) if name not in table.columns]
    require(
        not missing, CalibrationError, f"{path.name} lacks the columns {missing}: {table.columns}"
    )
    _every_day_once(table[day], path.name)
    counts = table.sort(day)[infected].cast(pl.Float64, strict=False)
    require(
        counts.null_count() == 0,
        CalibrationError,
        f"{path.name}: {counts.null_count()} counts in {infected!r} are missing or no numbers",
    )
    return Targets([series("infected", counts.to_numpy())])


def _every_day_once(days: pl.Series, file: str) -> None:
    known = days.dtype.is_integer() or days.dtype == pl.Date
    gaps = days.sort().to_physical().diff().drop_nulls() if known else pl.Series([0])
    require(
        days.len() > 0 and days.null_count() == 0 and bool((gaps == 1).all()),
        CalibrationError,
        f"{file}: {days.name!r} has to hold every day once, as whole numbers or dates, and holds "
        f"{days.to_list()}",
    )


def report(result: Any, problem: Any, folder: Path, simulations: Any) -> None:
    """REPORT.md, and whether the planted rates lie in their intervals."""
    from abm.models.textbook.recovered import report_with_truth

    report_with_truth(result, problem, folder, simulations, TRUTH)
