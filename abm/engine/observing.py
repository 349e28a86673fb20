"""Observation: looking at a model at regular times, each after the instant has settled."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from abm.engine.environment import OBSERVATION
from abm.errors import EngineError, require

if TYPE_CHECKING:
    from abm.engine.model import Model

__all__ = ["observe"]


def observe(model: Model, what: Any, every: float, start: float) -> None:
    """Look at start, start + every, start + 2 every, ...; see `Model.observe`.

    Times are multiples, not sums, so that they do not drift.
    """
    require(
        0 < every < math.inf,
        EngineError,
        f"observe(every={every!r}), expected a duration > 0",
        argument="every",
        value=every,
    )
    look = _collection(model, what) if hasattr(what, "collect") else what
    number = max(0, math.ceil((model.now - start) / every))

    def observation(_: Event) -> None:
        nonlocal number
        look()
        number += 1
        model.env.call_at(start + number * every, observation, OBSERVATION)

    model.env.call_at(max(model.now, start + number * every), observation, OBSERVATION)


def _collection(model: Model, collector: Any) -> Callable[[], None]:
    times = model._observed_times.setdefault(id(collector), [])

    def collect() -> None:
        collector.collect(model)
        times.append(model.now)

    return collect
