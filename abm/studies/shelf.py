"""Language models that are loaded: each once, and within a memory bound where one is given."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abm.errors import ScenarioError, require

if TYPE_CHECKING:
    from abm.llm.backend import Backend

__all__ = ["Shelf", "Shelved", "memory_of"]


class Shelf:
    """Loads backends by what a study writes for them.

    Parameters
    ----------
    limit
        Most bytes of models that are loaded at once; `None` keeps all of them. Where it is given,
        the least recently used are closed to make room and loaded again when they are asked.

    Attributes
    ----------
    loads, most
        How often a model was loaded under a limit, and the most bytes that those loaded at once
        may have held.

    Examples
    --------
    >>> shelf = Shelf()
    >>> coin = {"backend": "scripted", "name": "coin"}
    >>> shelf.backend(coin) is shelf.backend(dict(coin))
    True
    """

    def __init__(
        self,
        limit: int | None = None,
        *,
        load: Callable[[Any], Backend] | None = None,
        size: Callable[[Any], int] | None = None,
    ) -> None:
        self.limit, self._load, self._size = limit, load or _load, size or memory_of
        self._backends: dict[str, Any] = {}
        self._open: dict[str, Backend] = {}  # in order of use, the latest last
        self._needs: dict[str, int] = {}
        self.loads = self.most = 0

    def told(self) -> dict[str, int]:
        """What became of the limit, for a manifest; empty where there is none."""
        if self.limit is None:
            return {}
        closed = self.loads - len(self._open)
        return {"limit": self.limit, "most": self.most, "loads": self.loads, "closed": closed}

    def backend(self, spec: str | Mapping[str, Any]) -> Any:
        """The backend of a specification, the same object every time.

        Raises
        ------
        ScenarioError
            The model alone needs more than the bound.
        """
        key = json.dumps(_table(spec), sort_keys=True, default=str)
        if key not in self._backends:
            bounded = self.limit is not None and self._size(spec) > 0  # a server takes nothing here
            self._backends[key] = self._shelved(key, spec) if bounded else self._load(spec)
        return self._backends[key]

    def _shelved(self, key: str, spec: Any) -> Shelved:
        need = self._size(spec)
        assert self.limit is not None
        require(
            need <= self.limit,
            ScenarioError,
            f"memory_gb = {self.limit / 1e9:g}, and {spec!r} alone needs about {need / 1e9:.2f}; "
            "raise it, or give the model a smaller n_ctx, n_threads, resident_bytes or text_bytes",
        )
        return Shelved(self, key, spec, need)

    def opened(self, shelved: Shelved) -> Backend:
        """The loaded backend; closes others to make room."""
        found = self._open.pop(shelved.key, None)
        if found is None:
            assert self.limit is not None
            while self._open and self._held() + shelved.need > self.limit:
                self._shut(next(iter(self._open)))
            found = self._load(shelved.spec)
            self.loads += 1
            shelved.loads += 1
        self._open[shelved.key], self._needs[shelved.key] = found, shelved.need
        self.most = max(self.most, self._held())
        return found

    def close(self) -> None:
        """Close what a bounded shelf has open; an unbounded one leaves it to its users."""
        for key in list(self._open):
            self._shut(key)

    def _held(self) -> int:
        return sum(self._needs[key] for key in self._open)

    def _shut(self, key: str) -> None:
        backend: Any = self._open.pop(key)
        if key in self._backends:  # a model that failed while it was first loaded is not
            self._backends[key].keep(backend)
        if hasattr(backend, "close"):
            backend.close()


class Shelved:
    """A backend that is loaded when it is asked, and may be closed in between.

    Parameters
    ----------
    shelf
        Loads and closes it.
    key, spec, need
        Its name on the shelf, what it is loaded from, and its size in bytes.
    """

    def __init__(self, shelf: Shelf, key: str, spec: Any, need: int) -> None:
        self.key, self.spec, self.need, self._shelf = key, spec, need, shelf
        self._earlier: list[Any] = []
        self.loads = 0
        backend: Any = shelf.opened(self)
        self.fingerprint: str = backend.fingerprint
        self.info: dict[str, Any] = {**getattr(backend, "info", {}), "shelved_bytes": need}

    def score(self, prompts: Sequence[Any], options: Sequence[Sequence[str]]) -> Any:
        """As the backend's own."""
        return self._shelf.opened(self).score(prompts, options)

    def generate(self, prompts: Sequence[Any], constraints: Sequence[Any], seeds: Any) -> Any:
        """As the backend's own."""
        return self._shelf.opened(self).generate(prompts, constraints, seeds)

    def embed(self, texts: Sequence[str]) -> Any:
        """As the backend's own."""
        return self._shelf.opened(self).embed(texts)

    def as_sent(self, prompt: Any) -> Any:
        """As the backend's own."""
        return self._shelf.opened(self).as_sent(prompt)

    def statistics(self) -> Any:
        """What was evaluated, over all times that it was loaded."""
        now = getattr(self._shelf._open.get(self.key), "statistics", None)
        return _sum([*self._earlier, *([now()] if now is not None else [])])

    def keep(self, backend: Any) -> None:
        """Remember what a backend that is about to be closed has evaluated."""
        found = getattr(backend, "statistics", None)
        if found is not None:
            self._earlier = [_sum([*self._earlier, found()])]


def _sum(counts: list[Any]) -> Any:
    from abm.llm.statistics import Statistics

    plain = [count.as_dict() for count in counts]
    total = {name: sum(count[name] for count in plain) for name in Statistics().as_dict()}
    total["most_sequences"] = max((count["most_sequences"] for count in plain), default=0)
    return Statistics(**total)


def memory_of(spec: Any) -> int:
    """Bytes that a model of a file may come to hold; 0 for what lives elsewhere.

    Examples
    --------
    >>> memory_of({"backend": "scripted"})
    0
    """
    from abm.llm.llamacpp.footprint import footprint

    table = _table(spec)
    named = str(table.get("path", table.get("backend", "")))
    if named == "embedded":
        from abm.llm import embedded

        named = str(embedded.model_path())
    return footprint(named, table) if Path(named).is_file() else 0


def _table(spec: Any) -> dict[str, Any]:
    """A specification in its one long form, so that a file is loaded once however it is written.

    Examples
    --------
    >>> _table("/m/a.gguf") == _table({"path": "/m/a.gguf"}) == _table({"backend": "/m/a.gguf"})
    True
    """
    table = dict(spec) if isinstance(spec, Mapping) else {"backend": str(spec)}
    if str(table.get("backend", "")).endswith(".gguf") and "path" not in table:
        table |= {"backend": "llama", "path": table["backend"]}
    elif "path" in table:
        table.setdefault("backend", "llama")
    return table


def _load(spec: Any) -> Backend:
    from abm.llm import load_backend

    return load_backend(spec)
