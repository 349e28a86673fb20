"""Texts: how varied their words are, whatever their length.

A text comes as a sequence of words (`words` makes one). The share of different words falls with the
length of a text; the measures here are made not to.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from abm.errors import AnalysisError, require

__all__ = ["mattr", "turnover", "words", "yules_k"]

NAN = float("nan")
_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")


def words(text: str) -> list[str]:
    """Words of a text in lower case, without punctuation; inner apostrophes and hyphens stay.

    Examples
    --------
    >>> words("It's a well-known fact: 40 %.")
    ["it's", 'a', 'well-known', 'fact', '40']
    """
    return _WORD.findall(text.lower())


def mattr(tokens: Sequence[str], *, window: int = 50) -> float:
    """Moving-average type-token ratio: share of different words in a window, over all windows.

    Returns
    -------
    In (0, 1]; nan for a text shorter than the window, to which it cannot be compared.

    References
    ----------
    Covington and McFall (2010), Journal of Quantitative Linguistics 17, 94-100.

    Examples
    --------
    >>> mattr(["a", "b", "a", "b"], window=2), mattr(["a", "a", "b"], window=2)
    (1.0, 0.75)
    """
    require(window >= 1, AnalysisError, f"window = {window}, expected >= 1")
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
    n = len(tokens)
    if n == 0:
        return NAN
    times = np.fromiter(Counter(tokens).values(), dtype=np.float64)
    return float(1e4 * ((times**2).sum() - n) / n**2)


def turnover(before: Sequence[str], after: Sequence[str]) -> float:
    """Jaccard distance of two vocabularies: 0 the same words, 1 none in common; nan if both empty.

    Examples
    --------
    >>> turnover(["a", "b", "b"], ["b", "c"])
    0.6666666666666667
    """
    one, other = set(before), set(after)
    union = one | other
    return 1 - len(one & other) / len(union) if union else NAN
