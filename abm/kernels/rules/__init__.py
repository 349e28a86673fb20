"""Published rules, as small functions of numbers that the drivers compile, one file per subject.

They are what you would write yourself: a function, and a named tuple of its parameters. Each names
its driver and its source, and is checked against what is published about it.
"""

from abm.kernels.rules.assimilation import (
    BiasedAssimilation,
    SocialJudgement,
    biased_assimilation,
    social_judgement,
)
from abm.kernels.rules.averaging import Anchored, DeGroot, anchored, degroot, friedkin_johnsen
from abm.kernels.rules.bounded_confidence import (
    Deffuant,
    HegselmannKrause,
    RelativeAgreement,
    deffuant,
    hegselmann_krause,
    hegselmann_krause_ties,
    relative_agreement,
)
from abm.kernels.rules.cascade import (
    Bass,
    IndependentCascade,
    bass,
    granovetter,
    independent_cascade,
    linear_threshold,
)
from abm.kernels.rules.contagion import (
    Cases,
    Epidemic,
    EpidemicRates,
    SlowEpidemic,
    Threshold,
    by_number,
    by_share,
    cases,
    seir,
    si,
    sir,
    sir_events,
    sis,
)
from abm.kernels.rules.discrete import (
    Galam,
    QVoter,
    galam,
    q_voter,
    q_voter_ties,
    sznajd,
    voter,
)
from abm.kernels.rules.exchange import (
    Saving,
    YardSale,
    boltzmann_wealth,
    random_split,
    yard_sale,
)
from abm.kernels.rules.rumour import Rumour, rumour
from abm.kernels.rules.segregation import City, Schelling, city, like_share, schelling

__all__ = [
    "Anchored",
    "Bass",
    "BiasedAssimilation",
    "Cases",
    "City",
    "DeGroot",
    "Deffuant",
    "Epidemic",
    "EpidemicRates",
    "Galam",
    "HegselmannKrause",
    "IndependentCascade",
    "QVoter",
    "RelativeAgreement",
    "Rumour",
    "Saving",
    "Schelling",
    "SlowEpidemic",
    "SocialJudgement",
    "Threshold",
    "YardSale",
    "anchored",
    "bass",
    "biased_assimilation",
    "boltzmann_wealth",
    "by_number",
    "by_share",
    "cases",
    "city",
    "deffuant",
    "degroot",
    "friedkin_johnsen",
    "galam",
    "granovetter",
    "hegselmann_krause",
    "hegselmann_krause_ties",
    "independent_cascade",
    "like_share",
    "linear_threshold",
    "q_voter",
    "q_voter_ties",
    "random_split",
    "relative_agreement",
    "rumour",
    "schelling",
    "seir",
    "si",
    "sir",
    "sir_events",
    "sis",
    "social_judgement",
    "sznajd",
    "voter",
    "yard_sale",
]
