"""Who acts when: fixed steps, random order, Poisson clocks, Hawkes clocks, next-event tables.

Every regime is started by making it, acts on the model's clock, and draws from the agents' own
chance: an extra agent, or an extra draw somewhere, moves nobody else's times or place in the order.
An action that is a generator runs as a process of the agent, so it may wait and decide.
"""

from abm.engine.clocks import NextEvents, PoissonClocks
from abm.engine.hawkes import Circadian, HawkesClocks
from abm.engine.rounds import Activation, FixedStep, RandomSequential

__all__ = [
    "Activation",
    "Circadian",
    "FixedStep",
    "HawkesClocks",
    "NextEvents",
    "PoissonClocks",
    "RandomSequential",
]
