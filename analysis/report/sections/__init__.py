"""The sections of a report, each from the runs alone."""

from abm.analysis.report.sections.asked import design, question
from abm.analysis.report.sections.audited import audits
from abm.analysis.report.sections.doubts import failures, limits
from abm.analysis.report.sections.found import compared, heterogeneity, main_results
from abm.analysis.report.sections.repeating import cost, repeat, versions_file
from abm.analysis.report.sections.wording import comparison_table, effect_table, terminal_tables

__all__ = [
    "audits",
    "compared",
    "comparison_table",
    "cost",
    "design",
    "effect_table",
    "failures",
    "heterogeneity",
    "limits",
    "main_results",
    "question",
    "repeat",
    "terminal_tables",
    "versions_file",
]
