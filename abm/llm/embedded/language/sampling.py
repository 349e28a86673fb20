"""Random situations: what training sees, and what evaluation holds out.

Held out of training, by a hash and therefore for ever:

- *personas*: one full persona in ten;
- *persona-topic pairs*: one combination in twelve of (party, ideology, topic);
- *paraphrases*: of every kind, two combinations of intro and instruction (`HELD_COMBINATIONS`),
  and the last intro, whose wording training never shows;
- *posts*: one post in ten;
- *topics*: those of `UNSEEN`.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from random import Random
from zlib import crc32

from abm.llm.embedded.language.grammar import asked_stance
from abm.llm.embedded.language.kind import Kind
from abm.llm.embedded.language.kinds import KINDS
from abm.llm.embedded.language.personas import AGES, INCOMES, Persona
from abm.llm.embedded.language.posts import STANCES, compose, n_variants
from abm.llm.embedded.language.situation import Situation
from abm.llm.embedded.language.topics import SEEN, TOPICS, UNSEEN

__all__ = ["HELD_COMBINATIONS", "bare", "held_out", "post_held_out", "sample", "written"]

HELD_COMBINATIONS = frozenset({(1, 2), (3, 1)})
_SEEN, _UNSEEN = tuple(SEEN), tuple(UNSEEN)


def post_held_out(text: str) -> bool:
    """Whether training never shows this post."""
    return crc32(text.encode()) % 10 == 0


def persona_held_out(persona: Persona) -> bool:
    return persona.text != "" and crc32(persona.text.encode()) % 10 == 0


def pair_held_out(persona: Persona, topic: str) -> bool:
    if persona.party is None and persona.ideology is None:
        return False
    return crc32(f"{persona.party}|{persona.ideology}|{topic}".encode()) % 12 == 0


def wording_held_out(kind: Kind, paraphrase: int) -> str:
    """ "" for a trained wording, "combination" or "intro" for a held-out one."""
    intro, instruction, _ = kind.wording(paraphrase)
    if intro == len(kind.intros) - 1:
        return "intro"
    return "combination" if (intro, instruction) in HELD_COMBINATIONS else ""


def held_out(situation: Situation) -> set[str]:
    """Why training never shows this situation; empty when it may.

    Any of persona, pair, combination, intro, post, topic.
    """
    reasons = set()
    if persona_held_out(situation.persona):
        reasons.add("persona")
    if pair_held_out(situation.persona, situation.topic):
        reasons.add("pair")
    wording = wording_held_out(KINDS[situation.kind], situation.paraphrase)
    if wording:
        reasons.add(wording)
    if any(post_held_out(text) for text in (situation.post, *situation.posts) if text):
        reasons.add("post")
    if situation.topic in UNSEEN:
        reasons.add("topic")
    return reasons


def _persona(rng: Random, keep: float | None = None) -> Persona:
    """Often the six survey attributes, sometimes only some, with or without traits."""
    keep = rng.choice((1.0, 1.0, 0.6, 0.3, 0.0)) if keep is None else keep

    def maybe(values: range) -> int | None:
        return rng.choice(values) if rng.random() < keep else None

    traits = [0, 0, 0, 0, 0]
    if rng.random() < 0.4:
        for dimension in rng.sample(range(5), rng.choice((1, 1, 2, 3))):
            traits[dimension] = rng.choice((-1, 1))
    return Persona(
        age=maybe(AGES),
        education=maybe(range(1, 8)),
        income=maybe(range(1, len(INCOMES) + 1)),
        party=maybe(range(7)),
        ideology=maybe(range(1, 8)),
        tv_news=maybe(range(8)),
        traits=tuple(traits),  # type: ignore[arg-type]
    )


def _post(rng: Random, topic: str, stance: int | None = None) -> str:
    if stance is None:
        stance = rng.choice(STANCES)
    return compose(topic, stance, rng.randrange(n_variants(stance)))


def sample(rng: Random, kind: Kind, *, unseen: bool = False) -> Situation:
    """A random situation of a kind, on a topic that training may or never shows."""
    topic = kind.topic or rng.choice(_UNSEEN if unseen else _SEEN)
    text = not kind.menus
    view = rng.randint(1, 7) if "view" in kind.parts and (text or rng.random() < 0.6) else None
    brief = None
    if text and rng.random() < 0.35:
        view, brief = None, rng.choice(STANCES)
    posts = _posts(rng, kind, topic)
    friends = rng.randint(0, 10) if "friends" in kind.parts and rng.random() < 0.5 else None
    scene = dict(rng.choice(tuple(kind.scenes.values()))) if kind.scenes else {}
    if not kind.scene_required and rng.random() < 0.2:
        scene = {}
    reason = ""
    if text and rng.random() < 0.4:
        reason = rng.choice(TOPICS[topic].reasons(asked_stance({"view": view, "brief": brief})))
    return Situation(
        kind=kind.name,
        topic=topic,
        options=rng.choice(tuple(kind.menus.values())) if kind.menus else None,
        paraphrase=rng.randrange(kind.n_paraphrases),
        post=_post(rng, topic) if kind.content == "post" else "",
        persona=_persona(rng) if "persona" in kind.parts else Persona(),
        view=view,
        brief=brief,
        posts=posts,
        friends=friends,
        scene=scene,
        reason=reason,
        view_wording=rng.randrange(2) if view is not None else 0,
        posts_wording=rng.randrange(2) if posts else 0,
    )


_SMALL = ("age", "education", "income")


def bare(rng: Random, situation: Situation) -> Situation:
    """The same question to a persona of one to three attributes who says and hears nothing else.

    How a topic divides people is a product of two things that mean nothing alone, and full prompts
    teach it slowly; these are short and show nothing else.
    """
    values = asdict(_persona(rng, 1.0))
    kept = rng.choices(_SMALL, (3, 2, 1), k=rng.choice((1, 1, 2)))
    if rng.random() < 0.5:
        kept = [*kept[: rng.randrange(2)], *rng.sample(("party", "ideology"), rng.choice((1, 2)))]
    if rng.random() < 0.3:
        kept.append("traits")
        values["traits"] = situation.persona.traits
    persona = Persona(**{name: values[name] for name in kept})
    return replace(
        situation,
        persona=persona,
        view=None,
        posts=(),
        friends=None,
        view_wording=0,
        posts_wording=0,
    )


def _posts(rng: Random, kind: Kind, topic: str) -> tuple[str, ...]:
    if "posts" not in kind.parts:
        return ()
    shares = (0.7, 0.2, 0.05, 0.05) if not kind.menus else (0.45, 0.25, 0.15, 0.15)
    number = rng.choices(range(4), shares)[0]
    tilt = rng.choice((None, None, *STANCES))
    return tuple(_post(rng, topic, tilt) for _ in range(number))


def written(rng: Random, situation: Situation) -> str:
    """A post of the generating rule for a `write_post` situation: uniform over all that fit."""
    stance = asked_stance({"view": situation.view, "brief": situation.brief})
    variant = rng.randrange(n_variants(stance))
    return compose(situation.topic, stance, variant, situation.reason or None)
