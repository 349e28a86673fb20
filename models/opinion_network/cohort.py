"""The rule citizens in continuous time: who reads and writes when, between visible events.

Each rule citizen has two Poisson clocks, for reading and for writing. Their events are drawn block
by block (a block is a day), keyed by the seed and the number of the block, and applied one by one
in the compiled loop of `kernel.py` as soon as somebody looks. So the result does not depend on how
often somebody looks, and runs that differ in a parameter share their clocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from abm.models.opinion_network.scale import opinion_of
from abm.rng import chance, stream_key

if TYPE_CHECKING:
    from abm.models.opinion_network.scenario import OpinionScenario
    from abm.networks import Network

__all__ = ["Citizens", "ReadingCohort"]

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

BLOCK = 1.0
"""Length of a block of drawn events, in days."""


@dataclass(frozen=True)
class Citizens:
    """The columns that the cohort reads and moves, each of shape (n,); shared, not copied.

    Attributes
    ----------
    opinion
        Private opinion in [-1, 1]; moved for rule citizens only.
    initial
        Opinion at time 0.
    baseline
        Stance 1 to 7 before anything was read; posts are selected by it.
    stance
        Public stance 1 to 7.
    posted
        Time of the latest post; 0 for the one from before the run.
    n_read
        Posts read so far.
    bound
        Confidence bound.
    stubborn
        Who never moves.
    """

    opinion: Floats
    initial: Floats
    baseline: NDArray[np.int8]
    stance: NDArray[np.int8]
    posted: Floats
    n_read: Whole
    bound: Floats
    stubborn: NDArray[np.bool_]


class ReadingCohort:
    """Moves the opinions and public stances of rule citizens up to any time that is asked for.

    Parameters
    ----------
    citizens
        The columns of all citizens.
    network
        Who is tied to whom.
    rows
        Rows of the rule citizens.
    scenario
        Exposure, rule and rates.
    seed
        Seed of the clocks and of what is read.

    Attributes
    ----------
    time
        Time up to which all events have been applied.
    """

    def __init__(
        self,
        citizens: Citizens,
        network: Network,
        rows: Whole,
        scenario: OpinionScenario,
        *,
        seed: int,
    ) -> None:
        self.citizens, self.rows, self.seed = citizens, rows, seed
        self.indptr = np.asarray(network.indptr, dtype=np.int64)
        self.indices = np.asarray(network.indices, dtype=np.int64)
        self._restarts = 0
        self._salt = np.uint64(stream_key(seed, "order of strangers"))
        self._pool = np.empty(int(np.diff(self.indptr).max(initial=0)) + 1, dtype=np.int64)
        self.time = 0.0
        self._configure(scenario)
        self._draw(0.0)

    @property
    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """The columns that events can change."""
        c = self.citizens
        return c.opinion, c.stance, c.posted, c.n_read

    def advance(self, until: float) -> None:
        """Apply all events up to and including `until`."""
        self.time = max(self.time, until)
        while True:
            if self._event < self._times.size and self._times[self._event] <= until:
                self._apply(until)
            if until <= self._end:
                return
            self._draw(self._end)

    def change(self, scenario: OpinionScenario, at: float) -> None:
        """Other parameters from time `at` on. Clocks start anew only if their rates change."""
        self.advance(at)
        old = self.scenario
        rates = (old.reading_rate, old.writing_rate)
        self._configure(scenario)
        if (scenario.reading_rate, scenario.writing_rate) != rates:
            self._restarts += 1
            self._draw(at)

    def feed(self, row: int, word: int) -> Whole:
        """Authors whose posts a citizen is shown now, in order of rows.

        A fixed order makes equal feeds equal requests. `word` is the chance of the occasion.
        """
        from abm.models.opinion_network.kernel import select_feed

        out = np.empty(self.scenario.feed_size, dtype=np.int64)
        n = select_feed(
            row,
            int(self.citizens.baseline[row]),
            self.citizens.stance,
            self.indptr,
            self.indices,
            self.scenario.exposure_code,
            np.uint64(word),
            self._salt,
            out,
            self._pool,
        )
        return np.sort(out[:n])

    def friends_share(self, row: int) -> float:
        """Share of neighbours who agree in public (stance above 4); -1 without neighbours."""
        friends = self.indices[self.indptr[row] : self.indptr[row + 1]]
        return float((self.citizens.stance[friends] > 4).mean()) if friends.size else -1.0

    def voiced(self, row: int, opinion: float) -> float:
        """The opinion that a citizen shows: the own one, drawn to what neighbours say."""
        friends = self.indices[self.indptr[row] : self.indptr[row + 1]]
        conformity = self.scenario.conformity
        if conformity == 0.0 or friends.size == 0:
            return opinion
        public = float(opinion_of(self.citizens.stance[friends]).mean())
        return (1.0 - conformity) * opinion + conformity * public

    def expose(self, rows: Whole, stance: int, words: NDArray[np.uint64]) -> None:
        """Each of these rule citizens reads one post of this stance, now."""
        from abm.models.opinion_network.kernel import expose

        c = self.citizens
        position = opinion_of([stance])
        expose(
            c.opinion,
            c.initial,
            c.stubborn,
            rows,
            position,
            self.scenario.rule_code,
            c.bound,
            self._numbers,
            words,
        )
        c.n_read[rows] += 1

    def _configure(self, scenario: OpinionScenario) -> None:
        self.scenario = scenario
        weight = scenario.self_weight
        if scenario.rule == "biased_assimilation":
            weight = weight / max(1.0 - weight, 1e-12)
        self._numbers = np.array(
            [scenario.rate, weight, scenario.susceptibility, scenario.bias, scenario.independence]
        )

    def _draw(self, start: float) -> None:
        """Draw the events from `start` to the end of its block."""
        block = int(np.floor(start / BLOCK))
        self._end = (block + 1) * BLOCK
        times, rows, writes, words = [], [], [], []
        for kind, rate in (
            ("reading", self.scenario.reading_rate),
            ("writing", self.scenario.writing_rate),
        ):
            rng = chance(self.seed, f"{kind} clocks {self._restarts}", occasion=block)
            n = int(rng.poisson(self.rows.size * rate * (self._end - start)))
            times.append(start + (self._end - start) * rng.random(n))
            rows.append(self.rows[rng.integers(0, max(self.rows.size, 1), n)])
            words.append(rng.integers(0, 2**64, n, dtype=np.uint64))
            writes.append(np.full(n, kind == "writing"))
        self._event = 0
        together = np.concatenate(times)
        order = np.argsort(together, kind="stable")
        self._times = together[order]
        self._rows = np.concatenate(rows)[order]
        self._writes = np.concatenate(writes)[order]
        self._words = np.concatenate(words)[order]

    def _apply(self, until: float) -> None:
        from abm.models.opinion_network.kernel import advance

        c, scenario = self.citizens, self.scenario
        self._event = advance(
            c.opinion,
            c.initial,
            c.baseline,
            c.stance,
            c.posted,
            c.n_read,
            c.stubborn,
            self.indptr,
            self.indices,
            self._times,
            self._rows,
            self._writes,
            self._words,
            self._event,
            until,
            scenario.exposure_code,
            scenario.feed_size,
            self._salt,
            scenario.rule_code,
            c.bound,
            self._numbers,
            scenario.conformity,
        )
