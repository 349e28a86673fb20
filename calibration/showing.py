"""What the terminal shows of a calibration: how it goes on, and what came out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.text import Text

from abm.calibration.execution import Done, execute
from abm.calibration.reading import Calibration
from abm.calibration.records import Tally
from abm.cli import show
from abm.cli.progress import duration

__all__ = ["TerminalProgress", "calibrate_and_show", "show_result"]


class TerminalProgress:
    """A line now and then: simulations, notional cost, failures, and the expected end."""

    def __init__(self, every: float = 5.0) -> None:
        self.every = every
        self._name = ""
        self._expected: int | None = None
        self._begun = self._told = time.monotonic()
        self._runs_before = 0
        self._runs = 0

    def stage(self, name: str, expected: int | None) -> None:
        """Print that a stage begins."""
        self._name, self._expected = name, expected
        self._begun = self._told = time.monotonic()
        self._runs_before = self._runs
        known = f": about {expected:,} simulations" if expected is not None else ""
        show.console.print(f"{name}{known}")

    def advance(self, tally: Tally) -> None:
        """Print a line if the last one was long enough ago."""
        self._runs = tally.n_runs
        now = time.monotonic()
        if now - self._told < self.every:
            return
        self._told = now
        done = self._runs - self._runs_before
        text = f"  {done:,} done, notional cost {tally.total_cost:,.0f} in all"
        text += f", {tally.n_failed:,} failed" if tally.n_failed else ""
        if self._expected and 1 < done < self._expected:  # the first may compile
            left = (now - self._begun) / done * (self._expected - done)
            text += f", about {duration(left)} left"
        show.console.print(text)


def calibrate_and_show(
    file: Path,
    out: Path,
    workers: int,
    fresh: bool,
    report: bool,
    check: int | None = None,
    check_sets: int | None = None,
) -> None:
    """Execute a calibration file and print its result."""
    calibration = Calibration.from_toml(file)
    done = execute(
        calibration,
        out,
        workers=workers,
        fresh=fresh,
        report=report,
        check=check,
        check_sets=check_sets,
        progress=TerminalProgress(),
    )
    show_result(done)


def show_result(done: Done) -> None:
    """Print the posterior, its price, and what a reader must know."""
    manifest = done.manifest
    show.console.print()
    rows = [list(row.values()) for row in manifest["summary"]]
    columns = list(manifest["summary"][0]) if rows else []
    show.table(f"{manifest['method']}: {done.folder.name}", columns, rows)
    show.console.print()
    _price(manifest)
    for notice in done.result.notices:
        show.console.print(Text(f"  {notice.outcome}: {notice.message}", style="yellow"))
    for words in manifest.get("trust", {}).get("words", ()):
        show.console.print(Text(f"  check: {words}"))
    if manifest["label"]:
        show.labels([manifest["label"]])
    show.console.print(f"results: {done.folder}")


def _price(manifest: Any) -> None:
    used = manifest["simulations"]
    rows = [
        [level, used["runs"][level], used["cost"][level], used["tokens"].get(level, 0)]
        for level in used["runs"]
    ]
    show.table("", ("fidelity", "simulations", "notional cost", "notional tokens"), rows)
    outcomes = ", ".join(f"{n:,} {name}" for name, n in used["outcomes"].items())
    hours = manifest["execution"]["simulated_hours"]
    text = f"outcomes: {outcomes}; {duration(hours * 3600)} of simulating"
    text += f"; {used['reused']:,} read from the ledger" if used["reused"] else ""
    show.console.print(text)
    if "ess" in manifest:
        show.console.print(
            f"effective sample size {manifest['ess']:.1f} of {manifest['draws']} draws, "
            f"{manifest['ess_per_cost']:.3g} per unit of notional cost"
        )
