"""How `fast` lays out its calls: measured once per model and machine, and kept on disk.

On a CPU attention over a crowded cache can cost more than the weights, flash attention is worth it
for long calls only, and where the best size lies depends on the model. So the speed of some layouts
is measured with the loaded model, and the fastest is taken (see `trials`). The layouts of `strict`
are among them: one prompt at a time, and a stream of cells for each text. `strict` never reads any
of this.

llama.cpp adds values up in half precision under flash attention. With quantised weights that is
lost in their own rounding; with F16, BF16 and F32 weights it would be most of the difference to
`strict` (up to 1.6e-2 of total variation on the embedded model), so it is never tried there.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from abm.folders import cache_folder
from abm.llm.llamacpp.library import build, hardware
from abm.llm.llamacpp.model import Model
from abm.llm.llamacpp.trials import APART, OPTIONS, OWN, SHORT, Machine

__all__ = ["Layout", "Remembered", "alone_from", "measure_layout"]

SIZES = tuple(n * (OWN + OPTIONS) for n in (1, 2, 3, 5, 10, 20))
ROWS = (1, 2, 4, 8, 16, 32, 64)
_SLOW = 1.0  # seconds of 64 tokens
_LONGEST = 0.4  # seconds of a call that is still tried
_GAIN = 1.05
_FORMAT = 5


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
        Tokens of texts per second, by where their cells are and the number of texts in parallel.
    alone
        Tokens of a prompt and its options from which it is evaluated alone, as in `strict`; never
        if None.
    apart
        Whether each text has a stream of cells of its own, as in `strict`.
    """

    flash: bool = False
    n_tokens: int = 512
    n_rows: int = 32
    source: str = "assumed"
    tokens_per_second: Mapping[str, float] = field(default_factory=dict)
    rows_per_second: Mapping[str, float] = field(default_factory=dict)
    alone: int | None = None
    apart: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a manifest."""
        return asdict(self)


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
    machine = Machine(model, n_threads, n_ctx)
    each = machine.seconds_per_token()
    if 64 * each > _SLOW:
        return Layout(n_rows=min(8, most_rows))
    sizes = [size for size in SIZES if size <= SIZES[2] or size * each <= _LONGEST]
    flashes = (False, True) if model.is_quantised else (False,)
    waves = [(flash, size, OWN) for flash in flashes for size in sizes]
    waves += [(flash, size, SHORT) for flash, size, _ in waves if size <= SIZES[2]]
    scores, single = machine.scores(waves, (SHORT, OWN))
    flash, n_tokens, _ = max(waves, key=lambda wave: (wave[2] == OWN) * scores[wave])
    short = scores[flash, min(n_tokens, SIZES[2]), SHORT]
    texts = machine.texts([n for n in ROWS if n <= most_rows])
    kind, n_rows = max(texts, key=lambda name: texts[name])
    return Layout(
        flash,
        n_tokens,
        n_rows,
        "measured",
        {_named(wave): round(speed) for wave, speed in scores.items()}
        | {f"alone {own}": round(speed) for own, speed in single.items()},
        {f"{kind} {n}": round(speed) for (kind, n), speed in texts.items()},
        alone_from({SHORT: short, OWN: scores[flash, n_tokens, OWN]}, single),
        kind == APART,
    )


def _named(wave: tuple[bool, int, int]) -> str:
    flash, size, own = wave
    return f"{'flash' if flash else 'plain'} {size}" + (" short" if own == SHORT else "")


def alone_from(waves: Mapping[int, float], single: Mapping[int, float]) -> int | None:
    """Fewest tokens of a prompt and its options from which evaluating it alone is as fast.

    Waves must gain a twentieth to be preferred: a prompt that is evaluated alone has the very
    scores of `strict`.

    Parameters
    ----------
    waves, single
        Tokens per second by the prompts' own tokens.

    Examples
    --------
    >>> alone_from({8: 300.0, 40: 100.0}, {8: 200.0, 40: 99.0}), alone_from({8: 3.0}, {8: 2.0})
    (47, None)
    """
    found = None
    for own in sorted(waves, reverse=True):
        if waves[own] > _GAIN * single[own]:
            break
        found = own + OPTIONS
    return found


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
