"""The parameters of the family: meaning, unit, range and source of each default.

Defaults are taken from the sources named beside them or, where none exists, are declared
assumptions. None of them was tuned to make the arms of the study come out in a certain way.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from abm.errors import ScenarioError, require
from abm.models.opinion_network import data as survey_data
from abm.models.opinion_network.rules import RULES
from abm.studies import Scenario, parameter

__all__ = ["EXPOSURES", "OpinionScenario"]

EXPOSURES = ("none", "ordinary", "like_minded", "opposing")
"""Names of the exposures, in the order of their codes in the compiled cohort."""

Exposure = Literal["none", "ordinary", "like_minded", "opposing"]
Rule = Literal[
    "degroot",
    "friedkin_johnsen",
    "deffuant",
    "hegselmann_krause",
    "voter",
    "q_voter",
    "biased_assimilation",
]
ASSUMED = "assumption"


class OpinionScenario(Scenario):
    """Citizens with private opinions who read and write public posts for some days.

    Examples
    --------
    >>> OpinionScenario(n_citizens=100, n_asked=0).exposure
    'ordinary'
    """

    duration: float = parameter(
        30.0,
        unit="days",
        gt=0,
        doc="length of a run",
        source="study design",
    )

    # Who
    data: str = parameter(
        "anes96",
        doc="'anes96', or the path of a CSV file of respondents",
        source="ANES 1996",
        at_start=True,
    )
    columns: dict[str, str] = parameter(
        {},
        doc="for a CSV: our column name -> the file's, where they differ",
        at_start=True,
    )
    n_citizens: int = parameter(
        2000,
        ge=10,
        doc="citizens drawn from the respondents",
        source="study design",
        at_start=True,
    )
    n_asked: int = parameter(
        40,
        ge=0,
        doc="citizens who are asked questions, hence language-model agents when a language model "
        "answers; the others follow `rule`",
        source="study design",
        at_start=True,
    )
    opinion_from: Literal["ideology", "party"] = parameter(
        "ideology",
        doc="survey item that stands in for the opinion at the start",
        source="ANES 1996: ideology is unimodal, party identification polarised",
        at_start=True,
    )
    right_end: Literal["agree", "disagree"] = parameter(
        "disagree",
        doc="whether the conservative end of that item agrees with the statement",
        source="gun control divides left (for) from right (against)",
        at_start=True,
    )

    # What about
    topic: str = parameter(
        "gun control",
        doc="short name of the topic, a noun phrase that fits 'I support ...'",
        source="the topic of the polarisation study in AgentSociety (2025)",
        at_start=True,
    )
    statement: str = parameter(
        "",
        doc="the sentence to agree or disagree with; empty takes the embedded language's own",
        at_start=True,
    )

    # Ties
    mean_degree: float = parameter(
        12.0,
        gt=0,
        unit="neighbours",
        doc="mean number of neighbours",
        source=ASSUMED,
        at_start=True,
    )
    homophily: float = parameter(
        2.0,
        ge=0,
        doc="how sharply the chance of a tie falls with distance in age, education, income and "
        "party; 0 ties at random",
        source=ASSUMED,
        at_start=True,
    )

    # Reading and writing
    exposure: Exposure = parameter(
        "ordinary",
        doc="which posts a reader is shown: none, those of random neighbours, those from the own "
        "side, or those from the other side",
        source="arms of the polarisation study in AgentSociety (2025)",
    )
    feed_size: int = parameter(
        3, ge=1, le=3, unit="posts", doc="most posts read at once", source=ASSUMED
    )
    reading_rate: float = parameter(
        1.0, ge=0, unit="1/day", doc="reading occasions of a rule citizen", source="study design"
    )
    writing_rate: float = parameter(
        0.2, ge=0, unit="1/day", doc="posts of a rule citizen", source="study design"
    )
    writing_probability: float = parameter(
        0.2,
        ge=0,
        le=1,
        doc="chance that an asked citizen writes a post after a daily decision",
        source="study design: every fifth day on average",
    )
    write_with_feed: bool = parameter(
        False,
        doc="whether an asked citizen who writes is shown again what it read; otherwise a post "
        "depends on who writes and on the stance to voice",
        source=ASSUMED,
    )
    conformity: float = parameter(
        0.0,
        ge=0,
        le=1,
        doc="how far a public stance is drawn from the private opinion to what neighbours say",
        source=ASSUMED,
    )
    deliberation: float = parameter(
        0.1, ge=0, lt=0.5, unit="days", doc="time from reading to having decided", source=ASSUMED
    )
    friends_step: float = parameter(
        0.1,
        gt=0,
        le=1,
        doc="granularity at which an asked citizen sees the share of friends who agree",
        source=ASSUMED + "; the audit halves it",
    )
    own_view: Literal["self_placement", "latest_answer"] = parameter(
        "self_placement",
        doc="which own view an asked citizen is reminded of: the one from the survey, or the "
        "latest answer (which lets a persistent draw walk by itself, see ODD)",
        source=ASSUMED,
    )

    # The numeric rules
    rule: Rule = parameter("deffuant", doc="how rule citizens change their opinion")
    confidence_bound: float = parameter(
        0.6,
        ge=0,
        le=2,
        doc="gap in [-1, 1] units beyond which nobody listens (Deffuant, Hegselmann-Krause)",
        source="0.3 on [0, 1]: the consensus region of Deffuant et al. (2000)",
        remedy="Did you give it on the [0, 1] scale? Multiply by 2",
    )
    confidence_spread: float = parameter(
        0.0,
        ge=0,
        le=2,
        doc="half-width of the uniform spread of the bound between citizens",
        source=ASSUMED,
    )
    rate: float = parameter(
        0.1,
        ge=0,
        le=1,
        doc="fraction of a gap closed by one post (Deffuant)",
        source=ASSUMED + "; it changes the speed and not the number of clusters",
    )
    self_weight: float = parameter(
        0.9,
        ge=0,
        le=1,
        doc="weight of the own opinion against one feed (DeGroot, Friedkin-Johnsen); biased "
        "assimilation uses self_weight / (1 - self_weight)",
        source=ASSUMED,
    )
    susceptibility: float = parameter(
        0.8,
        ge=0,
        le=1,
        doc="weight of the social part against the initial opinion (Friedkin-Johnsen)",
        source=ASSUMED,
    )
    bias: float = parameter(
        1.0,
        ge=0,
        doc="bias of biased assimilation",
        source="threshold of polarisation in Dandekar, Goel & Lee (2013)",
    )
    independence: float = parameter(
        0.1,
        ge=0,
        le=1,
        doc="probability of acting independently (q-voter; the panel is the whole feed)",
        source="ordered phase of Nyczka et al. (2012)",
    )
    stubborn_share: float = parameter(
        0.0,
        ge=0,
        le=1,
        doc="share of rule citizens who never change",
        source=ASSUMED,
        at_start=True,
    )

    # Persuaders: red argues against the statement, blue for it
    red_budget: int = parameter(
        0,
        ge=0,
        unit="posts",
        doc="posts that red can pay for",
        at_start=True,
    )
    blue_budget: int = parameter(
        0,
        ge=0,
        unit="posts",
        doc="posts that blue can pay for",
        at_start=True,
    )
    red_potency: float = parameter(
        0.5,
        ge=0,
        le=1,
        doc="chance that a citizen reached by red takes the post in",
        source=ASSUMED,
    )
    blue_potency: float = parameter(
        0.5,
        ge=0,
        le=1,
        doc="chance that a citizen reached by blue takes the post in",
        source=ASSUMED,
    )
    persuader_rate: float = parameter(
        1.0, gt=0, unit="1/day", doc="posts of each persuader while budget lasts", source=ASSUMED
    )
    persuader_reach: float = parameter(
        0.05, ge=0, le=1, doc="share of the citizens that one post reaches", source=ASSUMED
    )
    persuader_audience: Literal["anybody", "like_minded", "opposing"] = parameter(
        "anybody",
        doc="whom persuaders reach, by the citizens' public stance",
        source=ASSUMED,
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        require(
            self.n_asked <= self.n_citizens,
            ScenarioError,
            f"n_asked = {self.n_asked}, expected at most n_citizens = {self.n_citizens}",
            argument="n_asked",
            value=self.n_asked,
        )
        require(
            self.mean_degree < self.n_citizens,
            ScenarioError,
            f"mean_degree = {self.mean_degree}, expected less than n_citizens = {self.n_citizens}",
            argument="mean_degree",
            value=self.mean_degree,
        )
        survey = survey_data.respondents(self.data, tuple(sorted(self.columns.items())))
        require(
            self.opinion_from in survey.columns and survey[self.opinion_from].null_count() == 0,
            ScenarioError,
            f"opinion_from = {self.opinion_from!r}, but not every respondent has a value of that "
            "column; drop the others, or start from the other item",
            argument="opinion_from",
            value=self.opinion_from,
        )
        return self

    @property
    def binary(self) -> bool:
        """Whether rule citizens hold one of two opinions."""
        return self.rule in ("voter", "q_voter")

    @property
    def rule_code(self) -> int:
        return RULES.index(self.rule)

    @property
    def exposure_code(self) -> int:
        return EXPOSURES.index(self.exposure)
