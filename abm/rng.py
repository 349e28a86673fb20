"""Chance is a function, not a stream: u = philox(seed, purpose, agent key, occasion).

One seed enters a run. Whatever draws names its purpose, its agent and its occasion, and gets the
same number whoever else draws. So an extra agent, draw, birth or probe moves nobody else's chance.

The generator is Philox 4x32 with ten rounds (Salmon et al. 2011, SC '11): the key is a hash of
(seed, purpose), the counter is (agent key, occasion). Three implementations agree to the bit:
scalar (Python integers), columnar (NumPy), and compiled (Numba, in `abm.kernels`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from hashlib import blake2b
from importlib.util import find_spec

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "agent_key",
    "chance",
    "child_key",
    "stream_key",
    "uniform",
    "uniform_of",
    "uniforms",
    "uniforms_of",
]

_MASK = 0xFFFFFFFF
_MASK64 = 0xFFFFFFFFFFFFFFFF
_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_TO_UNIT = 2.0**-53
_LARGE = 1 << 16  # from this size on, loading the compiled kernel pays


def _digest(parts: Sequence[object], size: int) -> int:
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=size).digest(), "little")


@lru_cache(maxsize=4096)
def stream_key(seed: int, purpose: str) -> int:
    """64-bit Philox key of a (seed, purpose) pair.

    Examples
    --------
    >>> stream_key(1, "decide:opinion") == stream_key(1, "decide:opinion")
    True
    >>> stream_key(1, "decide:opinion") == stream_key(2, "decide:opinion")
    False
    """
    return _digest((int(seed), purpose), 8)


def agent_key(key: int | str) -> int:
    """64-bit counter word of an agent: integers stand for themselves, names are hashed.

    Examples
    --------
    >>> agent_key(7)
    7
    >>> agent_key("respondent 7") == agent_key("respondent 7")
    True
    """
    if isinstance(key, (int, np.integer)):
        return int(key) & _MASK64
    return _digest((str(key),), 8)


def child_key(parent: int | str, birth: int) -> int:
    """Key of a newborn: the hash of its parent's key and its birth number.

    Examples
    --------
    >>> child_key(7, 1) == child_key(7, 1) != child_key(7, 2)
    True
    """
    return _digest((agent_key(parent), int(birth)), 8)


def uniform(seed: int, purpose: str, key: int | str = 0, occasion: int = 0) -> float:
    """One uniform in [0, 1) for (seed, purpose, agent key, occasion), with 53 random bits.

    Examples
    --------
    >>> 0.0 <= uniform(1, "decide:opinion", key=7, occasion=0) < 1.0
    True
    >>> uniform(1, "p", 7) == uniforms(1, "p", [7]).item()
    True
    """
    return uniform_of(stream_key(seed, purpose), agent_key(key), int(occasion) & _MASK64)


def uniform_of(stream: int, word: int, date: int) -> float:
    """The uniform of a stream key, an agent's counter word and an occasion, as `uniform` has it.

    Examples
    --------
    >>> uniform_of(stream_key(1, "p"), agent_key(7), 0) == uniform(1, "p", 7)
    True
    """
    c0, c1, c2, c3 = word & _MASK, word >> 32, date & _MASK, date >> 32
    k0, k1 = stream & _MASK, stream >> 32
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & _MASK, (p0 >> 32) ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + _W0) & _MASK, (k1 + _W1) & _MASK
    return ((c1 << 32 | c0) >> 11) * _TO_UNIT


def uniforms(
    seed: int, purpose: str, keys: ArrayLike, occasions: ArrayLike | int = 0
) -> NDArray[np.float64]:
    """Uniforms in [0, 1) for many agents at once.

    Element i is `uniform(seed, purpose, keys[i], occasions[i])`, to the bit.

    Parameters
    ----------
    keys
        Integer agent keys, shape (n,); hash names with `agent_key` first.
    occasions
        One integer for all, or shape (n,).

    Returns
    -------
    Shape (n,), float64.

    Examples
    --------
    >>> uniforms(1, "p", [3, 4], [0, 5]).tolist() == [uniform(1, "p", 3, 0), uniform(1, "p", 4, 5)]
    True
    """
    return uniforms_of(stream_key(seed, purpose), keys, occasions)


def uniforms_of(stream: int, keys: ArrayLike, occasions: ArrayLike | int) -> NDArray[np.float64]:
    """The uniforms of a stream key, counter words and occasions: `uniform_of`, many at once.

    Examples
    --------
    >>> uniforms_of(stream_key(1, "p"), [3, 4], 0).tolist() == uniforms(1, "p", [3, 4]).tolist()
    True
    """
    words = _as_words(keys)
    dates = _as_words(occasions)
    fill = _compiled() if words.size >= _LARGE and words.ndim == 1 else None
    if fill is None:
        return _columnar(stream, words, np.broadcast_to(dates, words.shape))
    if dates.size > 1:
        dates = np.broadcast_to(dates, words.shape)
    out = np.empty(words.size)
    fill(
        np.uint64(stream),
        np.ascontiguousarray(words),
        np.ascontiguousarray(dates).ravel(),
        out,
    )
    return out


def _columnar(
    stream: int, words: NDArray[np.uint64], dates: NDArray[np.uint64]
) -> NDArray[np.float64]:
    low, high = np.uint64(_MASK), np.uint64(32)
    c0, c1, c2, c3 = words & low, words >> high, dates & low, dates >> high
    k0, k1 = stream & _MASK, stream >> 32
    for _ in range(10):
        p0, p1 = c0 * np.uint64(_M0), c2 * np.uint64(_M1)
        c0, c1 = (p1 >> high) ^ c1 ^ np.uint64(k0), p1 & low
        c2, c3 = (p0 >> high) ^ c3 ^ np.uint64(k1), p0 & low
        k0, k1 = (k0 + _W0) & _MASK, (k1 + _W1) & _MASK
    bits = ((c1 << high) | c0) >> np.uint64(11)
    return bits.astype(np.float64) * _TO_UNIT


@cache
def _compiled() -> Callable[..., None] | None:
    """The compiled column filler; None where Numba is not installed."""
    if find_spec("numba") is None:
        return None
    from abm.kernels.philox import fill_uniforms

    fill: Callable[..., None] = fill_uniforms
    return fill


def _as_words(values: ArrayLike | int) -> NDArray[np.uint64]:
    array = np.asarray(values)
    return array if array.dtype == np.uint64 else array.astype(np.int64).view(np.uint64)


def chance(seed: int, purpose: str, key: int | str = 0, occasion: int = 0) -> np.random.Generator:
    """A NumPy generator built from the same tuple, for code that needs more than one uniform.

    Examples
    --------
    >>> a, b = chance(1, "network"), chance(1, "network")
    >>> float(a.random()) == float(b.random())
    True
    """
    words = _digest((int(seed), purpose, agent_key(key), int(occasion)), 16)
    return np.random.Generator(np.random.Philox(key=words))
