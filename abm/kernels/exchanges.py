"""Exchanging the ends of ties, which keeps every degree.

Each node has as many stubs as its degree; `mate[h]` is the stub that h is joined to and `owner[h]`
the node it belongs to. The stubs of node i are starts[i] to starts[i + 1] - 1.
"""

from __future__ import annotations

from typing import Any

from abm.kernels.library import below, library

__all__ = ["find_wrong", "mend", "shuffle"]


@library
def times(starts: Any, owner: Any, mate: Any, a: Any, b: Any) -> Any:
    """How many ties join a and b; the shorter row is read."""
    if starts[a + 1] - starts[a] > starts[b + 1] - starts[b]:
        a, b = b, a
    found = 0
    for h in range(starts[a], starts[a + 1]):
        if owner[mate[h]] == b:
            found += 1
    return found


@library
def exchange(starts: Any, owner: Any, mate: Any, h: Any, g: Any) -> Any:
    """Join h to the mate of g, and g to the mate of h, if both new ties are simple and new."""
    k, other = mate[h], mate[g]
    if g == h or g == k:  # noqa: SIM109
        return False
    a, b, c, d = owner[h], owner[k], owner[g], owner[other]
    same = (a == c and d == b) or (a == b and d == c)
    if a == d or b == c or same:
        return False
    if times(starts, owner, mate, a, d) > 0 or times(starts, owner, mate, c, b) > 0:
        return False
    mate[h], mate[other] = other, h
    mate[g], mate[k] = k, g
    return True


@library
def find_wrong(starts: Any, owner: Any, mate: Any, mark: Any, wrong: Any) -> Any:
    """Write one stub of every loop and repeated tie into `wrong`; returns how many."""
    found = 0
    for a in range(starts.size - 1):
        for h in range(starts[a], starts[a + 1]):
            b = owner[mate[h]]
            if (b == a and h < mate[h]) or (b > a and mark[b] == a):
                wrong[found] = h
                found += 1
            mark[b] = a
    return found


@library
def mend(
    starts: Any, owner: Any, mate: Any, wrong: Any, n_wrong: Any, attempts: Any, words: Any
) -> Any:
    """Exchange ends of wrong ties with ties drawn at random; returns how many are left wrong."""
    left = n_wrong
    while left > 0 and attempts > 0:
        h = wrong[left - 1]
        a, b = owner[h], owner[mate[h]]
        if a != b and times(starts, owner, mate, a, b) == 1:
            left -= 1
            continue
        exchange(starts, owner, mate, h, below(words, mate.size))
        attempts -= 1
    return left


@library
def shuffle(starts: Any, owner: Any, mate: Any, rounds: Any, words: Any) -> None:
    """Try `rounds` exchanges from every stub of a simple network; it stays simple."""
    for _ in range(rounds):
        for h in range(mate.size):
            exchange(starts, owner, mate, h, below(words, mate.size))
