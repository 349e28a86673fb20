"""How good the embedded model is, measured through its GGUF: `python -m abm.llm.embedded.evaluate`.

Choice prompts are held out of training in one of several ways (see `sampling`), and compared with
the generating rule by total variation. Posts are written by the model and judged by the language's
own parser.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from abm.llm.backend import Backend
from abm.llm.embedded.label import LABEL
from abm.llm.embedded.language.builders import write_post
from abm.llm.embedded.language.grammar import asked_stance, blocks, field_texts
from abm.llm.embedded.language.kind import Kind
from abm.llm.embedded.language.kinds import KINDS
from abm.llm.embedded.language.posts import parse_post
from abm.llm.embedded.language.sampling import held_out, post_held_out, sample
from abm.llm.embedded.language.situation import Situation
from abm.llm.embedded.rule_policy import log_probabilities
from abm.questions import Prompt, Template, distribution

__all__ = ["GOALS", "Report", "evaluate", "held_out_situations", "prompt_of", "total_variations"]

GOALS = {
    "total_variation": 0.03,
    "total_variation_of_a_kind": 0.06,
    "stance_read": 0.95,
    "stance_written": 0.95,
    "distinct_of_2000": 1000,
}
MAIN = frozenset({"persona", "pair", "combination"})


@dataclass
class Report:
    """What was measured.

    Attributes
    ----------
    n_choices, n_posts
        Sample sizes.
    total_variation
        Mean over choice prompts held out by persona, persona-topic pair or paraphrase.
    by_kind, by_hold_out
        The same by kind of question, and by what was held out (`intro`: a wording that training
        never shows; `topic`: a wholly unseen topic).
    worst
        99th percentile over those prompts.
    coverage
        Smallest probability mass on a menu.
    stance_read
        Share of held-out posts whose stance is the model's most probable answer.
    stance_written, well_formed, reason_given
        Shares of generated posts that carry the asked stance and topic, that are posts of the
        language, and that give the asked reason where one was asked.
    stance_written_unseen
        `stance_written` on wholly unseen topics. A prompt shows the statement of a topic and not
        its name, which a post needs, so it cannot be known.
    distinct
        Number of different texts among the generated posts.
    held_out_posts
        Share of the generated posts that training could not show (one in ten posts is held out).
    model
        Fingerprint of the backend.
    """

    n_choices: int = 0
    n_posts: int = 0
    total_variation: float = 0.0
    worst: float = 0.0
    coverage: float = 1.0
    by_kind: dict[str, float] = field(default_factory=dict)
    by_hold_out: dict[str, float] = field(default_factory=dict)
    stance_read: float = 0.0
    stance_written: float = 0.0
    well_formed: float = 0.0
    reason_given: float = 0.0
    stance_written_unseen: float = 0.0
    distinct: int = 0
    held_out_posts: float = 0.0
    model: str = ""
    label: str = LABEL

    @property
    def without_reading(self) -> float:
        """Mean over the kinds other than reading a stance, which is nearly certain and so easy."""
        kinds = [value for name, value in self.by_kind.items() if not name.startswith("read")]
        return float(np.mean(kinds))

    @property
    def met(self) -> dict[str, bool]:
        """Goal -> whether it is met."""
        return {
            "total_variation": self.total_variation <= GOALS["total_variation"],
            "total_variation_of_a_kind": max(self.by_kind.values())
            <= GOALS["total_variation_of_a_kind"],
            "stance_read": self.stance_read >= GOALS["stance_read"],
            "stance_written": self.stance_written >= GOALS["stance_written"],
            "distinct_of_2000": self.distinct >= GOALS["distinct_of_2000"] * self.n_posts / 2000,
        }

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "goals": GOALS, "met": self.met}


def prompt_of(situation: Situation) -> Prompt:
    """The prompt of a situation in its declared blocks, as a question of a model renders it."""
    kind = KINDS[situation.kind]
    template = Template(blocks(kind, situation.options, situation.paraphrase))
    return template.render(field_texts(situation))


def held_out_situations(
    rng: Random, kind: Kind, number: int, reason: str | None = None
) -> list[Situation]:
    """Situations of a kind that training never shows.

    Without a `reason`: held out by persona, persona-topic pair or combination of phrases, in words
    that training knows, on topics that it knows. With one of `persona`, `pair`, `combination`,
    `intro`, `post`, `topic`: by that reason among others.
    """
    found: list[Situation] = []
    while len(found) < number:
        situation = sample(rng, kind, unseen=reason == "topic" and kind.topic is None)
        reasons = held_out(situation)
        wanted = reasons & MAIN and "intro" not in reasons if reason is None else reason in reasons
        if wanted:
            found.append(situation)
    return found


def total_variations(backend: Backend, situations: Sequence[Situation]) -> list[float]:
    """Total variation between the model's distribution over the menu and the rule's."""
    prompts = [prompt_of(situation) for situation in situations]
    scored = backend.score(prompts, [situation.options or () for situation in situations])
    found = []
    for situation, one in zip(situations, scored, strict=True):
        if one.scores is None:
            raise ValueError(f"{one.status} for {situation}: {one.detail}")
        found.append(_distance(situation, one.scores))
    return found


def _distance(situation: Situation, scores: Sequence[float]) -> float:
    logs = log_probabilities(situation)
    truth = np.exp([logs[option] for option in situation.options or ()])
    return float(0.5 * np.abs(distribution(scores) - truth).sum())


def _choice_kinds() -> list[Kind]:
    return [kind for kind in KINDS.values() if kind.menus]


def evaluate(
    backend: Backend,
    *,
    per_kind: int = 300,
    n_posts: int = 2000,
    seed: int = 20,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Measure a backend that runs the embedded model.

    Parameters
    ----------
    per_kind
        Held-out prompts per kind of question, and per way of holding out.
    n_posts
        Posts to write.
    seed
        Of the situations and texts.
    progress
        Called with a line of text before each part.
    """
    report = Report(n_posts=n_posts, model=backend.fingerprint)
    _choices(backend, report, per_kind, seed, progress)
    progress("reading held-out posts")
    report.stance_read = _stance_read(backend, 2 * per_kind, seed)
    progress(f"writing {n_posts} posts")
    _posts(backend, report, n_posts, seed)
    return report


