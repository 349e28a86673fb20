"""Variety of words: hand-worked values, a slow reference, and independence of length."""

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from abm.analysis.text import hd_d, mattr, turnover, words, yules_k
from abm.errors import AnalysisError

TOKENS = st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=60)


@given(TOKENS, st.integers(1, 12))
def test_the_moving_ratio_is_the_mean_over_all_windows(tokens, window):
    windows = [tokens[i : i + window] for i in range(len(tokens) - window + 1)]
    if not windows:
        assert math.isnan(mattr(tokens, window=window))
    else:
        slow = np.mean([len(set(w)) / window for w in windows])
        assert mattr(tokens, window=window) == pytest.approx(slow)


@given(TOKENS)
def test_yules_k_is_its_sum_over_frequencies_and_ignores_order(tokens):
    spectrum = Counter(Counter(tokens).values())
    slow = 1e4 * (sum(i * i * v for i, v in spectrum.items()) - len(tokens)) / len(tokens) ** 2
    assert yules_k(tokens) == pytest.approx(slow)
    assert yules_k(sorted(tokens)) == pytest.approx(slow)


@given(TOKENS, st.integers(1, 60))
def test_hd_d_is_the_sum_of_hypergeometric_chances_to_meet_a_word(tokens, draws):
    n = len(tokens)
    if n < draws:
        assert math.isnan(hd_d(tokens, draws=draws))
        return
    counts = np.array(list(Counter(tokens).values()))
    slow = np.sum(1 - stats.hypergeom(n, counts, draws).pmf(0)) / draws
    assert hd_d(tokens, draws=draws) == pytest.approx(slow, abs=1e-9)
    assert hd_d(tokens, draws=n) == pytest.approx(len(set(tokens)) / n)


def test_hd_d_is_the_mean_ratio_of_all_samples():
    tokens = list("aaabbcdd")
    ratios = [len({tokens[i] for i in part}) / 3 for part in combinations(range(8), 3)]
    assert hd_d(tokens, draws=3) == pytest.approx(np.mean(ratios), abs=1e-12)


def test_longer_texts_from_the_same_words_are_as_rich():
    # Seed 71; a text of 20,000 words against one of 2,000 from the same 500 words.
    rng = np.random.default_rng(71)
    short, long = (rng.integers(0, 500, n).astype(str).tolist() for n in (2_000, 20_000))
    assert mattr(long) == pytest.approx(mattr(short), abs=0.01)
    assert hd_d(long) == pytest.approx(hd_d(short), abs=0.01)
    assert yules_k(long) == pytest.approx(yules_k(short), rel=0.05)
    assert len(set(long)) / len(long) < 0.2 * len(set(short)) / len(short)


def test_words_are_lower_case_without_punctuation():
    assert words("Don't share THIS — it's 100 % re-posted!") == [
        "don't",
        "share",
        "this",
        "it's",
        "100",
        "re-posted",
    ]
    assert words("Ärger über Öl_preise") == ["ärger", "über", "öl", "preise"]


def test_nothing_said_has_no_variety():
    assert math.isnan(mattr([]))
    assert math.isnan(hd_d([]))
    assert math.isnan(yules_k([]))
    assert math.isnan(turnover([], []))
    assert turnover(["a"], []) == 1
    assert turnover(["a", "b"], ["b", "a"]) == 0
    with pytest.raises(AnalysisError, match="window"):
        mattr(["a"], window=0)
    with pytest.raises(AnalysisError, match="draws"):
        hd_d(["a"], draws=0)
