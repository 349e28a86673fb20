"""Policy effects in one place: paired differences, tables of them, equivalence, planning.

`paired_effect` compares two arms, `effects_table` all arms of a study, `means_table` gives each
cell of a design with its interval, `equivalence` shows that a difference does not matter, and
`replications_needed` and `power` say how many runs a statement takes. `added_by_model` says what a
language model added to its rule twin, and `with_answer_error` widens an interval whose answers were
sampled.
"""

from abm.analysis.added import added_by_model
from abm.analysis.comparisons import adjusted, effects_table, means_table
from abm.analysis.equivalence import Equivalence, equivalence
from abm.analysis.paired import FIXED, VARIED, Effect, paired_effect, unpaired_effect
from abm.analysis.planning import (
    equivalence_power,
    power,
    replications_for_equivalence,
    replications_for_power,
    replications_needed,
)
from abm.analysis.sampled import answer_degrees, answer_error, with_answer_error

__all__ = [
    "FIXED",
    "VARIED",
    "Effect",
    "Equivalence",
    "added_by_model",
    "adjusted",
    "answer_degrees",
    "answer_error",
    "effects_table",
    "equivalence",
    "equivalence_power",
    "means_table",
    "paired_effect",
    "power",
    "replications_for_equivalence",
    "replications_for_power",
    "replications_needed",
    "unpaired_effect",
    "with_answer_error",
]
