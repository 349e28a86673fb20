"""What the language model added: its runs against those of the rule twin, and its effects too.

The twin answers the same questions from the same fields with the same random numbers. Two things
can differ: the level of an outcome in an arm, and what an arm *does* to it. The second decides
whether a finding about a policy needed a language model at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from abm.analysis.comparisons import effects_table
from abm.analysis.heterogeneity import difference_in_effects
from abm.analysis.paired import FIXED, VARIED
from abm.errors import AnalysisError, require

__all__ = ["added_by_model"]

LEVEL_OF, EFFECT_OF = "level", "effect"


def added_by_model(
    frame: pl.DataFrame,
    *,
    outcomes: str | Sequence[str],
    twin: Any = "rule",
    control: Any = None,
    arm: str = "arm",
    answerer: str = "answerer",
    pair_by: str | Sequence[str] = "replication",
    level: float = 0.95,
    varied: Sequence[str] = VARIED,
    fixed: Sequence[str] = FIXED,
) -> pl.DataFrame:
    """Every answerer against the rule twin: outcomes in each arm, and effects of the arms.

    Parameters
    ----------
    frame
        One row per arm, answerer and replication.
    twin
        The answerer that is the rule twin.
    control
        Arm to which effects are differences; without one only levels are compared.

    Returns
    -------
    One row per answerer, quantity, arm and outcome: `answerer, quantity, arm, outcome, estimate,
    low, high, level, n, correlation, p_value, varied, fixed, reason`. `quantity` is `level`
    (the answerer's mean minus the twin's) or `effect` (its effect of the arm minus the twin's).

    Raises
    ------
    AnalysisError
        The twin, the control or a column is missing.

    References
    ----------
    Defined here. Differences are those of `paired_effect`, differences of effects those of
    `difference_in_effects`.

    Examples
    --------
    >>> frame = pl.DataFrame({"answerer": ["rule", "rule", "llm", "llm"] * 2,
    ...     "arm": ["a", "b"] * 4, "replication": [0] * 4 + [1] * 4,
    ...     "y": [0.0, 0.1, 0.2, 0.6, 0.0, 0.1, 0.3, 0.6]})
    >>> table = added_by_model(frame, outcomes="y", control="a")
    >>> table.select("quantity", "arm", pl.col("estimate").round(3)).rows()
    [('level', 'a', 0.25), ('level', 'b', 0.5), ('effect', 'b', 0.25)]
    """
    known = frame[answerer].unique(maintain_order=True).to_list() if answerer in frame else []
    require(
        twin in known and len(known) > 1,
        AnalysisError,
        f"the answerers are {known}, expected {twin!r} (the rule twin) and another; add "
        "[answerers.rule] to the study",
    )
    scope: dict[str, Any] = {"pair_by": pair_by, "level": level, "varied": varied, "fixed": fixed}
    levels = effects_table(
        frame, outcomes=outcomes, control=twin, arm=answerer, by=arm, **scope
    ).with_columns(pl.lit(LEVEL_OF).alias("quantity"))
    tables = [levels]
    if control is not None:
        scope |= {"control": control, "group": answerer, "reference": twin, "arm": arm}
        each = [outcomes] if isinstance(outcomes, str) else outcomes
        tables += [_effects_of(frame, outcome, scope) for outcome in each]
    tidy = [_tidy(table, answerer, arm) for table in tables if table is levels or table.height]
    return pl.concat(tidy, how="vertical_relaxed")


def _effects_of(frame: pl.DataFrame, outcome: str, scope: dict[str, Any]) -> pl.DataFrame:
    """Each answerer's effects minus the twin's on one outcome."""
    table = difference_in_effects(frame, outcome=outcome, **scope)
    return table.with_columns(quantity=pl.lit(EFFECT_OF), outcome=pl.lit(outcome))


def _tidy(table: pl.DataFrame, answerer: str, arm: str) -> pl.DataFrame:
    heads = [answerer, "quantity", arm, "outcome"]
    numbers = ["estimate", "low", "high", "level", "n", "correlation", "p_value"]
    return table.select(*heads, *numbers, "varied", "fixed", "reason")
