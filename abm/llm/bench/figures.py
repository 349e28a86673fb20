"""What a benchmark gives: a figure with its floor, what it is compared to, and how it was taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = ["Figure", "Row", "Setting"]


@dataclass(frozen=True)
class Setting:
    """What every row measures with.

    Attributes
    ----------
    model
        Name of the model, as in the table.
    path
        Its GGUF file.
    embedded
        Whether it is the model of the package, which knows only its own language.
    n_threads
        Threads of llama.cpp, on both sides of every comparison; >= 1.
    size
        Share of the full numbers of prompts, in (0, 1]; 1 is what the floors are stated for.
    repeats
        How often each side of a comparison is measured, in turns; the median of the ratios counts.
    folder
        A folder for files that a row needs; emptied afterwards.
    first
        Whether figures in which no model takes part are taken too: of several, with the first.
    """

    model: str
    path: Path
    embedded: bool
    n_threads: int
    folder: Path
    size: float = 1.0
    repeats: int = 3
    first: bool = True

    def n(self, full: int, least: int = 1) -> int:
        """A number of prompts, scaled by `size`."""
        return max(least, round(full * self.size))


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes
    ----------
    name
        What is measured.
    value
        The figure; `None` if it could not be taken, `how` then says why.
    unit
        `ratio`, `s`, `us`, `MB`, ...
    floor
        The bound that was set for it, or `None`.
    at_most
        Whether the bound is an upper one.
    alternative
        What stands on the other side, on the same file, cores and prompts.
    how
        In one sentence, how it was taken.
    model
        Name of the model.
    detail
        Further numbers, such as both sides in their own units; `turns` holds the figure of each
        turn.

    Examples
    --------
    >>> Figure("choices", 1.4, "ratio", 1.2, "one call per agent", "1,000 prompts").reached
    True
    """

    name: str
    value: float | None
    unit: str
    floor: float | None
    alternative: str
    how: str
    at_most: bool = False
    model: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reached(self) -> bool | None:
        """Whether the bound is kept; `None` without a bound or a value."""
        if self.floor is None or self.value is None:
            return None
        return self.value <= self.floor if self.at_most else self.value >= self.floor

    @property
    def spread(self) -> tuple[float, float] | None:
        """The lowest and the highest turn; `None` where there was one."""
        turns = self.detail.get("turns", ())
        return (min(turns), max(turns)) if len(turns) > 1 else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, `reached` and `spread` included."""
        return {**asdict(self), "reached": self.reached, "spread": self.spread}


Row = Callable[[Setting], Iterable[Figure]]
"""Measures one or a few figures; `name` and `only` select rows by the function's name."""

Mode = Literal["strict", "fast"]
