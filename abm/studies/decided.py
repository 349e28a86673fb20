"""Who really decided: of all decisions of a run, how many were answered as assigned."""

from __future__ import annotations

import polars as pl

__all__ = ["decision_counts"]


def decision_counts(decisions: pl.DataFrame) -> pl.DataFrame:
    """Decisions of each question: answered as assigned, by a rule that stood in, or otherwise.

    Parameters
    ----------
    decisions
        A run's table of decisions (`RunFolder.frame("decisions")`), or several in one.

    Returns
    -------
    One row per question and assigned policy: `question, policy, decisions, as_assigned, by_rule,
    again_or_skipped, how`. `by_rule` counts failed answers for which a named rule stood in;
    `again_or_skipped` those that were asked again or skipped; `how` names the failures.

    Examples
    --------
    >>> decisions = pl.DataFrame({
    ...     "question": ["ban"] * 2, "policy": ["llm"] * 2, "status": ["ok", "off_menu"],
    ...     "answered_by": ["llm", "twin"], "decisions": [9, 1]})
    >>> decision_counts(decisions).rows(named=True)[0]["by_rule"]
    1
    """
    n, ok = pl.col("decisions"), pl.col("status") == "ok"
    replaced = pl.col("answered_by") != pl.col("policy")
    keys = ["question", "policy"]
    counts = (
        decisions.group_by(keys)
        .agg(
            n.sum(),
            n.filter(ok).sum().alias("as_assigned"),
            n.filter(~ok & replaced).sum().alias("by_rule"),
            n.filter(~ok & ~replaced).sum().alias("again_or_skipped"),
        )
        .sort(keys)
    )
    failed = decisions.filter(~ok).group_by([*keys, "status"]).agg(n.sum()).sort([*keys, "status"])
    words = pl.concat_str("status", pl.lit(" "), n).str.join(", ").alias("how")
    named = failed.group_by(keys).agg(words)
    return counts.join(named, on=keys, how="left").with_columns(pl.col("how").fill_null(""))
