"""Progress of a study: a protocol, and the one that says nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Count", "Progress", "Silent"]


@dataclass(frozen=True)
class Count:
    """How often language models were asked.

    Attributes
    ----------
    asked
        Requests that reached the answering process.
    inferred
        Answers that a language model computed; the others came from the ledger.
    """

    asked: int = 0
    inferred: int = 0


class Progress(Protocol):
    """Is told what happens while a study is executed. Never decides anything."""

    def study_started(self, name: str, n_runs: int, n_done: int) -> None:
        """Execution begins; `n_done` of `n_runs` runs are there already."""
        ...

    def run_finished(self, label: str, manifest: Mapping[str, Any]) -> None:
        """A run ended, finished or failed."""
        ...

    def answering_ready(self, count: Callable[[], Count]) -> None:
        """Models are loaded; `count` gives the totals of this execution at any moment."""
        ...

    def study_finished(self, manifest: Mapping[str, Any]) -> None:
        """Execution ended."""
        ...


class Silent:
    """Says nothing."""

    def study_started(self, name: str, n_runs: int, n_done: int) -> None: ...

    def run_finished(self, label: str, manifest: Mapping[str, Any]) -> None: ...

    def answering_ready(self, count: Callable[[], Count]) -> None: ...

    def study_finished(self, manifest: Mapping[str, Any]) -> None: ...
