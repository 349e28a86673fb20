"""The model card, written from a measured report."""

from __future__ import annotations

from abm.llm.embedded.catalogue import questions
from abm.llm.embedded.evaluate import GOALS, Report

__all__ = ["card"]

_HEAD = """# Model card: the embedded model of Agora

**{label}.**
Nothing that this model answers is evidence about people. Every output made with it carries that
label. For evidence, name a real GGUF.

## What it is

A Llama-architecture GGUF (F16) of a few million parameters, trained from scratch on a synthetic
language. The language and the rule that answers it are written down in `docs/embedded_model.md`
and are themselves a policy, `abm.llm.embedded.truth()`. The model exists so that the language-model
path of a study, surrogates and calibration can be tested against a known truth, offline and on any
CPU.

Trained by one run of `python -m abm.llm.embedded.training` with its default settings, from nothing;
no text of other people was used. Licence: MIT, like the package.

## What it knows

{kinds}

{n_topics} topics; {n_unseen} more that training never showed. Personas with any of {persona}.
Own present view, up to three posts just read, and the share of friends in tenths.
`abm.llm.embedded.questions()` lists everything. A prompt outside the language is the failure
`out_of_language`, not a guess.

## How it was measured

`python -m abm.llm.embedded.evaluate`, through this GGUF and llama.cpp: {n_choices} choice prompts
and prompts for {n_posts} posts, seeded, none of them shown in training. A prompt is held out by its
persona, by its combination of party, ideology and topic, or by its combination of phrases. Rows on
a wording (`intro`) or topics that training never showed stand beside them and count towards no
goal. A post names its topic, and a prompt shows only the statement: the name of an unseen topic
cannot be known, so the stance of posts on unseen topics is 0 by construction.

| measure | value | goal |
| --- | --- | --- |
"""


def card(report: Report) -> str:
    """The text of the card, Markdown; its first lines carry the label."""
    known = questions()
    kinds = "\n".join(
        f"- `{kind.name}`: " + (" / ".join(", ".join(m) for m in kind.menus) or "a text")
        for kind in known.kinds
    )
    head = _HEAD.format(
        label=report.label[0].upper() + report.label[1:],
        kinds=kinds,
        n_topics=len(known.topics),
        n_unseen=len(known.unseen_topics),
        persona=", ".join(known.persona),
        n_choices=report.n_choices,
        n_posts=report.n_posts,
    )
    return head + "\n".join(_rows(report)) + f"\n\nMeasured with `{report.model}`.\n"


def _rows(report: Report) -> list[str]:
    low = "total_variation_of_a_kind"
    rows = [
        _row("mean total variation to the truth", report.total_variation, "<=", "total_variation"),
        _row("largest mean of a kind", max(report.by_kind.values()), "<=", low),
        _row("stance read correctly from held-out posts", report.stance_read, ">=", "stance_read"),
        _row("posts that carry the asked stance", report.stance_written, ">=", "stance_written"),
        f"| mean total variation without the reading kinds | {report.without_reading:.4f} | |",
        f"| distinct among {report.n_posts} posts | {report.distinct} | >= "
        f"{GOALS['distinct_of_2000'] * report.n_posts / 2000:.0f} |",
    ]
    rows += [f"| kind `{name}` | {value:.4f} | |" for name, value in report.by_kind.items()]
    rows += [f"| held out by {why} | {value:.4f} | |" for why, value in report.by_hold_out.items()]
    rows += [
        f"| total variation, 99th percentile | {report.worst:.4f} | |",
        f"| smallest coverage of a menu | {report.coverage:.4f} | |",
        f"| posts that are sentences of the language | {report.well_formed:.4f} | |",
        f"| asked reason given | {report.reason_given:.4f} | |",
        f"| stance as asked, unseen topics | {report.stance_written_unseen:.4f} | |",
        f"| posts of the tenth that training never showed | {report.held_out_posts:.4f} | |",
    ]
    return rows


def _row(name: str, value: float, sign: str, goal: str) -> str:
    return f"| {name} | {value:.4f} | {sign} {GOALS[goal]:g} |"
