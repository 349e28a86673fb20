"""Tables and lines on the terminal, through one console."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["console", "flags", "labels", "mapping", "share", "table"]

console = Console(highlight=False, soft_wrap=True)


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, whole: int = 0
) -> None:
    """Print a table; numbers are aligned to the right.

    Parameters
    ----------
    whole
        So many columns in front are never broken, however narrow the terminal.
    """
    made = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    cells = [[_shown(value) for value in row] for row in rows]
    for number, column in enumerate(columns):
        right = bool(cells) and all(_is_number(row[number]) for row in cells)
        side: Literal["left", "right"] = "right" if right else "left"
        made.add_column(column, justify=side, overflow="fold", no_wrap=number < whole)
    for row in cells:
        made.add_row(*map(Text, row))
    console.print(made)


def mapping(title: str, values: Mapping[str, Any]) -> None:
    """Print names and values."""
    table(title, ("", ""), values.items())


def labels(found: Iterable[str]) -> None:
    """Print what every output with these labels must say."""
    for label in sorted(set(found)):
        console.print(Text(f"  {label.upper()}", style="bold yellow"))


def flags(found: Iterable[str]) -> None:
    """Print what is suspicious."""
    for flag in found:
        console.print(Text(f"  flag: {flag}", style="yellow"))


def share(part: int, whole: int) -> str:
    """A share in per cent; a dash where there is nothing to share.

    Examples
    --------
    >>> share(1, 8), share(0, 0)
    ('12.5 %', '-')
    """
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def _is_number(text: str) -> bool:
    return (bool(text) and (text[0].isdigit() or text[0] in "-+.")) or text in ("nan", "inf", "")
