"""Philox 4x32-10, compiled: chance as a function, inside kernels and for whole columns.

`philox_uniform(stream_key, agent_key, occasion)` may be called from any compiled function and gives
what `abm.rng.uniform` gives, to the bit; `abm.rng.stream_key` makes the first argument. Imports
Numba.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

__all__ = ["fill_uniforms", "philox", "philox_uniform"]

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_TO_UNIT = 2.0**-53


@nb.njit(cache=True, inline="always")
def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """Ten rounds on a counter of four 32-bit words with a key of two; all words are uint64."""
    for _ in range(10):
        p0 = _M0 * c0
        p1 = _M1 * c2
        c0, c1 = (p1 >> _HALF) ^ c1 ^ k0, p1 & _LOW
        c2, c3 = (p0 >> _HALF) ^ c3 ^ k1, p0 & _LOW
        k0 = (k0 + _W0) & _LOW
        k1 = (k1 + _W1) & _LOW
    return c0, c1, c2, c3


@nb.njit(cache=True, inline="always")
def philox_uniform(stream_key: Any, agent_key: Any, occasion: Any) -> Any:
    """The uniform in [0, 1) of (stream key, agent key, occasion): `abm.rng.uniform`, compiled."""
    stream, word, date = np.uint64(stream_key), np.uint64(agent_key), np.uint64(occasion)
    c0, c1, _, _ = philox(
        word & _LOW, word >> _HALF, date & _LOW, date >> _HALF, stream & _LOW, stream >> _HALF
    )
    # 53 bits fit a signed integer, whose conversion to float is a vector instruction.
    return np.float64(np.int64(((c1 << _HALF) | c0) >> np.uint64(11))) * _TO_UNIT


@nb.njit(cache=True)
def fill_uniforms(stream_key: Any, keys: Any, occasions: Any, out: Any) -> None:
    """out[i] = philox_uniform(stream_key, keys[i], occasions[i]); one occasion may serve all."""
    if occasions.size == 1:
        date = occasions[0]
        for i in range(keys.size):
            out[i] = philox_uniform(stream_key, keys[i], date)
    else:
        for i in range(keys.size):
            out[i] = philox_uniform(stream_key, keys[i], occasions[i])
