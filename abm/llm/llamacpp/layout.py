"""How `fast` lays out its calls: measured once per model and machine, and kept on disk.

On a CPU attention over a crowded cache can cost more than the weights, flash attention is worth it
for long calls only, and where the best size lies depends on the model and on what prompts share. So
the speed of some layouts is measured with the loaded model on several kinds of batches, and for
each kind the fastest is taken (see `trials`). The layouts of `strict` are among them: one prompt at
a time, and a stream of cells for each text. `strict` never reads any of this.

llama.cpp adds values up in half precision under flash attention. With quantised weights that is
lost in their own rounding; with F16, BF16 and F32 weights it would be most of the difference to
`strict` (up to 1.6e-2 of total variation on the embedded model), so it is never tried there.
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from abm.folders import cache_folder
from abm.llm.llamacpp.library import build, hardware
from abm.llm.llamacpp.model import Model
from abm.llm.llamacpp.trials import APART, OPTIONS, Kind, Machine, Wave
from abm.llm.llamacpp.turns import Turns, others_since, processor_times

__all__ = ["Layout", "Remembered", "chosen", "forget_layouts", "measure_layout"]

USUAL = Kind(40, 96)
KINDS = {
    USUAL: (47, 94, 141, 235, 470, 940),
    Kind(8, 96): (47, 94, 141),
    Kind(8, 320): (47, 94, 141),
    Kind(40, 320): (94, 141, 235),
    Kind(200, 96): (235, 470),
}
"""Kinds of prompts that are tried, and the tokens of a wave."""

ROWS = (1, 2, 4, 8, 16, 32, 64)
TRIES = 3
"""Times that a layout is measured at most, where others always used the machine."""

_SLOW = 1.0  # seconds of 64 tokens
_LONGEST = 0.4  # seconds of a call that is still tried
_ALWAYS = 141  # tokens of a call that is tried in any case
_QUICK = 0.2  # seconds of 64 tokens up to which the last two kinds are tried
_GAIN = 1.05
_BUSY = 0.25  # share of the CPUs that others used
_APART = 0.1  # how far the two best turns may lie apart on a quiet machine
_FORMAT = 6


@dataclass(frozen=True)
class Layout:
    """What `fast` does with the loaded model on this machine.

    Attributes
    ----------
    flash
        Whether flash attention is on; with quantised weights only.
    n_tokens
        Tokens that a call should not exceed by much, where `waves` says nothing.
    n_rows
        Texts that are written in parallel.
    source
        `measured`, or `assumed` where one call takes longer than a second.
    tokens_per_second
        What was measured, by layout and kind of prompts.
    rows_per_second
        Tokens of texts per second, by where their cells are and the number of texts in parallel.
    waves
        Tokens of a call by kind of prompts, such as `8 after 320`: 8 tokens of their own after 320
        that they share; 0 where prompts are evaluated one at a time, as in `strict`. A batch takes
        the nearest kind.
    apart
        Whether each text has a stream of cells of its own, as in `strict`.
    spread
        How far the two best turns of a candidate lay apart, as a share: at most, for nine in ten.
    others
        Share of the CPUs that other processes used meanwhile; None where the system does not tell.
    busy
        Whether that says that something else used the machine.
    tries
        How often it was measured, because the machine was busy before.
    """

    flash: bool = False
    n_tokens: int = 512
    n_rows: int = 32
    source: str = "assumed"
    tokens_per_second: Mapping[str, float] = field(default_factory=dict)
    rows_per_second: Mapping[str, float] = field(default_factory=dict)
    waves: Mapping[str, int] = field(default_factory=dict)
    apart: bool = False
    spread: float = 0.0
    others: float | None = None
    busy: bool = False
    tries: int = 1

    def wave(self, own: float, shared: float) -> int:
        """Tokens of a call for such prompts; 0: one prompt at a time.

        Examples
        --------
        >>> layout = Layout(n_tokens=94, waves={"40 after 96": 141, "8 after 320": 0})
        >>> layout.wave(30, 50), layout.wave(5, 700), Layout().wave(5, 700)
        (141, 0, 512)
        """
        if not self.waves:
            return self.n_tokens
        name = min(self.waves, key=lambda name: _distance(Kind.read(name), own, shared))
        return self.waves[name]

    @property
    def said(self) -> str:
        """In a sentence, for people."""
        if self.source != "measured":
            return f"{self.source}, not measured"
        others = "" if self.others is None else f", others used {self.others:.0%} of the CPUs"
        return (
            f"measured on a {'busy' if self.busy else 'quiet'} machine "
            f"(best turns within {self.spread:.0%}{others})"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a manifest."""
        return asdict(self)

    def after(self, earlier: Layout) -> Layout:
        """Of two measurements of one model, what to go by: a quiet one, or else the quieter."""
        tries = earlier.tries + 1
        kept = self if not self.busy or self._noise() <= earlier._noise() else earlier
        return replace(kept, tries=tries)

    def _noise(self) -> float:
        return self.spread / _APART + (self.others or 0.0) / _BUSY


