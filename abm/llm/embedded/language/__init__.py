"""The synthetic language: what can be asked, how it is said, and the rule that answers it.

Everything here is plain Python: neither a model file nor llama.cpp nor PyTorch is needed.
"""

from abm.llm.embedded.language.builders import (
    MENUS,
    TOPIC_OF,
    action,
    agreement,
    friends_text,
    number,
    read_stance,
    scene_text,
    write_post,
)
from abm.llm.embedded.language.context import brief_text, posts_text, reason_text, view_text
from abm.llm.embedded.language.grammar import parse, render
from abm.llm.embedded.language.kind import Kind
from abm.llm.embedded.language.kinds import KINDS
from abm.llm.embedded.language.personas import TRAITS, Persona, income_bracket, persona_text
from abm.llm.embedded.language.posts import Post, parse_post, post_text, stance_of
from abm.llm.embedded.language.situation import Situation
from abm.llm.embedded.language.topics import SEEN, TOPICS, UNSEEN, Topic, statement_text

__all__ = [
    "KINDS",
    "MENUS",
    "SEEN",
    "TOPICS",
    "TOPIC_OF",
    "TRAITS",
    "UNSEEN",
    "Kind",
    "Persona",
    "Post",
    "Situation",
    "Topic",
    "action",
    "agreement",
    "brief_text",
    "friends_text",
    "income_bracket",
    "number",
    "parse",
    "parse_post",
    "persona_text",
    "post_text",
    "posts_text",
    "read_stance",
    "reason_text",
    "render",
    "scene_text",
    "stance_of",
    "statement_text",
    "view_text",
    "write_post",
]
