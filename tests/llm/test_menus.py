"""Scores of a menu from next-token probabilities, against every way of cutting it into tokens."""

from __future__ import annotations

import math

import numpy as np
import pytest

from abm.llm.remote.menus import matched, score_menu

TOKENS = ("a", "b", "ab", "ba", "aba", "B", ".", "")


def language(sharpness: float):
    """A model of which each text has its own random next token; and the texts it was asked for."""
    asked: list[str] = []

    def ask(start: str) -> dict[str, float]:
        asked.append(start)
        rng = np.random.default_rng([7, *start.encode()])
        p = rng.dirichlet(np.full(len(TOKENS), sharpness))
        return {token: math.log(max(x, 1e-300)) for token, x in zip(TOKENS, p, strict=True)}

    return ask, asked


def by_all_paths(options, ask) -> np.ndarray:
    """Mass of each option over all sequences of tokens, followed one by one."""
    mass = np.zeros(len(options))

    def may_become(text):
        return [o for o in options if len(o) > len(text) and o.lower().startswith(text.lower())]

    def follow(start: str, arrived: float) -> None:
        here, rest = matched(start, options), arrived
        for token, value in ask(start).items():
            text, m = start + token, arrived * math.exp(value)
            there = matched(text, options)
            if not token or (here is not None and there == here and not may_become(text)):
                continue
            rest -= m
            if may_become(text):
                follow(text, m)
            elif there is not None:
                mass[there] += m
        if here is not None:
            mass[here] += max(0.0, rest)

    follow("", 1.0)
    return mass


@pytest.mark.parametrize("menu", [("ab", "ba"), ("a", "ab", "aba"), ("abab", "b.a", "bbbb")])
@pytest.mark.parametrize("sharpness", [0.05, 1.0])
def test_a_menu_is_scored_as_over_all_ways_to_cut_it_with_one_question_per_text(menu, sharpness):
    """Beginnings under a ten-thousandth are left out, a handful per option: tolerance 1e-3."""
    ask, asked = language(sharpness)
    found = score_menu(menu, ask, follows=True)
    assert len(asked) == len(set(asked))
    asked_by_paths = language(sharpness)
    expected = by_all_paths(menu, asked_by_paths[0])
    assert len(asked) <= len(asked_by_paths[1])
    mass = [0.0 if score is None else math.exp(score) for score in found.scores]
    assert mass == pytest.approx(expected, abs=1e-3)


def test_unlikely_ways_to_spell_a_likely_option_are_not_asked_about():
    """One request for the first token and one to finish the option, not one for every prefix."""
    heads = {
        "": {"dis": 0.9, "d": 1e-6, "D": 1e-6, "di": 1e-6, "agree": 0.09},
        "dis": {"agree": 1.0},
    }
    asked = []

    def ask(start: str) -> dict[str, float]:
        asked.append(start)
        return {token: math.log(p) for token, p in heads[start].items()}

    found = score_menu(("agree", "disagree"), ask, follows=True)
    assert np.exp(found.scores) == pytest.approx([0.09, 0.9])
    assert asked == ["", "dis"]


def test_an_unlikely_beginning_is_followed_where_it_is_the_only_one():
    heads = {"": {"y": 1e-9, "no": 0.99}, "y": {"es": 0.5}}
    found = score_menu(
        ("yes", "no"), lambda s: {t: math.log(p) for t, p in heads[s].items()}, follows=True
    )
    assert np.exp(found.scores) == pytest.approx([5e-10, 0.99])


@pytest.mark.parametrize(
    ("text", "menu", "option"),
    [
        ("caf\u00e9", ("cafe\u0301", "tea"), 0),
        ("cafe\u0301!", ("caf\u00e9", "tea"), 0),
        ("caf\u00e9", ("cafe", "tea"), None),
        ("GROSS", ("klein", "gro\u00df"), 1),
        ("\u0130zmir", ("izmir", "\u0130zmir"), 1),
        ("\uac01", ("\uac00", "\uac01"), 1),
        ("\U0001f44d\U0001f3fd", ("\U0001f44d", "\U0001f44e"), 0),
    ],
)
def test_an_option_is_known_by_its_letters_however_they_are_encoded(text, menu, option):
    assert matched(text, menu) == option


def test_an_accent_may_be_a_token_of_its_own():
    heads = {"": {"cafe": 0.5, "tea": 0.5}, "cafe": {"\u0301": 0.8, " now": 0.2}}
    found = score_menu(
        ("caf\u00e9", "tea"), lambda s: {t: math.log(p) for t, p in heads[s].items()}, follows=True
    )
    assert np.exp(found.scores) == pytest.approx([0.4, 0.5])
