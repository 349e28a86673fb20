"""The citizen who is asked questions: reads, decides every day, and writes now and then."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from abm.engine import Message
from abm.models.opinion_network.questions import OPINION, POST, statement_of
from abm.models.opinion_network.scale import opinion_of, stance_of
from abm.policies.answering import Skipped
from abm.population import RowAgent

if TYPE_CHECKING:
    from abm.models.opinion_network.model import OpinionNetwork
    from abm.population import Population

__all__ = ["Citizen"]


class Citizen(RowAgent):
    """A row of the population with a life of its own.

    The life: answer once before anything is read (the baseline); then every day, at an own time of
    day, read, decide, and with some probability write a post.

    Attributes
    ----------
    topic, statement
        What it is asked about.
    own_view
        The stance it is reminded of, 1 to 7.
    voice
        The stance of the next post, 1 to 7.
    feed
        The posts read last.
    inbox
        Posts that reached it in another way since it last read: persuaders, injected messages.
    friends_share
        Share of friends who agree in public, coarsened; -1 where it is not seen.
    """

    def __init__(self, population: Population, row: int, *, time_of_day: float) -> None:
        super().__init__(population, row)
        scenario = self.model.scenario
        self.topic: str = scenario.topic
        self.statement = statement_of(scenario.topic, scenario.statement)
        self.writes_with_feed: bool = scenario.write_with_feed
        self.time_of_day = time_of_day
        self.own_view = self.voice = int(stance_of(self.initial))
        self.feed: tuple[Message, ...] = ()
        self.inbox: tuple[Message, ...] = ()
        self.friends_share = -1.0

    def life(self) -> Generator[Event, Any, Any]:
        """Baseline, then one day after another."""
        model: OpinionNetwork = self.model
        self.adopt((yield self.decide(OPINION)))
        self.baseline = int(stance_of(self.opinion))
        day = 0
        while True:
            yield model.at(day + self.time_of_day)
            model.serve(self, day)
            deliberation = model.scenario.deliberation
            self.adopt((yield self.decide(OPINION, deliberation=deliberation)))
            if model.writes_today(self, day):
                self.voice = model.voice_of(self)
                text = yield self.decide(POST, deliberation=deliberation)
                if not isinstance(text, Skipped):
                    model.publish(self, text)
            day += 1

    def adopt(self, answer: str | Skipped) -> None:
        """Hold the opinion that was answered; keep the old one if nothing was."""
        if not isinstance(answer, Skipped):
            self.opinion = float(opinion_of(int(answer)))
            if self.model.scenario.own_view == "latest_answer":
                self.own_view = int(answer)
