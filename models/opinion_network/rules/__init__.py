"""The seven published rules of opinion change, as pure functions on arrays.

Each module carries one idea and its source. Functions of one agent (`compromise`, `assimilated`,
...) are plain arithmetic: the same source runs on floats, on arrays and, compiled, inside the
cohort of `kernel.py`. Functions with sequential semantics (`deffuant`, `voter`, `q_voter`) apply
encounters one by one in the order in which they are given.
"""

from abm.models.opinion_network.rules.assimilation import (
    assimilated,
    biased_assimilation,
    two_island_limit,
)
from abm.models.opinion_network.rules.averaging import (
    anchored,
    averaged,
    degroot,
    degroot_influence,
    friedkin_johnsen,
    friedkin_johnsen_limit,
    row_stochastic,
)
from abm.models.opinion_network.rules.bounded_confidence import (
    compromise,
    deffuant,
    hegselmann_krause,
)
from abm.models.opinion_network.rules.discrete import (
    q_voter,
    q_voter_critical,
    q_voter_magnetisation,
    voter,
    voter_consensus_time,
)

__all__ = [
    "RULES",
    "anchored",
    "assimilated",
    "averaged",
    "biased_assimilation",
    "compromise",
    "deffuant",
    "degroot",
    "degroot_influence",
    "friedkin_johnsen",
    "friedkin_johnsen_limit",
    "hegselmann_krause",
    "q_voter",
    "q_voter_critical",
    "q_voter_magnetisation",
    "row_stochastic",
    "two_island_limit",
    "voter",
    "voter_consensus_time",
]

RULES = (
    "degroot",
    "friedkin_johnsen",
    "deffuant",
    "hegselmann_krause",
    "voter",
    "q_voter",
    "biased_assimilation",
)
"""Names of the rules, in the order of their codes in the compiled cohort."""
