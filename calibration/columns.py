"""Column names of result tables: none hides another."""

from __future__ import annotations

from collections.abc import Collection, Sequence

__all__ = ["distinct"]


def distinct(names: Sequence[str], taken: Collection[str], what: str = "parameter") -> list[str]:
    """Names as they are, and `what name` for those that a table has a column for already.

    Examples
    --------
    >>> distinct(("weight", "rate"), ("weight",))
    ['parameter weight', 'rate']
    """
    return [f"{what} {name}" if name in taken else name for name in names]
