"""How `fast` lays out its calls: measured once per model and machine, and kept on disk.

On a CPU attention over a crowded cache can cost more than the weights, flash attention is worth it
for long calls only, and where the best size lies depends on the model. So the speed of some layouts
is measured with the loaded model, and the fastest is taken. `strict` never reads any of this.

llama.cpp adds values up in half precision under flash attention. With quantised weights that is
lost in their own rounding; with F16, BF16 and F32 weights it would be most of the difference to
`strict` (up to 1.6e-2 of total variation on the embedded model), so it is never tried there.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np

from abm.folders import cache_folder
from abm.llm.llamacpp.context import Context
from abm.llm.llamacpp.drafts import Draft, TextJob, draw
from abm.llm.llamacpp.library import build, hardware
from abm.llm.llamacpp.model import Model
from abm.llm.llamacpp.rows import Rows
from abm.questions import TextConstraint

__all__ = ["Layout", "Remembered", "measure_layout", "random_tokens"]

PREFIX, OWN, WRITTEN, OPTIONS = 96, 40, 20, 7
SIZES = (64, 128, 256, 512, 1024)
ROWS = (1, 2, 4, 8, 16, 32, 64)
_SLOW = 1.0
_SECONDS = 4.0
_REPEATS = 4  # at most, in turns; the best counts, so that a busy moment does not
_STEPS = 4
_FORMAT = 4


@dataclass(frozen=True)
class Layout:
    """What `fast` does with the loaded model on this machine.

    Attributes
    ----------
    flash
        Whether flash attention is on; with quantised weights only.
    n_tokens
        Tokens that a call should not exceed by much.
    n_rows
        Texts that are written in parallel.
    source
        `measured`, or `assumed` where one call takes longer than a second.
    tokens_per_second
        What was measured, by layout.
    rows_per_second
        Tokens of texts per second, by the number of texts in parallel.
    """

    flash: bool = False
    n_tokens: int = 512
    n_rows: int = 32
    source: str = "assumed"
    tokens_per_second: Mapping[str, float] = field(default_factory=dict)
    rows_per_second: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a manifest."""
        return asdict(self)


