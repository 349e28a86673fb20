"""Assembly: citizens, network, clocks, questions, persuaders, observations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

import abm
from abm.engine import Intervention, Message
from abm.errors import ScenarioError, require
from abm.models.opinion_network.citizen import Citizen
from abm.models.opinion_network.cohort import Citizens, ReadingCohort
from abm.models.opinion_network.persuaders import campaigns, run_campaign
from abm.models.opinion_network.questions import OPINION, POST, canned_post
from abm.models.opinion_network.scale import stance_of
from abm.models.opinion_network.scenario import OpinionScenario
from abm.models.opinion_network.society import columns_of, side_of, society
from abm.models.opinion_network.summaries import (
    CHANGES,
    change_shares,
    changes,
    division,
    neighbour_correlation,
    prefixed,
)
from abm.models.opinion_network.twin import TWIN
from abm.policies import FailureHandling, Policy
from abm.population import Population
from abm.questions import Question, Transform
from abm.rng import uniforms
from abm.studies import Seeds

__all__ = ["OpinionNetwork"]

CHANGED = tuple(enumerate(CHANGES))[:3]
"""Number and name of the changes that a citizen can undergo."""

ROLE = "citizen"


class OpinionNetwork(abm.Model):
    """Citizens with private opinions on a network, who read and write public posts.

    Most follow a numeric rule, as columns; some are asked questions, as agents with a life of their
    own (role `citizen`). ODD.md says everything.

    Examples
    --------
    >>> from abm.models.opinion_network import OpinionNetwork, OpinionScenario
    >>> scenario = OpinionScenario(n_citizens=50, n_asked=2, duration=3.0)
    >>> model = OpinionNetwork(scenario, seeds=abm.Seeds(1, 1, 1))
    >>> model.run_until(scenario.duration)
    >>> 0 <= model.outcomes()["all.flipped"] <= 1
    True
    """

    Scenario: ClassVar[type[OpinionScenario]] = OpinionScenario
    questions: tuple[Question, ...] = (OPINION, POST)
    roles: ClassVar[dict[str, Policy]] = {ROLE: TWIN}

    def __init__(
        self,
        scenario: OpinionScenario,
        *,
        seeds: Seeds,
        policies: Mapping[str, Policy] | None = None,
        failures: FailureHandling | str | None = None,
        transforms: Mapping[str, Transform] | None = None,
    ) -> None:
        asked = scenario.n_asked > 0
        super().__init__(
            seed=seeds.chance,
            policies={**self.roles, **(policies or {})} if asked else {},
            assignment=ROLE if asked else None,
            failures=failures if asked else None,
            transforms=transforms,
        )
        if not asked:
            self.questions = ()
        self.scenario, self.seeds = scenario, seeds
        self.posts: dict[int, Message] = {}
        self._series: list[dict[str, Any]] = []
        survey, self.network = society(scenario, seeds.population, seeds.network)
        columns: dict[str, Any] = dict(columns_of(scenario, survey, seeds.population))
        self.population = Population(self, **columns)
        self._link = (self.network.indptr, self.network.indices)
        self._phrasing = self.population["phrasing"]
        self.cohort = self._new_cohort()
        self.population.attach(self.cohort)
        self.citizens = self._new_citizens()
        for campaign in campaigns(scenario):
            self.process(run_campaign(self, campaign))
        self.observe(self._observe, every=1.0)

    # ------------------------------------------------------------------ what citizens do

    def serve(self, citizen: Citizen, day: int) -> None:
        """Show a citizen its feed: first what reached it by itself, then posts by exposure."""
        size = self.scenario.feed_size
        row = citizen.row
        self.population.catch_up()
        word = int(self.uniform("feed", key=citizen.key, occasion=day) * 2**53)
        authors = self.cohort.feed(row, word)
        posts = (*citizen.inbox, *(self.post_of(int(author)) for author in authors))
        citizen.feed, citizen.inbox = posts[:size], ()
        self.population.n_read[row] += len(citizen.feed)
        citizen.friends_share = self._friends_share(row)

    def post_of(self, row: int) -> Message:
        """The latest public post of a citizen."""
        if row in self.posts:
            return self.posts[row]
        self.population.catch_up()
        columns, topic = self.cohort.citizens, self.scenario.topic
        stance, time = int(columns.stance[row]), float(columns.posted[row])
        text = canned_post(topic, stance, int(self._phrasing[row]))
        return Message(f"{row}@{time:.6f}", row, time, text, stance, topic)

    def writes_today(self, citizen: Citizen, day: int) -> bool:
        """Whether the citizen writes a post on this day."""
        chance = self.uniform("write", key=citizen.key, occasion=day)
        return bool(chance < self.scenario.writing_probability)

    def voice_of(self, citizen: Citizen) -> int:
        """The stance that the citizen will take in public."""
        self.population.catch_up()
        return int(stance_of(self.cohort.voiced(citizen.row, citizen.opinion)))

    def publish(self, citizen: Citizen, text: str) -> None:
        """Make a citizen's post public, on one line."""
        row = citizen.row
        self.population.write(row, "stance", citizen.voice)
        self.population.write(row, "posted", self.now)
        line = " ".join(text.split())
        name = f"{row}@{self.now:.6f}"
        self.posts[row] = Message(name, row, self.now, line, citizen.voice, self.scenario.topic)

    def broadcast(
        self,
        *,
        author: str,
        stance: int,
        text: str,
        share: float,
        audience: str = "anybody",
        occasion: int = 0,
    ) -> int:
        """Let a post reach a random share of the citizens; returns how many took it in.

        Rule citizens read it at once, asked citizens when they next read. Nobody is reached while
        the exposure is `none`.
        """
        if self.scenario.exposure == "none":
            return 0
        people = self.population
        luck = uniforms(self.chance_seed, f"reached by {author}", people.keys, occasion)
        reached = luck < share
        side = (people.stance.astype(np.int64) - 4) * (stance - 4)
        if audience != "anybody":
            reached &= side > 0 if audience == "like_minded" else side < 0
        rows = np.flatnonzero(reached & ~people.is_asked)
        words = (luck[rows] * 2**53).astype(np.uint64)
        self.cohort.expose(rows, stance, words)
        post = Message(f"{author}/{occasion}", author, self.now, text, stance, self.scenario.topic)
        for citizen in self.citizens:
            if reached[citizen.row]:
                citizen.inbox = (*citizen.inbox, post)
        return int(reached.sum())

    # ------------------------------------------------------------------ interventions

    def schedule_interventions(self, planned: Iterable[Intervention]) -> None:
        """Check them all, then put them on the clock."""
        chosen = list(planned)
        for intervention in chosen:
            if intervention.inject:
                _injected(intervention.inject, self.scenario.topic)
        super().schedule_interventions(chosen)

    def apply_intervention(self, intervention: Intervention) -> None:
        """Change parameters or who answers, then let a message reach the citizens."""
        self.population.catch_up()
        super().apply_intervention(replace(intervention, inject=None))
        if intervention.change:
            self.population["bound"] = self._bounds()
            self.cohort.change(self.scenario, self.now)
        if intervention.inject:
            self.inject(intervention.inject)

    def inject(self, content: Mapping[str, Any]) -> None:
        """Let a message reach citizens now; keys stance, text, share, author, audience."""
        self.broadcast(**_injected(content, self.scenario.topic), occasion=int(self.now * 1e6))

    # ------------------------------------------------------------------ observation

    def outcomes(self) -> dict[str, float]:
        """Per group (`all`, `asked`, `rule`): who changed how, and how divided they are."""
        found: dict[str, float] = {}
        for group, rows in self._groups().items():
            found |= prefixed(group, self._describe(rows))
        opinions = self.population.opinion
        found["all.neighbour_correlation"] = neighbour_correlation(opinions, *self._link)
        found["asked.posts"] = float(len(self.posts))
        return found

    def series(self) -> pl.DataFrame:
        """Daily values: columns time, group, variable, value."""
        schema = {"time": pl.Float64, "group": pl.String, "variable": pl.String}
        return pl.DataFrame(self._series, schema={**schema, "value": pl.Float64}, orient="row")

    def agents_frame(self) -> pl.DataFrame:
        """One row per citizen: who it is, what it thinks, what it says, and how it changed.

        `side` is its party with those who lean to it (null where the data have none);
        `more_extreme`, `more_moderate` and `flipped` are 1 for who changed so, else 0.
        """
        final = stance_of(self.population.opinion)
        how = changes(self.population.baseline, final)
        shifted = [pl.Series(name, (how == i).astype(np.int8)) for i, name in CHANGED]
        side = pl.Series("side", side_of(self.population.party), dtype=pl.String)
        known = self.population.frame(with_keys=True)
        return known.with_columns(pl.Series("final", final), *shifted, side)

    @classmethod
    def report(cls, study_folder: Path) -> None:
        """Print the tables of a finished study and draw its figures."""
        from abm.models.opinion_network.report import report

        report(Path(study_folder))

    @classmethod
    def report_parts(cls, study: Any) -> Any:
        """What `abm report` and `abm figures` should know: question, main outcomes, names."""
        from abm.models.opinion_network.report import parts

        return parts(study)

    def _observe(self) -> None:
        for group, rows in self._groups().items():
            for variable, value in self._describe(rows).items():
                self._series.append(
                    {"time": self.now, "group": group, "variable": variable, "value": value}
                )

    def _groups(self) -> dict[str, NDArray[np.bool_]]:
        asked = self.population.is_asked
        groups = {"all": np.ones(asked.size, dtype=bool), "asked": asked, "rule": ~asked}
        return {name: rows for name, rows in groups.items() if rows.any()}

    def _describe(self, rows: NDArray[np.bool_]) -> dict[str, float]:
        people = self.population
        opinion = people.opinion[rows]
        changed = change_shares(people.baseline[rows], stance_of(opinion))
        return {**changed, **division(opinion), "posts_read": float(people.n_read[rows].mean())}

    # ------------------------------------------------------------------ building

    def _new_cohort(self) -> ReadingCohort:
        names = [
            "opinion",
            "initial",
            "baseline",
            "stance",
            "posted",
            "n_read",
            "bound",
            "stubborn",
        ]
        columns = Citizens(**{name: self.population[name] for name in names})
        rows = np.flatnonzero(~self.population.is_asked)
        return ReadingCohort(columns, self.network, rows, self.scenario, seed=self.chance_seed)

    def _new_citizens(self) -> list[Citizen]:
        """Asked citizens with their times of day, early enough to decide and write in one day."""
        rows = np.flatnonzero(self.population.is_asked)
        free = 1.0 - 2.0 * self.scenario.deliberation
        luck = uniforms(self.chance_seed, "time of day", self.population.keys[rows])
        return [
            self.population.agent(int(row), Citizen, time_of_day=float(free * u))
            for row, u in zip(rows, luck, strict=True)
        ]

    def _bounds(self) -> NDArray[np.float64]:
        keys = np.arange(self.population.n)
        spread = 2.0 * uniforms(self.seeds.population, "confidence", keys) - 1.0
        scenario = self.scenario
        bounds: NDArray[np.float64] = np.maximum(
            scenario.confidence_bound + scenario.confidence_spread * spread, 0.0
        )
        return bounds

    def _friends_share(self, row: int) -> float:
        if self.scenario.exposure == "none":
            return -1.0
        share = self.cohort.friends_share(row)
        step = self.scenario.friends_step
        return share if share < 0 else round(min(1.0, round(share / step) * step), 6)


def _injected(content: Mapping[str, Any], topic: str) -> dict[str, Any]:
    """The arguments of `broadcast` for an injected message; refuses what it does not know."""
    given = dict(content)
    stance, share = given.pop("stance", None), given.pop("share", 1.0)
    audience, author = given.pop("audience", "anybody"), given.pop("author", "injected")
    text = given.pop("text", "")
    numbers = isinstance(stance, int) and 1 <= stance <= 7 and 0 <= share <= 1
    require(
        numbers and not given and audience in ("anybody", "like_minded", "opposing"),
        ScenarioError,
        f"inject = {dict(content)}, expected stance (1 to 7), and optionally text, share (0 to 1), "
        "author, and audience ('anybody', 'like_minded' or 'opposing')",
        argument="inject",
    )
    return {
        "author": str(author),
        "stance": int(stance or 4),
        "text": str(text) or canned_post(topic, int(stance or 4), 0),
        "share": float(share),
        "audience": audience,
    }
