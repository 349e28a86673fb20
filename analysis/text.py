"""Texts: how varied their words are, whatever their length.

A text comes as a sequence of words (`words` makes one). The share of different words falls with the
length of a text; the measures here are made not to.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from abm.errors import AnalysisError, require

__all__ = ["hd_d", "mattr", "turnover", "words", "yules_k"]

NAN = float("nan")
_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")


def words(text: str) -> list[str]:
    """Words of a text in lower case, without punctuation; inner apostrophes and hyphens stay.

    Returns
    -------
    Empty for a text without words; never undefined.

    References
    ----------
    Defined here: runs of letters and digits of any alphabet.

    Examples
    --------
    >>> words("It's a well-known fact: 40 %.")
    ["it's", 'a', 'well-known', 'fact', '40']
    """
    return _WORD.findall(text.lower())


def _check_words(tokens: Sequence[str]) -> None:
    require(
        tokens is not None and not isinstance(tokens, str),
        AnalysisError,
        f"{tokens if tokens is None else tokens[:20]!r} is a text, expected its words: words(text)",
    )


def mattr(tokens: Sequence[str], *, window: int = 50) -> float:
    """Moving-average type-token ratio: share of different words in a window, over all windows.

    Returns
    -------
    In (0, 1]; nan for a text shorter than the window, to which it cannot be compared (some programs
    give the ratio of the whole text instead).

    References
    ----------
    Covington and McFall (2010), Journal of Quantitative Linguistics 17, 94-100.

    Examples
    --------
    >>> mattr(["a", "b", "a", "b"], window=2), mattr(["a", "a", "b"], window=2)
    (1.0, 0.75)
    """
    _check_words(tokens)
    require(
        window >= 1 and int(window) == window,
        AnalysisError,
        f"window = {window}, expected a whole number >= 1",
    )
    if len(tokens) < window:
        return NAN
    held = Counter(tokens[:window])
    total = len(held)
    for gone, come in zip(tokens, tokens[window:], strict=False):
        held[gone] -= 1
        if held[gone] == 0:
            del held[gone]
        held[come] += 1
        total += len(held)
    return total / (window * (len(tokens) - window + 1))


def hd_d(tokens: Sequence[str], *, draws: int = 42) -> float:
    """HD-D: expected share of different words among words drawn from the text without replacement.

    Parameters
    ----------
    draws
        Words drawn, >= 1; 42 in the literature.

    Returns
    -------
    In (0, 1]: the mean type-token ratio of all samples of that size, by the hypergeometric
    distribution and so without chance. nan for a text of fewer words, to which it does not compare.

    References
    ----------
    McCarthy and Jarvis (2007), Language Testing 24, 459-488, and (2010), Behavior Research Methods
    42, 381-392.

    Examples
    --------
    >>> round(hd_d(["a", "a", "b"], draws=2), 6)  # of three pairs two hold two words
    0.833333
    >>> hd_d(["a", "b"])
    nan
    """
    _check_words(tokens)
    require(draws >= 1, AnalysisError, f"draws = {draws}, expected >= 1")
    n = len(tokens)
    if n < draws:
        return NAN
    times = np.fromiter(Counter(tokens).values(), dtype=np.float64)
    return min(float(-np.expm1(_log_absent(times, n, draws)).sum() / draws), 1.0)


def _log_absent(times: NDArray[np.float64], n: int, draws: int) -> NDArray[np.float64]:
    """Log of the probability that a word said so often is not among the words drawn."""
    left = n - times - draws
    possible = left >= 0
    rest = np.where(possible, left, 0.0)
    ways = gammaln(n - times + 1) - gammaln(rest + 1) - gammaln(n + 1) + gammaln(n - draws + 1)
    return np.where(possible, ways, -np.inf)


def yules_k(tokens: Sequence[str]) -> float:
    """Yule's characteristic K: 10,000 times the chance-like repetition of words; larger is poorer.

    Returns
    -------
    1e4 (sum of i^2 V_i - N) / N^2, with V_i words that occur i times; 0 when no word repeats, nan
    for no words.

    References
    ----------
    Yule (1944), The Statistical Study of Literary Vocabulary.

    Examples
    --------
    >>> yules_k(["a", "b"]), yules_k(["a", "a"])
    (0.0, 5000.0)
    """
    _check_words(tokens)
    n = len(tokens)
    if n == 0:
        return NAN
    times = np.fromiter(Counter(tokens).values(), dtype=np.float64)
    return float(1e4 * ((times**2).sum() - n) / n**2)


def turnover(before: Sequence[str], after: Sequence[str]) -> float:
    """Jaccard distance of two vocabularies: 0 the same words, 1 none in common; nan if both empty.

    References
    ----------
    Jaccard (1912), New Phytologist 11, 37-50.

    Examples
    --------
    >>> turnover(["a", "b", "b"], ["b", "c"])
    0.6666666666666667
    """
    _check_words(before)
    _check_words(after)
    one, other = set(before), set(after)
    union = one | other
    return 1 - len(one & other) / len(union) if union else NAN
