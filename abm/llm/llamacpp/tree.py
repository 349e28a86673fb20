"""Trees of tokens: menus whose options share beginnings, prompts that share blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from abm.llm.llamacpp.tokens import Path, Tokens

__all__ = ["Branches", "Round", "common_blocks", "depth_first", "rounds"]


@dataclass
class Branches:
    """A tree of tokens in depth-first order, one entry per node.

    Attributes
    ----------
    token, depth
        Token of the node, and its distance from the root (1 for the first token).
    first_leaf, n_leaves
        The leaves below the node: the sequences that its cell belongs to.
    """

    token: NDArray[np.int32]
    depth: NDArray[np.int32]
    first_leaf: NDArray[np.int64]
    n_leaves: NDArray[np.int32]

    @property
    def size(self) -> int:
        return len(self.token)

    @property
    def leaves(self) -> int:
        return int(self.first_leaf[-1] + 1) if len(self.token) else 1


@dataclass
class Round:
    """Options that are evaluated in one call, and where their probabilities are read.

    `row` 0 is the last token of the prompt, row i + 1 is node i. A step (row, token) adds the
    log-probability of the token after the row; the option ends at row `end[k]`.

    Attributes
    ----------
    members
        Indices of the options in the menu.
    row, token, owner
        Steps: where, which token, for which member (position in `members`).
    end
        Row after which each member's turn ends.
    """

    members: list[int]
    branches: Branches
    row: NDArray[np.int64]
    token: NDArray[np.int64]
    owner: NDArray[np.int64]
    end: NDArray[np.int64]


@dataclass
class _Node:
    token: int
    depth: int
    children: dict[int, _Node] = field(default_factory=dict)
    row: int = 0
    first_leaf: int = 0
    n_leaves: int = 0


def rounds(options: Sequence[Tokens], max_leaves: int, max_nodes: int) -> list[Round]:
    """Cut a menu, in its declared order, into rounds of at most so many leaves and nodes.

    A single option longer than `max_nodes` is a round of its own. The cut depends on the menu
    alone.

    Examples
    --------
    >>> [r] = rounds([(1,), (1, 0)], max_leaves=8, max_nodes=8)
    >>> r.branches.token.tolist(), r.end.tolist(), r.branches.leaves
    ([1, 0], [1, 2], 1)
    """
    found: list[Round] = []
    members: list[int] = []
    for index in range(len(options)):
        trial = [*members, index]
        size = sum(len(options[i]) for i in trial)
        if members and (len(trial) > max_leaves or size > max_nodes):
            found.append(_round(options, members))
            trial = [index]
        members = trial
    if members:
        found.append(_round(options, members))
    return found


def _round(options: Sequence[Tokens], members: list[int]) -> Round:
    root = _Node(-1, 0)
    ends: list[_Node] = []
    for index in members:
        node = root
        for token in options[index]:
            node = node.children.setdefault(token, _Node(token, node.depth + 1))
        ends.append(node)
    order = _number(root)
    steps = []
    for owner, index in enumerate(members):
        node = root
        for token in options[index]:
            steps.append((node.row, token, owner))
            node = node.children[token]
    row, token_, owner_ = np.array(steps, dtype=np.int64).reshape(-1, 3).T.copy()
    end = np.array([node.row for node in ends], dtype=np.int64)
    return Round(list(members), _branches(order), row, token_, owner_, end)


def _number(root: _Node) -> list[_Node]:
    """Nodes in depth-first order; fills in rows and leaf ranges."""
    order: list[_Node] = []
    leaves = 0
    stack = [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            node.n_leaves = leaves - node.first_leaf
            continue
        node.first_leaf = leaves
        if node is not root:
            order.append(node)
            node.row = len(order)
        if not node.children:
            leaves += 1
        stack.append((node, True))
        stack.extend((child, False) for child in reversed(node.children.values()))
    return order


def _branches(order: list[_Node]) -> Branches:
    return Branches(
        np.array([node.token for node in order], dtype=np.int32),
        np.array([node.depth for node in order], dtype=np.int32),
        np.array([node.first_leaf for node in order], dtype=np.int64),
        np.array([node.n_leaves for node in order], dtype=np.int32),
    )


def common_blocks(a: Path, b: Path) -> int:
    """Number of leading blocks that two paths share.

    Examples
    --------
    >>> common_blocks(((1, 2), (3,)), ((1, 2), (4,)))
    1
    """
    count = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        count += 1
    return count


def depth_first(paths: Sequence[Path]) -> list[int]:
    """Order in which to visit paths so that each shared prefix is walked once.

    Blocks are ordered by first appearance, so the order is stable and depends on the batch alone.

    Examples
    --------
    >>> depth_first([((1,), (2,)), ((9,), (2,)), ((1,), (3,))])
    [0, 2, 1]
    """
    rank: dict[Tokens, int] = {}
    keys = [tuple(rank.setdefault(block, len(rank)) for block in path) for path in paths]
    return sorted(range(len(paths)), key=lambda index: keys[index])
