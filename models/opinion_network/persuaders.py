"""Persuaders: two broadcasters with a budget, who argue against (red) and for (blue)."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from abm.models.opinion_network.questions import canned_post

if TYPE_CHECKING:
    from abm.models.opinion_network.model import OpinionNetwork
    from abm.models.opinion_network.scenario import OpinionScenario

__all__ = ["Campaign", "campaigns", "run_campaign"]


@dataclass(frozen=True)
class Campaign:
    """One persuader.

    Attributes
    ----------
    name
        `red` or `blue`.
    stance
        What it says, 1 or 7.
    budget
        Posts that it can pay for.
    """

    name: str
    stance: int
    budget: int


def campaigns(scenario: OpinionScenario) -> tuple[Campaign, ...]:
    """The persuaders that have a budget.

    Examples
    --------
    >>> from abm.models.opinion_network.scenario import OpinionScenario
    >>> [c.name for c in campaigns(OpinionScenario(blue_budget=3))]
    ['blue']
    """
    both = (Campaign("red", 1, scenario.red_budget), Campaign("blue", 7, scenario.blue_budget))
    return tuple(campaign for campaign in both if campaign.budget > 0)


def run_campaign(model: OpinionNetwork, campaign: Campaign) -> Generator[Event, Any, Any]:
    """Post on a Poisson clock until the budget is spent; potency and reach count as of then."""
    time = 0.0
    for number in range(campaign.budget):
        u = model.uniform(f"clock of {campaign.name}", occasion=number)
        time += -math.log1p(-u) / model.scenario.persuader_rate
        yield model.at(time)
        scenario = model.scenario
        potency = scenario.red_potency if campaign.name == "red" else scenario.blue_potency
        model.broadcast(
            author=campaign.name,
            stance=campaign.stance,
            text=canned_post(scenario.topic, campaign.stance, number),
            share=scenario.persuader_reach * potency,
            audience=scenario.persuader_audience,
            occasion=number,
        )
