"""What a backend has evaluated, counted in tokens: how much of what was asked was shared."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, fields

__all__ = ["Counts", "Statistics"]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts since a backend was made. The difference of two is what happened between them.

    Attributes
    ----------
    batches, requests
        Calls of `score` and `generate`, and the prompts in them.
    tokens_asked
        Tokens of prompts and options (ends of turns left out), as if nothing was shared.
    tree_nodes
        Nodes of the prefix trees of the distinct prompts and options of each batch, summed over the
        batches: the tokens that must be evaluated if nothing stays resident from an earlier batch.
        `fast` shares every token, `strict` the declared blocks before the last.
    tokens_evaluated
        Tokens of prompts and options that llama.cpp evaluated.
    tokens_restored
        Tokens of resident prefixes that were taken back from memory instead of being evaluated.
    prefix_hits
        How often a resident prefix was taken back.
    tokens_written
        Tokens drawn for texts.
    calls
        Calls of llama.cpp, those for texts included.
    waves
        Portions that batches were cut into, because of the memory, llama.cpp's limit of 256
        sequences or the measured layout.
    most_sequences
        Most sequences in one call; in a difference, that of the later count.

    Examples
    --------
    >>> later = Statistics(batches=2, tree_nodes=100, tokens_evaluated=101, tokens_asked=400)
    >>> later.evaluated_per_node
    1.01
    >>> (later - Statistics(batches=1)).batches
    1
    """

    batches: int = 0
    requests: int = 0
    tokens_asked: int = 0
    tree_nodes: int = 0
    tokens_evaluated: int = 0
    tokens_restored: int = 0
    prefix_hits: int = 0
    tokens_written: int = 0
    calls: int = 0
    waves: int = 0
    most_sequences: int = 0

    @property
    def evaluated_per_node(self) -> float:
        """Tokens evaluated over nodes of the trees; 1 if every node was evaluated once."""
        return self.tokens_evaluated / self.tree_nodes if self.tree_nodes else float("nan")

    @property
    def shared(self) -> float:
        """Share of the tokens asked that did not have to be evaluated, in [0, 1]."""
        return 1 - self.tokens_evaluated / self.tokens_asked if self.tokens_asked else 0.0

    def __sub__(self, earlier: Statistics) -> Statistics:
        """What happened after `earlier`."""
        names = [field.name for field in fields(self) if field.name != "most_sequences"]
        counts = {name: getattr(self, name) - getattr(earlier, name) for name in names}
        return Statistics(**counts, most_sequences=self.most_sequences)

    def as_dict(self) -> dict[str, int]:
        """Plain values for a manifest."""
        return asdict(self)


class Counts:
    """What `Statistics` are taken from while a backend works, in several threads or one.

    Examples
    --------
    >>> counts = Counts()
    >>> counts.add(calls=1, tokens_evaluated=8)
    >>> counts.alive(3)
    >>> counts.statistics().most_sequences
    3
    """

    def __init__(self) -> None:
        self._counts = {field.name: 0 for field in fields(Statistics)}
        self._lock = threading.Lock()

    def add(self, **counts: int) -> None:
        """Add to some of the counts."""
        with self._lock:
            for name, count in counts.items():
                self._counts[name] += count

    def alive(self, n_sequences: int) -> None:
        """Note how many sequences a call had."""
        with self._lock:
            if n_sequences > self._counts["most_sequences"]:
                self._counts["most_sequences"] = n_sequences

    def statistics(self) -> Statistics:
        """The counts as they are now."""
        return Statistics(**self._counts)
