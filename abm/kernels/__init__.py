"""Compiled kernels: library drivers that a user's scalar rule is compiled into.

Numba is loaded when a kernel is first needed, never on import. Each driver has one source: with
Numba it is compiled, without Numba (or for small work) the same source is interpreted, on the same
generator, with the same bits.
"""

from abm.kernels.activity import HawkesCohort, PoissonCohort
from abm.kernels.building import RuleRun, RuleWarning
from abm.kernels.events import EventCohort
from abm.kernels.neighbours import run_neighbours
from abm.kernels.notes import RuleNotes, noting
from abm.kernels.pairwise import PairwiseCohort, run_pairwise
from abm.kernels.rates import RateCohort
from abm.kernels.rule import on_arrays
from abm.kernels.sequence import run_population, run_rows
from abm.kernels.surfacing import CohortEvent
from abm.kernels.tools import Chance, has_numba
from abm.kernels.transitions import TransitionRun, run_transitions
from abm.kernels.within import run_within

__all__ = [
    "Chance",
    "CohortEvent",
    "EventCohort",
    "HawkesCohort",
    "PairwiseCohort",
    "PoissonCohort",
    "RateCohort",
    "RuleNotes",
    "RuleRun",
    "RuleWarning",
    "TransitionRun",
    "has_numba",
    "noting",
    "on_arrays",
    "run_neighbours",
    "run_pairwise",
    "run_population",
    "run_rows",
    "run_transitions",
    "run_within",
]
