"""The embedded model through llama.cpp, against the rule it was trained towards.

A smaller sample than `python -m abm.llm.embedded.evaluate`. Seeded, so the numbers are fixed for
one build of llama.cpp and CPU type; the tolerances leave room for sampling and for other kernels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from abm.llm import embedded
from abm.llm.backend import Generation, Scored
from abm.llm.embedded import language as lang
from abm.llm.embedded.card import card
from abm.llm.embedded.evaluate import Report, evaluate
from abm.questions import Prompt, Status, TextConstraint


class Fake:
    """A backend that remembers what it was asked."""

    fingerprint = "fake"

    def __init__(self, text: str = "") -> None:
        self.asked: list[str] = []
        self.text = text

    def score(self, prompts: Sequence[Prompt], options: Sequence[Sequence[str]]) -> list[Scored]:
        self.asked += [prompt.text for prompt in prompts]
        return [Scored(tuple(-1.0 for _ in menu), 0.99) for menu in options]

    def generate(
        self, prompts: Sequence[Prompt], constraints: Sequence[TextConstraint], seeds: Sequence[int]
    ) -> list[Generation]:
        del constraints, seeds
        self.asked += [prompt.text for prompt in prompts]
        return [Generation(self.text, 9, 9) for _ in prompts]


def agreement_prompt(persona: str) -> Prompt:
    question = lang.agreement(7)
    fields = {**dict.fromkeys(question.template.fields, ""), "persona": persona}
    fields["statement"] = lang.statement_text("free buses")
    return question.request(fields).prompt


def post_prompt() -> Prompt:
    question = lang.write_post()
    fields = dict.fromkeys(question.template.fields, "")
    fields |= {"statement": lang.statement_text("free buses"), "view": lang.view_text(7)}
    return question.request(fields, seed=1).prompt


def test_a_prompt_outside_the_language_never_reaches_the_model() -> None:
    inner = Fake()
    backend = embedded.EmbeddedBackend(inner)  # type: ignore[arg-type]
    inside, outside = agreement_prompt(""), agreement_prompt("You are a pirate.\n")
    menu = tuple("1234567")
    found = backend.score([outside, inside, inside], [menu, menu, ("yes", "no")])
    assert [one.status for one in found] == ["out_of_language", "ok", "out_of_language"]
    assert inner.asked == [inside.text]


def test_a_text_that_is_no_post_is_invalid_and_says_what_was_written() -> None:
    constraint = lang.write_post().text
    assert constraint is not None
    for text, status in [
        (lang.post_text("free buses", 2), Status.OK),
        ("Buses are nice.", Status.INVALID),
        (lang.post_text("gun control", 2), Status.INVALID),
    ]:
        backend = embedded.EmbeddedBackend(Fake(text))  # type: ignore[arg-type]
        made, refused = backend.generate(
            [post_prompt(), Prompt.plain("Write a poem.")], [constraint] * 2, [1, 2]
        )
        assert made.status is status
        assert made.text == text
        assert (text in made.detail) == (status is Status.INVALID)
        assert refused.status is Status.OUT_OF_LANGUAGE


def test_everything_about_the_model_carries_the_label() -> None:
    label = "instrument check: synthetic answers, no evidence about people"
    assert label == embedded.LABEL
    backend = embedded.EmbeddedBackend(Fake())  # type: ignore[arg-type]
    assert backend.label == backend.info["label"] == embedded.truth().label == label
    folder = embedded.model_path().parent
    first = (folder / "MODEL_CARD.md").read_text(encoding="utf-8").splitlines()[:5]
    assert any(label in line.lower() for line in first)
    assert any(
        "no evidence about people" in line or "evidence about people" in line for line in first
    )
    assert label.encode() in embedded.model_path().read_bytes()[:4096]


def test_the_model_file_is_at_most_5_megabytes() -> None:
    assert embedded.model_path().stat().st_size <= 5_000_000


def test_a_card_shows_the_measured_numbers_and_its_goals() -> None:
    report = Report(n_choices=9, n_posts=2000, total_variation=0.0123, by_kind={"vote": 0.02})
    text = card(report)
    assert "| mean total variation to the truth | 0.0123 | <= 0.03 |" in text
    assert "| kind `vote` | 0.0200 | |" in text


@pytest.fixture(scope="module")
def backend() -> Iterator[embedded.EmbeddedBackend]:
    pytest.importorskip("llama_cpp", reason="the extra `llama` is not installed")
    with embedded.backend(n_threads=1) as made:
        yield made


@pytest.fixture(scope="module")
def report(backend: embedded.EmbeddedBackend) -> Report:
    return evaluate(backend, per_kind=40, n_posts=200, seed=4)


@pytest.mark.slow
@pytest.mark.llama
def test_choices_follow_the_rule_on_what_training_never_showed(report: Report) -> None:
    assert report.n_choices == 40 * 13
    assert report.total_variation <= 0.03
    # Means of 40 prompts; the goal of 0.06 holds for larger samples, so a fifth is allowed on top.
    assert max(report.by_kind.values()) <= 0.072, report.by_kind
    assert report.coverage > 0.97


@pytest.mark.slow
@pytest.mark.llama
def test_the_stance_of_a_held_out_post_is_read(report: Report) -> None:
    assert report.stance_read >= 0.95


@pytest.mark.slow
@pytest.mark.llama
def test_posts_are_written_with_the_asked_stance_and_differ(report: Report) -> None:
    assert report.well_formed >= 0.95
    assert report.stance_written >= 0.95
    assert report.reason_given >= 0.9
    assert report.distinct >= 100


@pytest.mark.slow
@pytest.mark.llama
def test_the_policy_answers_like_truth_and_refuses_like_truth() -> None:
    pytest.importorskip("llama_cpp", reason="the extra `llama` is not installed")
    policy, truth = embedded.policy(n_threads=1), embedded.truth()
    question = lang.agreement(7)
    fields = {**dict.fromkeys(question.template.fields, "")}
    fields["statement"] = lang.statement_text("gun control")
    requests = [
        question.request({**fields, "persona": persona})
        for persona in ("", lang.persona_text(47, 6, 18, 1, 3, 2), "Hello.\n")
    ]
    model, rule = policy.answer(requests), truth.answer(requests)
    assert [a.status for a in model] == [a.status for a in rule]
    assert [str(a.status) for a in model] == ["ok", "ok", "out_of_language"]
    assert policy.recorded
    assert not truth.recorded


def test_a_missing_model_file_says_how_to_make_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from abm.errors import ModelFileError
    from abm.llm.embedded import instrument

    monkeypatch.setattr(instrument, "files", lambda _: tmp_path)
    with pytest.raises(ModelFileError, match=r"abm\.llm\.embedded\.training"):
        instrument.model_path()
