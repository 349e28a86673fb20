"""Seeds of a run: one number in a study becomes three, and what does not vary stays put."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from abm.errors import ScenarioError, require
from abm.rng import stream_key

__all__ = ["VARIES", "Seeds"]

VARIES = ("chance", "population", "network")


@dataclass(frozen=True)
class Seeds:
    """The seeds of one replication.

    They depend on the study's seed and on the number of the replication, never on the arm or the
    answerer. So the arms of a study share their seeds replication by replication (common random
    numbers), and a difference between two arms is a difference within pairs.

    Parameters
    ----------
    chance
        Seed of everything that happens during the run: draws, clocks, meetings.
    population
        Seed of who the agents are.
    network
        Seed of who is tied to whom.

    Examples
    --------
    >>> Seeds.derived(1, replication=3) == Seeds.derived(1, replication=3)
    True
    >>> a, b = (Seeds.derived(1, replication=r, varies=("chance",)) for r in (0, 1))
    >>> a.chance == b.chance, a.network == b.network
    (False, True)
    """

    chance: int
    population: int
    network: int

    @classmethod
    def derived(cls, seed: int, replication: int = 0, varies: Collection[str] = VARIES) -> Self:
        """Seeds of a replication; whatever is not in `varies` keeps those of replication 0."""
        unknown = sorted(set(varies) - set(VARIES))
        require(
            not unknown,
            ScenarioError,
            f"varies = {list(varies)}: unknown {unknown}, expected some of {list(VARIES)}",
            argument="varies",
            value=list(varies),
        )
        numbers = {what: replication if what in varies else 0 for what in VARIES}
        return cls(**{what: _seed(seed, what, number) for what, number in numbers.items()})

    def to_dict(self) -> dict[str, int]:
        """Plain values, for a manifest."""
        return {what: getattr(self, what) for what in VARIES}


def _seed(seed: int, what: str, replication: int) -> int:
    """53 bits: whole in JSON and in every language that reads the manifest."""
    return stream_key(seed, f"study:{what}:{replication}") >> 11
