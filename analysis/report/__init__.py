"""Reports of studies: what was asked, what came out, how sure that is, and what is missing.

`write_report` makes one page of one or several studies; `compare` sets two sets of runs side by
side; `figure_set` draws the figures that suit a study. They read run folders of any model. What a
model knows about itself it says in `report_parts`, a class method that returns `Parts`.
"""

from abm.analysis.report.comparing import Comparison, compare
from abm.analysis.report.drawing import figure_set
from abm.analysis.report.limits import missing_evidence
from abm.analysis.report.material import Material, read_material
from abm.analysis.report.parts import Drawing, Parts
from abm.analysis.report.records import recorded_decisions, word_vectors
from abm.analysis.report.repeated import redraws_made, repeat_with_redraws
from abm.analysis.report.writing import Written, write_report

__all__ = [
    "Comparison",
    "Drawing",
    "Material",
    "Parts",
    "Written",
    "compare",
    "figure_set",
    "missing_evidence",
    "read_material",
    "recorded_decisions",
    "redraws_made",
    "repeat_with_redraws",
    "word_vectors",
    "write_report",
]
