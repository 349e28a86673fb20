"""`Scripted`: functions instead of a model."""

from __future__ import annotations

import math

import pytest

from abm.errors import BackendError
from abm.llm import Generation, Scored, Scripted, load_backend
from abm.questions import Prompt, Status, TextConstraint

PROMPT = Prompt.plain("one two three")


def test_probabilities_become_log_scores_and_their_sum_the_coverage():
    backend = Scripted(score=lambda text, options: [0.5, 0.0])
    [answer] = backend.score([PROMPT], [["yes", "no"]])
    assert answer.scores == (math.log(0.5), -math.inf)
    assert answer.coverage == 0.5


def test_log_scores_are_kept_as_they_are():
    backend = Scripted(score=lambda text, options: [-1.0, -2.0], log_scores=True)
    assert backend.score([PROMPT], [["yes", "no"]])[0].scores == (-1.0, -2.0)


@pytest.mark.parametrize("values", [[0.5], [0.7, 0.7], [-0.1, 0.5], [0.2, 0.2, 0.2]])
def test_what_is_no_distribution_over_the_menu_is_refused(values):
    backend = Scripted(score=lambda text, options: values)
    with pytest.raises(BackendError, match="one probability per option"):
        backend.score([PROMPT], [["yes", "no"]])


def test_failures_can_be_acted_out():
    lost = Scored(None, status=Status.TIMEOUT, detail="gone")
    backend = Scripted(
        score=lambda text, options: lost,
        generate=lambda text, bound, seed: Generation(None, status=Status.INVALID, detail="no"),
    )
    assert backend.score([PROMPT], [["yes", "no"]]) == [lost]
    assert backend.generate([PROMPT], [TextConstraint(3)], [1])[0].status is Status.INVALID


def test_a_long_prompt_overflows_and_a_long_text_is_cut():
    backend = Scripted(
        score=lambda text, options: [0.5, 0.5],
        generate=lambda text, bound, seed: "a b c d",
        n_ctx=3,
    )
    long = Prompt.plain("a b c d")
    statuses = [answer.status for answer in backend.score([PROMPT, long], [["y", "n"]] * 2)]
    assert statuses == [Status.OK, Status.CONTEXT_OVERFLOW]
    [made] = backend.generate([PROMPT], [TextConstraint(2)], [1])
    assert (made.text, made.status) == ("a b", Status.TRUNCATED)


def test_a_function_that_was_not_given_names_itself():
    with pytest.raises(BackendError, match="embed=function"):
        Scripted().embed(["a"])


def halves(text, options):
    return [1 / len(options)] * len(options)


def test_a_study_can_name_its_functions():
    backend = load_backend({"backend": "scripted", "score": "statistics:mean", "name": "mean"})
    assert backend.fingerprint.startswith("scripted:mean:1")
    again = load_backend({"backend": "scripted", "score": halves})
    assert again.score([PROMPT], [["a", "b"]])[0].coverage == 1.0