def _distance(kind: Kind, own: float, shared: float) -> float:
    """Between kinds of prompts, on logarithmic scales; few shared tokens are as good as none."""
    return abs(math.log((own + OPTIONS) / (kind.own + OPTIONS))) + abs(
        math.log((shared + 64) / (kind.shared + 64))
    )


def measure_layout(model: Model, n_threads: int, n_ctx: int, most_rows: int) -> Layout:
    """Try layouts in turns and take the fastest.

    Parameters
    ----------
    n_threads
        Threads of llama.cpp; one where there are lanes.
    n_ctx
        Longest prompt, in tokens; layouts are tried with at most so many.
    most_rows
        Texts whose cells fit the memory bound.
    """
    before, machine = processor_times(), Machine(model, n_threads, n_ctx)
    each = machine.seconds_per_token()
    if 64 * each > _SLOW:
        return Layout(n_rows=min(8, most_rows))
    waves = _tried(each, n_ctx, (False, True) if model.is_quantised else (False,))
    scores = machine.scores(waves, list(dict.fromkeys(wave.kind for wave in waves)))
    texts = machine.texts([n for n in ROWS if n <= most_rows])
    spread, others = max(scores.spread, texts.spread), others_since(before)
    return replace(
        chosen(scores, texts),
        spread=round(spread, 3),
        others=None if others is None else round(others, 3),
        busy=spread > _APART or (others or 0.0) > _BUSY,
    )


def _tried(each: float, n_ctx: int, flashes: tuple[bool, ...]) -> list[Wave]:
    """The waves to try with a model that needs so many seconds for a token."""
    kinds = [kind for kind in KINDS if kind.shared + kind.own + OPTIONS <= n_ctx]
    if 64 * each > _QUICK:
        kinds = kinds[:3]
    return [
        Wave(flash, size, kind)
        for flash in flashes
        for kind in sorted(kinds or [USUAL], key=lambda kind: kind.shared)
        for size in KINDS[kind]
        if size <= _ALWAYS or size * each <= _LONGEST
    ]


def chosen(scores: Turns, texts: Turns) -> Layout:
    """The fastest layout for each kind of prompts, and for texts.

    Waves must gain a twentieth to be preferred to one prompt at a time, which has the very scores
    of `strict`. So no kind that was tried gets a layout slower than that of `strict`. With flash
    attention or without it: what is faster over all kinds, in the geometric mean.

    Parameters
    ----------
    scores
        Speeds by wave, and by kind of prompts for one at a time.
    texts
        Speeds by where cells are and number of texts.

    Examples
    --------
    >>> short, long = Kind(8, 320), Kind(40, 96)
    >>> speeds = {short: 200, Wave(False, 94, short): 190, long: 100, Wave(False, 94, long): 150}
    >>> layout = chosen(Turns(speeds, 0.01, 3), Turns({("together", 4): 7}, 0.01, 3))
    >>> dict(layout.waves), layout.n_tokens, layout.n_rows
    ({'8 after 320': 0, '40 after 96': 94}, 94, 4)
    """
    speeds = scores.per_second
    kinds = [name for name in speeds if isinstance(name, Kind)]
    waves = [name for name in speeds if isinstance(name, Wave)]
    best: dict[tuple[bool, Kind], Wave] = {}
    for wave in waves:
        at = wave.flash, wave.kind
        best[at] = max(best.get(at, wave), wave, key=lambda one: speeds[one])

    def gain(flash: bool) -> float:
        return sum(math.log(max(speeds[best[flash, kind]], speeds[kind])) for kind in kinds)

    flash = max(sorted({wave.flash for wave in waves}), key=gain)
    sizes = {kind: best[flash, kind].size for kind in kinds}
    alone = {kind for kind in kinds if speeds[best[flash, kind]] <= _GAIN * speeds[kind]}
    place, n_rows = max(texts.per_second, key=lambda name: texts.per_second[name])
    return Layout(
        flash,
        sizes.get(USUAL, max(sizes.values())),
        n_rows,
        "measured",
        {str(wave): round(speeds[wave]) for wave in waves}
        | {f"alone, {kind}": round(speeds[kind]) for kind in kinds},
        {f"{kind} {n}": round(speed) for (kind, n), speed in texts.per_second.items()},
        {str(kind): 0 if kind in alone else size for kind, size in sizes.items()},
        place == APART,
    )


def _processor() -> str:
    """Name of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


def forget_layouts() -> int:
    """Remove what was measured of models on any machine; how many files.

    A process that has measured keeps its own; others measure anew when they next need to.
    """
    files = list(cache_folder().glob("llama-*.json"))
    for file in files:
        file.unlink(missing_ok=True)
    return len(files)


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
