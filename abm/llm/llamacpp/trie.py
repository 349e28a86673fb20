"""The prefix tree of a batch: distinct prompts in depth-first order, each with its options.

Prompts are sorted by their tokens, so that each node of their tree is shared by neighbours, and a
walk through them meets every node once. A *unit* is a prompt with as many of its options as fit one
call; a *segment* is a run of tokens that belongs to the same prompts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, chain, pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from abm.llm.llamacpp.scoring import ScoreJob
from abm.llm.llamacpp.tokens import Path, Tokens
from abm.llm.llamacpp.tree import Round, common_blocks, rounds

__all__ = [
    "Asked",
    "Segment",
    "Unit",
    "asked_in_order",
    "block_nodes",
    "common",
    "portions",
    "segments",
    "tree_nodes",
    "units_of",
]

MOST_LEAVES, MOST_NODES = 128, 512


@dataclass
class Asked:
    """A distinct prompt and all that is asked after it.

    Attributes
    ----------
    tokens, path
        The prompt, flat and in blocks.
    shared
        Tokens it has in common with the prompt before it in the tree.
    options
        Distinct options of all its jobs, sorted; `scores` holds theirs.
    """

    tokens: Tokens
    path: Path
    shared: int = 0
    jobs: list[ScoreJob] = field(default_factory=list)
    options: tuple[Tokens, ...] = ()
    scores: dict[Tokens, float] = field(default_factory=dict)
    root: NDArray[np.float32] | None = None

    @cached_property
    def ids(self) -> NDArray[np.int32]:
        """The tokens as an array."""
        return np.array(self.tokens, dtype=np.int32)


@dataclass
class Unit:
    """A prompt with one round of its options; `shared` counts tokens of the prompt before."""

    asked: Asked
    round: Round
    shared: int
    is_last: bool

    @property
    def length(self) -> int:
        return len(self.asked.tokens)

    @property
    def n_new(self) -> int:
        """Tokens to evaluate if those shared with the unit before are there."""
        return self.length - self.shared + self.round.branches.size

    @property
    def n_leaves(self) -> int:
        return max(1, self.round.branches.leaves)


class Placed(Protocol):
    """A prompt of some length, with so many tokens in common with the one before it."""

    @property
    def shared(self) -> int: ...
    @property
    def length(self) -> int: ...


@dataclass(frozen=True)
class Segment:
    """Tokens start ... stop - 1 of a unit, which the units first ... last - 1 have in common."""

    unit: int
    start: int
    stop: int
    last: int


def common(a: NDArray[np.int32], b: NDArray[np.int32]) -> int:
    """Number of leading tokens that two prompts share.

    Examples
    --------
    >>> common(np.array([1, 2, 3], np.int32), np.array([1, 2, 4, 5], np.int32))
    2
    """
    n = min(len(a), len(b))
    differs = a[:n] != b[:n]
    first = int(differs.argmax()) if n else 0
    return first if n and differs[first] else n


def asked_in_order(jobs: Sequence[ScoreJob]) -> list[Asked]:
    """The distinct prompts of a batch in depth-first order."""
    found: dict[Tokens, Asked] = {}
    for job in jobs:
        tokens = tuple(chain.from_iterable(job.path))
        asked = found.get(tokens)
        if asked is None:
            asked = found[tokens] = Asked(tokens, job.path)
        asked.jobs.append(job)
    order = [found[tokens] for tokens in sorted(found)]
    for before, asked in pairwise(order):
        asked.shared = _in_common(before.path, asked.path)
    for asked in order:
        asked.options = tuple(sorted({option for job in asked.jobs for option in job.options}))
    return order


def _in_common(a: Path, b: Path) -> int:
    """Number of leading tokens that two prompts share; equal blocks are compared as one.

    Examples
    --------
    >>> _in_common(((1, 2), (3, 4)), ((1, 2), (3,), (5,))), _in_common(((1,), (2,)), ((1, 2, 3),))
    (3, 2)
    """
    n_blocks = common_blocks(a, b)
    found = sum(map(len, a[:n_blocks]))
    rest = (chain.from_iterable(path[n_blocks:]) for path in (a, b))
    for x, y in zip(*rest, strict=False):
        if x != y:
            break
        found += 1
    return found


def units_of(order: Sequence[Asked], known: dict[tuple[Tokens, ...], list[Round]]) -> list[Unit]:
    """What prompts are evaluated in. `known` remembers the trees of menus."""
    return [unit for asked in order for unit in _units(asked, known)]


def portions(order: Sequence[Asked], n: int) -> list[list[Asked]]:
    """Prompts in at most n neighbouring portions of about equal cost, cut where least is shared.

    What all of them begin with costs nothing here: it is evaluated before, or in every portion. A
    border may lie an eighth of a portion from where it divides the cost equally.
    """
    n = min(n, len(order))
    least = min((one.shared for one in order[1:]), default=0)
    costs = (1 + len(one.tokens) - max(one.shared, least) for one in order)
    sums = list(accumulate(costs, initial=0))
    slack, borders = len(order) // (8 * n), [0]
    for k in range(1, n):
        low, high = borders[-1] + 1, len(order) - n + k  # each portion has one at least
        at = min(max(bisect_left(sums, sums[-1] * k / n), low), high)
        near = range(max(low, at - slack), min(high, at + slack) + 1)
        least = min(order[place].shared for place in near)
        cuts = [place for place in near if order[place].shared == least]
        borders.append(cuts[int(np.abs(np.array(cuts) - at).argmin())])
    return [list(order[a:b]) for a, b in pairwise([*borders, len(order)])]


def _units(asked: Asked, known: dict[tuple[Tokens, ...], list[Round]]) -> Iterable[Unit]:
    cut = known.get(asked.options)
    if cut is None:
        cut = known[asked.options] = rounds(asked.options, MOST_LEAVES, MOST_NODES)
    for number, round_ in enumerate(cut):
        shared = len(asked.tokens) if number else asked.shared
        yield Unit(asked, round_, shared, number == len(cut) - 1)


def segments(units: Sequence[Placed], live: int) -> list[Segment]:
    """How the prompts of one call are put: every token once, with all units that share it.

    Parameters
    ----------
    units
        Neighbours in the tree.
    live
        Tokens of the first unit that are in the cache already.
    """
    found: list[Segment] = []
    for i, unit in enumerate(units):
        start = unit.shared if i else live
        stop, last, least = unit.length, i + 1, unit.length
        pieces = []
        while last < len(units):
            least = min(least, units[last].shared)
            if least <= start:
                break
            if least < stop:
                pieces.append(Segment(i, least, stop, last))
                stop = least
            last += 1
        if start < stop:
            pieces.append(Segment(i, start, stop, last))
        found.extend(reversed(pieces))
    return found


def tree_nodes(order: Sequence[Asked]) -> int:
    """Nodes of the tree of the distinct prompts and their options."""
    return sum(len(asked.tokens) - asked.shared + _option_nodes(asked.options) for asked in order)


def _option_nodes(options: Sequence[Tokens]) -> int:
    """Nodes of the tree of sorted options."""
    nodes = 0
    before: Tokens = ()
    for option in options:
        shared = 0
        for x, y in zip(before, option, strict=False):
            if x != y:
                break
            shared += 1
        nodes, before = nodes + len(option) - shared, option
    return nodes


def block_nodes(requests: Iterable[tuple[Path, Sequence[Tokens]]]) -> int:
    """Nodes of the tree of declared blocks: last blocks and options belong to their request.

    Examples
    --------
    >>> block_nodes([(((1, 2), (3,)), [(7,)]), (((1, 2), (4, 5)), [(7,), (7, 8)])])
    8
    """
    inner: set[Path] = set()
    nodes = 0
    for path, options in requests:
        nodes += len(path[-1]) + _option_nodes(sorted(set(options)))
        for depth in range(len(path) - 1, 0, -1):
            if path[:depth] in inner:
                break
            inner.add(path[:depth])
            nodes += len(path[depth - 1])
    return nodes
