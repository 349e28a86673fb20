"""A kind of question: its wordings, its menu, what its prompts may say, and its generating rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from abm.errors import QuestionError, require
from abm.llm.embedded.language.context import friends_line
from abm.llm.embedded.language.situation import Situation

__all__ = ["Kind"]

ANYTHING = frozenset({"persona", "view", "posts", "friends"})


@dataclass(frozen=True)
class Kind:
    """One kind of question. A new kind is a new file in `kinds/` that defines `KINDS`.

    Attributes
    ----------
    name
        Unique name.
    intros, instructions, asks
        Wordings of the first line, of the line with the menu (`{menu}` is replaced), and of the
        last line. Every combination is a paraphrase. The last intro is never shown in training.
    menus
        How a menu is said -> its options. Empty for a text question.
    rule
        Situation -> log-scores over its options, normalised or not.
    content
        What the second line shows: a statement, a post, or nothing.
    topic
        Fixed topic of kinds that show neither.
    parts
        What the prompt may say besides: persona, view, posts, friends.
    friends
        What friends are said to do.
    scenes
        Scene line -> its values; empty for kinds without a scene.
    scene_required
        Whether a prompt without a scene is outside the language.
    weight
        Relative frequency in training.
    """

    name: str
    intros: tuple[str, ...]
    instructions: tuple[str, ...]
    asks: tuple[str, ...]
    menus: Mapping[str, tuple[str, ...]]
    rule: Callable[[Situation], Sequence[float]]
    content: Literal["statement", "post", ""] = "statement"
    topic: str | None = None
    parts: frozenset[str] = ANYTHING
    friends: str = "agree"
    scenes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    scene_required: bool = False
    weight: float = 1.0

    @property
    def n_paraphrases(self) -> int:
        return len(self.intros) * len(self.instructions) * len(self.asks)

    def wording(self, paraphrase: int) -> tuple[int, int, int]:
        """Numbers of the intro, instruction and ask of a paraphrase."""
        require(
            0 <= paraphrase < self.n_paraphrases,
            QuestionError,
            f"{self.name}: paraphrase = {paraphrase}, expected 0 to {self.n_paraphrases - 1}",
        )
        rest, intro = divmod(paraphrase, len(self.intros))
        ask, instruction = divmod(rest, len(self.instructions))
        return intro, instruction, ask

    def paraphrase(self, intro: int, instruction: int, ask: int) -> int:
        """Inverse of `wording`."""
        return intro + len(self.intros) * (instruction + len(self.instructions) * ask)

    @cached_property
    def instruction_lines(self) -> dict[str, tuple[int, tuple[str, ...] | None]]:
        """Line -> (number of the instruction, options)."""
        if not self.menus:
            return {text: (i, None) for i, text in enumerate(self.instructions)}
        return {
            text.format(menu=said): (i, options)
            for i, text in enumerate(self.instructions)
            for said, options in self.menus.items()
        }

    @cached_property
    def said(self) -> dict[tuple[str, ...], str]:
        """Options -> how the menu is said."""
        return {options: said for said, options in self.menus.items()}

    def head(self, paraphrase: int, options: tuple[str, ...] | None) -> list[str]:
        """Lines before the persona, with a field where the content goes."""
        intro, instruction, _ = self.wording(paraphrase)
        line = self.instructions[instruction]
        if options is not None:
            require(
                options in self.said,
                QuestionError,
                f"{self.name}: options = {options}, expected one of {list(self.said)}",
            )
            line = line.format(menu=self.said[options])
        middle = [f"{{{self.content}}}"] if self.content else []
        return [self.intros[intro], *middle, line]

    def ask(self, paraphrase: int) -> str:
        return self.asks[self.wording(paraphrase)[2]]

    @cached_property
    def friends_lines(self) -> dict[str, int]:
        """Line -> tenths."""
        return {friends_line(t / 10, self.friends)[:-1]: t for t in range(11)}
