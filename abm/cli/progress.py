"""Progress of a study on the terminal: a bar where there is one, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from abm.studies.progress import Count

__all__ = ["TerminalProgress", "duration"]


class TerminalProgress:
    """Shows runs done, answers asked and saved, and the expected end.

    Parameters
    ----------
    console
        Where to; a bar only where it is a terminal.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.failed = 0
        self._count: Callable[[], Count] = Count
        self._begun = time.monotonic()
        self._bar: Progress | None = None
        self._task: Any = None
        self._done = self._total = self._there = 0

    def study_started(self, name: str, n_runs: int, n_done: int) -> None:
        """Say what is there and what is to be done."""
        self._total, self._done, self._there = n_runs, n_done, n_done
        there = f", {n_done} of them there already" if n_done else ""
        self.console.print(f"study {name}: {n_runs} runs{there}")

    def answering_ready(self, count: Callable[[], Count]) -> None:
        """Start the bar."""
        self._count = count
        self._begun = time.monotonic()
        if self.console.is_terminal and self._done < self._total:
            self._bar = Progress(
                TextColumn("runs"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                _Answers(count),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            self._task = self._bar.add_task("runs", total=self._total - self._there)
            self._bar.start()

    def run_finished(self, label: str, manifest: Mapping[str, Any]) -> None:
        """Advance; a failed run is told at once."""
        self._done += 1
        if manifest["status"] == "failed":
            self.failed += 1
            error = manifest["error"]
            self.console.print(
                Text(f"  failed: {label}: {error['type']}: {error['message']}", style="red")
            )
        if self._bar is not None:
            self._bar.advance(self._task)
        elif self._is_worth_a_line():
            self.console.print(self._line())

    def close(self) -> None:
        """Take the bar away, however the execution ended."""
        if self._bar is not None:
            self._bar.stop()

    def study_finished(self, manifest: Mapping[str, Any]) -> None:
        """Take the bar away."""
        del manifest
        self.close()

    def _is_worth_a_line(self) -> bool:
        step = max(1, self._total // 20)
        return (self._done - self._there) % step == 0 or self._done == self._total

    def _line(self) -> str:
        spent = time.monotonic() - self._begun
        executed = self._done - self._there
        left = spent / executed * (self._total - self._done)
        text = f"  {self._done}/{self._total} runs"
        answers = _told(self._count())
        text += f", {answers}" if answers else ""
        return text + (f", about {duration(left)} left" if self._done < self._total else "")


class _Answers(ProgressColumn):
    """Answers asked and saved, read whenever the bar is drawn."""

    def __init__(self, count: Callable[[], Count]) -> None:
        super().__init__()
        self.count = count

    def render(self, task: Task) -> Text:
        del task
        return Text(_told(self.count()))


def _told(count: Count) -> str:
    if not count.asked:
        return ""
    saved = 100 * (count.asked - count.inferred) / count.asked
    return f"{count.asked:,} answers asked, {count.inferred:,} inferred ({saved:.0f} % saved)"


def duration(seconds: float) -> str:
    """Rounded for people.

    Examples
    --------
    >>> duration(42.3), duration(125), duration(7300)
    ('42 s', '2 min', '2.0 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