def _choices(
    backend: Backend, report: Report, per_kind: int, seed: int, progress: Callable[[str], None]
) -> None:
    every: list[float] = []
    for kind in _choice_kinds():
        progress(f"{kind.name}: {per_kind} held-out prompts")
        rng = Random(f"evaluate:{seed}:{kind.name}")
        situations = held_out_situations(rng, kind, per_kind)
        found = total_variations(backend, situations)
        report.by_kind[kind.name] = float(np.mean(found))
        every += found
    report.n_choices = len(every)
    report.total_variation = float(np.mean(every))
    report.worst = float(np.quantile(every, 0.99))
    for reason in ("persona", "pair", "combination", "post", "intro", "topic"):
        progress(f"held out by {reason}")
        report.by_hold_out[reason] = _by_reason(backend, reason, per_kind, seed)
    report.coverage = _coverage(backend, seed)


def _by_reason(backend: Backend, reason: str, number: int, seed: int) -> float:
    kinds = [kind for kind in _choice_kinds() if _can_be(kind, reason)]
    rng = Random(f"evaluate:{seed}:{reason}")
    each = max(1, number // len(kinds))
    situations = [s for kind in kinds for s in held_out_situations(rng, kind, each, reason)]
    return float(np.mean(total_variations(backend, situations)))


def _can_be(kind: Kind, reason: str) -> bool:
    needs = {"persona": "persona" in kind.parts, "pair": "persona" in kind.parts}
    needs |= {"post": kind.content == "post" or "posts" in kind.parts, "topic": kind.topic is None}
    return needs.get(reason, True)


def _coverage(backend: Backend, seed: int) -> float:
    rng = Random(f"evaluate:{seed}:coverage")
    situations = [s for kind in _choice_kinds() for s in held_out_situations(rng, kind, 10)]
    scored = backend.score(
        [prompt_of(s) for s in situations], [s.options or () for s in situations]
    )
    return min(one.coverage or 0.0 for one in scored)


def _stance_read(backend: Backend, number: int, seed: int) -> float:
    rng = Random(f"evaluate:{seed}:read")
    right = []
    for name in ("read_stance5", "read_stance3"):
        situations = held_out_situations(rng, KINDS[name], number // 2, "post")
        scored = backend.score(
            [prompt_of(s) for s in situations], [s.options or () for s in situations]
        )
        for situation, one in zip(situations, scored, strict=True):
            logs = log_probabilities(situation)
            options = list(situation.options or ())
            true = max(options, key=logs.__getitem__)
            right.append(options[int(np.argmax(one.scores or [0.0]))] == true)
    return float(np.mean(right))


def _posts(backend: Backend, report: Report, number: int, seed: int) -> None:
    rng = Random(f"evaluate:{seed}:write")
    kind = KINDS["write_post"]
    seen = held_out_situations(rng, kind, number)
    texts = _write(backend, seen, seed)
    judged = [_judge(situation, text) for situation, text in zip(seen, texts, strict=True)]
    report.well_formed = float(np.mean([good["well_formed"] for good in judged]))
    report.stance_written = float(np.mean([good["stance"] for good in judged]))
    report.reason_given = float(np.mean([good["reason"] for good in judged if "reason" in good]))
    report.distinct = len(set(texts))
    report.held_out_posts = float(np.mean([post_held_out(text) for text in texts]))
    unseen = held_out_situations(rng, kind, max(1, number // 10), "topic")
    texts = _write(backend, unseen, seed)
    judged = [_judge(situation, text) for situation, text in zip(unseen, texts, strict=True)]
    report.stance_written_unseen = float(np.mean([good["stance"] for good in judged]))


def _write(backend: Backend, situations: Sequence[Situation], seed: int) -> list[str]:
    constraint = write_post().text
    assert constraint is not None
    seeds = [(seed * 1_000_003 + place) % 2**32 for place in range(len(situations))]
    prompts = [prompt_of(situation) for situation in situations]
    made = backend.generate(prompts, [constraint] * len(prompts), seeds)
    return [one.text or "" for one in made]


def _judge(situation: Situation, text: str) -> dict[str, bool]:
    post = parse_post(text)
    asked = asked_stance({"view": situation.view, "brief": situation.brief})
    right = post is not None and post.stance == asked and post.topic == situation.topic
    found = {"well_formed": post is not None, "stance": right}
    if situation.reason:
        found["reason"] = post is not None and post.reason == situation.reason
    return found


def show(report: Report) -> None:
    """Print a report as tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(f"Embedded model - {report.label}", style="bold")
    table = Table("measure", "value", "goal", "met")
    met = report.met
    rows: list[tuple[str, float, str]] = [
        ("mean total variation", report.total_variation, "total_variation"),
        (
            f"worst kind ({max(report.by_kind, key=report.by_kind.__getitem__)})",
            max(report.by_kind.values()),
            "total_variation_of_a_kind",
        ),
        ("stance read correctly", report.stance_read, "stance_read"),
        ("stance written as asked", report.stance_written, "stance_written"),
        (f"distinct posts of {report.n_posts}", report.distinct, "distinct_of_2000"),
    ]
    for name, value, goal in rows:
        table.add_row(name, f"{value:.4g}", f"{GOALS[goal]:g}", "yes" if met[goal] else "NO")
    for name, value in _further(report):
        table.add_row(name, f"{value:.4g}", "", "")
    console.print(table)


def _further(report: Report) -> list[tuple[str, float]]:
    rows = [(f"total variation, {kind}", value) for kind, value in report.by_kind.items()]
    rows += [(f"held out by {why}", value) for why, value in report.by_hold_out.items()]
    return [
        ("total variation without the reading kinds", report.without_reading),
        *rows,
        ("total variation, 99th percentile", report.worst),
        ("smallest coverage of a menu", report.coverage),
        ("posts of the language", report.well_formed),
        ("asked reason given", report.reason_given),
        ("stance written, unseen topics", report.stance_written_unseen),
        ("generated posts that training never showed", report.held_out_posts),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: measure, print, and write JSON or the model card when asked."""
    import argparse

    from rich.console import Console

    parser = argparse.ArgumentParser(
        prog="python -m abm.llm.embedded.evaluate", description=__doc__
    )
    parser.add_argument("--model", type=Path, help="a GGUF; default: the one of the package")
    parser.add_argument("--mode", choices=("strict", "fast"), default="strict")
    parser.add_argument("--per-kind", type=int, default=300)
    parser.add_argument("--posts", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--card", type=Path, help="write a model card here")
    options = parser.parse_args(arguments)
    from abm.llm.embedded.instrument import model_path
    from abm.llm.llamacpp import LlamaCpp

    backend = LlamaCpp(options.model or model_path(), mode=options.mode, n_ctx=512)
    with Console(stderr=True).status("") as status:
        report = evaluate(
            backend,
            per_kind=options.per_kind,
            n_posts=options.posts,
            seed=options.seed,
            progress=status.update,
        )
    show(report)
    if options.json:
        options.json.write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
    if options.card:
        from abm.llm.embedded.card import card

        options.card.write_text(card(report), encoding="utf-8")


if __name__ == "__main__":
    main()