def random_tokens(model: Model, n: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Tokens of the vocabulary, control tokens included: for timing and rounding only."""
    return tuple(rng.integers(0, model.n_vocabulary, n).tolist())


def measure_layout(model: Model, n_threads: int, n_ctx: int, most_rows: int) -> Layout:
    """Time each layout in turns and take the fastest; the best of its turns counts.

    Parameters
    ----------
    n_threads
        Threads of llama.cpp; one where there are lanes.
    n_ctx
        Longest prompt, in tokens; layouts are tried with at most so many.
    most_rows
        Texts whose cells fit the memory bound.
    """
    slow = _probe(model, n_threads) > _SLOW
    if slow:
        return Layout(n_rows=min(8, most_rows))
    speeds = _sizes(model, n_threads, min(PREFIX, n_ctx // 2))
    rows = _rows(model, n_threads, [n for n in ROWS if n <= most_rows])
    flash, n_tokens = max(speeds, key=lambda key: speeds[key])
    return Layout(
        flash,
        n_tokens,
        max(rows, key=lambda n: rows[n]),
        "measured",
        {f"{'flash' if f else 'plain'} {n}": round(v) for (f, n), v in speeds.items()},
        {str(n): round(v) for n, v in rows.items()},
    )


def _probe(model: Model, n_threads: int) -> float:
    """Seconds of a call of 64 tokens."""
    context = Context(model, n_cells=256, n_sequences=1, n_batch=64, n_threads=n_threads)
    tokens = random_tokens(model, 64, np.random.default_rng(0))
    try:
        return min(_timed(lambda: _one_call(context, tokens)) for _ in range(2))
    finally:
        context.free()


def _one_call(context: Context, tokens: tuple[int, ...]) -> None:
    context.clear()
    context.put(tokens, 0, 0, 1)
    context.run()
    context.api.llama_synchronize(context.handle)


def _timed(act: Callable[[], None], clock: Callable[[], float] = time.perf_counter) -> float:
    begun = clock()
    act()
    return clock() - begun


def _sizes(model: Model, n_threads: int, n_prefix: int) -> dict[tuple[bool, int], float]:
    """Tokens per second by (flash attention, size of a call); flash with quantised weights."""
    contexts = {
        flash: Context(
            model,
            n_cells=2048,
            n_sequences=256,
            n_batch=2048,
            n_ubatch=512,
            n_threads=n_threads,
            flash_attention=flash,
        )
        for flash in ((False, True) if model.is_quantised else (False,))
    }
    clock = _clock(model, n_threads)
    spent: dict[tuple[bool, int], list[float]] = {}
    begun = time.perf_counter()
    try:
        for repeat in range(4):
            for flash, context in contexts.items():
                _one_call(context, random_tokens(model, n_prefix, np.random.default_rng(1)))
                for sequence in range(1, 256):
                    context.api.llama_memory_seq_cp(context.memory, 0, sequence, -1, -1)
                for size in SIZES:
                    n, seconds = _prompts(context, model, n_prefix, size, clock)
                    if repeat:
                        spent.setdefault((flash, size), []).append(seconds / n)
            if repeat and time.perf_counter() - begun > _SECONDS:
                break
    finally:
        for context in contexts.values():
            context.free()
    return {key: 1 / min(values) for key, values in spent.items()}


def _prompts(
    context: Context, model: Model, n_prefix: int, size: int, clock: Callable[[], float]
) -> tuple[int, float]:
    """(tokens, seconds) of one call with prompts and options of about `size` tokens."""
    rng = np.random.default_rng(2)
    count = max(1, round(size / (OWN + OPTIONS)))
    for k in range(count):
        context.put(random_tokens(model, OWN, rng), n_prefix, k * OPTIONS, OPTIONS)
        context.outputs[context.filled - 1] = 1
    for k in range(count * OPTIONS):
        context.put(random_tokens(model, 1, rng), n_prefix + OWN, k, 1)
        context.outputs[context.filled - 1] = 1
    n_rows, n = count * (OPTIONS + 1), context.filled

    def act() -> None:
        context.run()
        context.logits(n_rows)

    seconds = _timed(act, clock)
    context.api.llama_memory_seq_rm(context.memory, -1, n_prefix, -1)
    return n, seconds


def _rows(model: Model, n_threads: int, candidates: list[int]) -> dict[int, float]:
    """Tokens per second when so many texts are written in parallel, each half done.

    Their prompts share `PREFIX` tokens and have `OWN` of their own, as in `Rows`.
    """
    most = candidates[-1]
    rows = Rows(
        model,
        n_rows=most,
        n_cells=PREFIX + most * (OWN + WRITTEN + _STEPS),
        n_batch=max(128, PREFIX, most),
        n_threads=n_threads,
    )
    clock = _clock(model, n_threads)
    spent: dict[int, list[float]] = {}
    try:
        text = _one_text(rows, model)
        begun = time.perf_counter()
        for repeat in range(_REPEATS):
            for n in candidates:
                _fill_rows(rows, n, text)
                spent.setdefault(n, []).append(_steps(rows, n, clock) / n)
            for row in range(1, most + 1):
                rows.leave(row)
            if repeat and time.perf_counter() - begun > _SECONDS:
                break
    finally:
        rows.free()
    return {n: 1 / min(values) for n, values in spent.items()}


def _one_text(rows: Rows, model: Model) -> Any:
    """Make random tokens the trunk; a copy of the cells of a text after it."""
    rng = np.random.default_rng(4)
    rows.extend(random_tokens(model, PREFIX, rng))
    rows.put(random_tokens(model, OWN + WRITTEN, rng), PREFIX, 1, 1)
    rows.run()
    text = rows.copy_out(1)
    rows.leave(1)
    return text


def _fill_rows(rows: Rows, n: int, text: Any) -> None:
    """Put a text into the rows up to n that have none."""
    api = rows.api
    for row in range(1, n + 1):
        if api.llama_memory_seq_pos_max(rows.memory, row) < 0:
            rows.copy_in(text, row)
            api.llama_memory_seq_cp(rows.memory, 0, row, 0, PREFIX)


def _steps(rows: Rows, n: int, clock: Callable[[], float]) -> float:
    """Seconds of a step of n texts, the best of a few; what they wrote is taken back."""
    places, start = list(range(1, n + 1)), PREFIX + OWN + WRITTEN
    drafts = [Draft(TextJob(row, (), TextConstraint(2 * _STEPS), row)) for row in places]
    best = np.inf
    for k in range(_STEPS):
        begun = clock()
        draw(drafts, rows.evaluate(places, [k] * n, [start + k] * n), frozenset())
        best = min(best, clock() - begun)
    for row in places:
        rows.api.llama_memory_seq_rm(rows.memory, row, start, -1)
    return best


def _clock(model: Model, n_threads: int) -> Callable[[], float]:
    """The time of this thread where it computes alone: other programs do not count then."""
    return time.thread_time if n_threads == 1 and not model.on_gpu else time.perf_counter


def _processor() -> str:
    """Name of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


class Remembered:
    """What was measured with a model on this machine, by name, in one small file.

    Parameters
    ----------
    identity
        Whatever the measurement depends on besides the machine and the build.

    Notes
    -----
    A file that cannot be read is as good as none; where none can be written, the measurement is
    repeated next time.
    """

    def __init__(self, identity: str) -> None:
        machine = f"{_FORMAT};{_processor()};{os.cpu_count()};{hardware()};{build()}"
        name = sha256(f"{machine};{identity}".encode()).hexdigest()[:32]
        self.file = cache_folder() / f"llama-{name}.json"

    def get(self, name: str) -> dict[str, Any] | None:
        """A measurement, or None."""
        found = self._read().get(name)
        return found if isinstance(found, dict) else None

    def put(self, name: str, value: Mapping[str, Any]) -> None:
        """Keep a measurement."""
        content = {**self._read(), name: dict(value)}
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(
                "w", dir=self.file.parent, suffix=".part", delete=False, encoding="utf-8"
            ) as file:
                json.dump(content, file)
            os.replace(file.name, self.file)

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
