"""A loaded model: its weights and bounds, its lanes, and what was measured of it."""

from __future__ import annotations

import os
import threading
import weakref
from pathlib import Path
from typing import Any, Literal

from abm.errors import BackendError, require
from abm.llm.llamacpp.layout import TRIES, Layout, Remembered, measure_layout
from abm.llm.llamacpp.model import Model
from abm.llm.llamacpp.prefixes import PrefixStore
from abm.llm.llamacpp.strict import MAX_NODES
from abm.llm.statistics import Counts

__all__ = ["MAX_NODES", "MEDIUM", "MOST_LANES", "SMALL", "Loaded", "Mode", "default_threads"]

SMALL = 20_000_000
"""Parameters below which threads of llama.cpp mostly wait, on a CPU; such a model writes two texts
a call."""

MEDIUM = 1_000_000_000
"""Parameters below which a model on a CPU has lanes."""

Mode = Literal["strict", "fast"]

_MEASURED: set[Path] = set()  # files of layouts that this process has measured: once is enough
MOST_ROWS = 64
MOST_LANES = 8


class Loaded:
    """The weights of a file with the bounds of what is done with them, until `close`.

    The parameters are those of `LlamaCpp`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        n_ctx: int,
        n_threads: int | None,
        n_gpu_layers: int,
        mode: Mode,
        n_parallel: int | None,
        resident_bytes: int,
        text_bytes: int,
    ) -> None:
        self.path, self.mode = Path(path), mode
        self._model = Model(self.path, n_gpu_layers)
        self._contexts: dict[str, Any] = {}
        self._close = weakref.finalize(self, _free, self._model, self._contexts, os.getpid())
        self._process = os.getpid()
        self._lock = threading.RLock()
        self.n_ctx = min(n_ctx, self._model.n_training_context or n_ctx)
        self.n_threads = n_threads or default_threads(self._is_small)
        self._lone_threads = 1 if self._is_small and n_threads is None else self.n_threads
        self.n_parallel, self.text_bytes = n_parallel, text_bytes
        self.n_lanes = self._most_lanes()
        self._ends = self._model.ends_of_turn
        self._store = PrefixStore(resident_bytes)
        self._counts = Counts()
        self._layout: Layout | None = None

    @property
    def layout(self) -> Layout:
        """What `fast` does on this machine: measured when first needed, then kept on disk.

        The file lies in the folder `AGORA_CACHE`, or in the user's cache folder. What was measured
        while others used the machine (`busy`) is measured again by the next process, three times at
        most. `strict` does not use it.
        """
        self._open()
        with self._lock:
            if self._layout is None:
                kept = self._remembered().get("layout")
                self._layout = self._measured_layout(None if kept is None else Layout(**kept))
            return self._layout

    def _measured_layout(self, kept: Layout | None) -> Layout:
        """A kept layout, or one that is measured now: none is kept, or the machine was busy."""
        remembered = self._remembered()
        is_final = remembered.file in _MEASURED or (kept is not None and kept.tries >= TRIES)
        if kept is not None and (is_final or not kept.busy):
            return kept
        room = self.text_bytes // self.n_lanes
        rows = max(1, min(MOST_ROWS, room // (512 * self._model.cell_bytes)))
        n_threads = 1 if self.n_lanes > 1 else self.n_threads
        found = measure_layout(self._model, n_threads, self.n_ctx, rows)
        if kept is not None:
            found = found.after(kept)
        remembered.put("layout", found.as_dict())
        _MEASURED.add(remembered.file)
        return found

    def _remembered(self) -> Remembered:
        return Remembered(
            f"{self._model.hash()};{self._model.on_gpu};{self.n_threads};{self.n_lanes};"
            f"{self.n_ctx};{self.text_bytes}"
        )

    def _is_below(self, n_parameters: int) -> bool:
        return self._model.n_parameters < n_parameters and not self._model.on_gpu

    @property
    def _is_small(self) -> bool:
        """Whether calls of a few tokens are so short that threads of llama.cpp mostly wait."""
        return self._is_below(SMALL)

    def _most_lanes(self) -> int:
        """Lanes whose cells for scoring fit the memory of texts; one for a large model."""
        each = (self.n_ctx + MAX_NODES) * self._model.cell_bytes
        most = min(self.n_threads, MOST_LANES, self.text_bytes // each)
        return max(1, most) if self._is_below(MEDIUM) else 1

    def _threads_of(self, n_lanes: int) -> int:
        """Threads of llama.cpp in each of so many lanes."""
        if n_lanes == 1:
            return self._lone_threads
        return 1 if self._is_small else max(1, self.n_threads // n_lanes)

    def close(self) -> None:
        """Free the memory of the model, after what another thread asks. Later use is an error."""
        if os.getpid() == self._process:
            with self._lock:
                self._store.clear()
                self._close()

    def _open(self) -> Model:
        require(
            os.getpid() == self._process,
            BackendError,
            f"{self.path.name} was loaded in process {self._process} and used in its fork "
            f"{os.getpid()}, where llama.cpp's threads do not exist. Load it in the process that "
            "uses it, or start workers with 'spawn' and ask through a RemotePolicy",
        )
        require(
            self._close.alive,
            BackendError,
            f"{self.path.name} was closed; make a new LlamaCpp to go on",
        )
        return self._model


def _free(model: Model, contexts: dict[str, Any], process: int) -> None:
    if os.getpid() != process:
        return
    for context in contexts.values():
        context.free()
    contexts.clear()
    model.free()


def default_threads(is_small: bool) -> int:
    """CPUs that this process may use; all of the machine where the system does not tell (macOS)."""
    told = hasattr(os, "sched_getaffinity")
    n_cpus = len(os.sched_getaffinity(0)) if told else os.cpu_count() or 1
    return min(n_cpus, 4 if is_small else 8)
