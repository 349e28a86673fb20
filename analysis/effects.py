"""Policy effects in one place: paired differences, tables of them, equivalence, planning.

`paired_effect` compares two arms, `effects_table` all arms of a study, `means_table` gives each
cell of a design with its interval, `equivalence` shows that a difference does not matter, and
`replications_needed` and `power` say how many runs a statement takes.
"""

from abm.analysis.comparisons import adjusted, effects_table, means_table
from abm.analysis.equivalence import Equivalence, equivalence
from abm.analysis.paired import FIXED, VARIED, Effect, paired_effect, unpaired_effect
from abm.analysis.planning import power, replications_needed

__all__ = [
    "FIXED",
    "VARIED",
    "Effect",
    "Equivalence",
    "adjusted",
    "effects_table",
    "equivalence",
    "means_table",
    "paired_effect",
    "power",
    "replications_needed",
    "unpaired_effect",
]
