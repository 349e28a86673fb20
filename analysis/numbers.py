"""Numbers as text, with the digits that their uncertainty supports."""

from __future__ import annotations

import math

__all__ = ["decimals_for", "interval_text", "number_text", "percent_text", "plain_text"]

UNDEFINED = "undefined"


def decimals_for(uncertainty: float, *, significant: int = 2, most: int = 6) -> int:
    """Decimals at which the uncertainty shows `significant` digits, between 0 and `most`.

    Examples
    --------
    >>> decimals_for(0.034), decimals_for(1.2), decimals_for(45.0), decimals_for(0.0996)
    (3, 1, 0, 2)
    """
    if not math.isfinite(uncertainty) or uncertainty <= 0:
        return 3
    return min(max(_place(uncertainty, significant), 0), most)


def _place(uncertainty: float, significant: int = 2) -> int:
    """Decimals, negative above the units, at which the uncertainty shows so many digits."""
    size = math.floor(math.log10(float(f"{uncertainty:.{significant - 1}e}")))
    return significant - 1 - size


def _rounded(value: float, uncertainty: float) -> float:
    """The value rounded to tens, hundreds and so on, where no more is known."""
    if not math.isfinite(uncertainty) or uncertainty <= 0:
        return value
    place = _place(uncertainty)
    return round(value, place) if place < 0 else value


def number_text(value: float, uncertainty: float = math.nan) -> str:
    """A number with the digits that its uncertainty supports; `undefined` for nan.

    Examples
    --------
    >>> number_text(0.123456, 0.034), number_text(1234.5, 45.0), number_text(float("nan"))
    ('0.123', '1234', 'undefined')
    >>> number_text(120_508, 14_331), number_text(-37, 480)
    ('121000', '-40')
    """
    if value is None or math.isnan(value):
        return UNDEFINED
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    text = f"{_rounded(value, uncertainty):.{decimals_for(uncertainty)}f}"
    return text.lstrip("-") if float(text) == 0 else text


def interval_text(
    estimate: float, low: float = math.nan, high: float = math.nan, *, scale: float = 1.0
) -> str:
    """`estimate [low, high]` with the digits that the half width supports.

    Parameters
    ----------
    scale
        Factor before printing: 100 for percentage points.

    Examples
    --------
    >>> interval_text(0.12345, 0.0891, 0.1578), interval_text(0.5)
    ('0.123 [0.089, 0.158]', '0.500')
    >>> interval_text(0.12345, 0.0891, 0.1578, scale=100)
    '12.3 [8.9, 15.8]'
    """
    if estimate is None or math.isnan(estimate):
        return UNDEFINED
    missing = low is None or high is None or math.isnan(low) or math.isnan(high)
    if missing:
        return plain_text(scale * estimate)
    half = scale * max(high - low, 0.0) / 2
    if half <= 1e-9 * abs(scale * estimate):
        half = 0.0  # the width is rounding error: nothing varied
    middle, left, right = (number_text(scale * value, half) for value in (estimate, low, high))
    return f"{middle} [{left}, {right}]"


def plain_text(value: float) -> str:
    """A number of unknown uncertainty: three decimals, or four digits where it is above ten.

    Examples
    --------
    >>> plain_text(0.5), plain_text(12.3456), plain_text(100_267.62)
    ('0.500', '12.35', '100300')
    """
    return number_text(value, max(0.01, 0.01 * abs(value)) if math.isfinite(value) else math.nan)


def percent_text(share: float, uncertainty: float = math.nan) -> str:
    """A share as a percentage, whole unless the uncertainty supports more.

    Examples
    --------
    >>> percent_text(0.3918), percent_text(0.3918, 0.0051)
    ('39 %', '39.18 %')
    """
    if share is None or math.isnan(share):
        return UNDEFINED
    decimals = decimals_for(100 * uncertainty) if math.isfinite(uncertainty) else 0
    return f"{100 * share:.{decimals}f} %"
