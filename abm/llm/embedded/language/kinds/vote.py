"""Voting for a proposal: a logit on the leaning."""

from __future__ import annotations

from abm.llm.embedded.language.kind import Kind
from abm.llm.embedded.language.leaning import leaning
from abm.llm.embedded.language.situation import Situation

__all__ = ["KINDS", "YES_NO", "yes_no_instructions"]

YES_NO = {"yes or no": ("yes", "no")}
yes_no_instructions = ("Answer {menu}.", "Choose {menu}.", "Is it {menu}?")


def _rule(situation: Situation) -> list[float]:
    return [4.0 * leaning(situation), 0.0]


KINDS = (
    Kind(
        name="vote",
        intros=(
            "There is a vote on this proposal today. Do you vote for it?",
            "Today people vote on this idea. Are you for it?",
            "You can vote for or against this proposal. Do you vote for it?",
            "A ballot asks you about this. Do you say yes?",
            "People can vote on this today. What do you say?",
        ),
        instructions=yes_no_instructions,
        asks=("Answer:", "Your vote:"),
        menus=YES_NO,
        rule=_rule,
        friends="will vote for it",
        weight=1.3,
    ),
)
