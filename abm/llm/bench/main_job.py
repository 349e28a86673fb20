"""A row on the real prompts of a study: asked once, beside one call per decision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from abm.llm.bench.figures import Figure, Setting
from abm.llm.bench.model_rows import HIGH_LEVEL, backend, beside, fresh
from abm.llm.bench.peer import Peer
from abm.llm.bench.prompts import Asked
from abm.llm.llamacpp import LlamaCpp
from abm.questions import Answer, Request
from abm.studies.registry import resolve

__all__ = ["ROWS", "main_job"]

FAMILY = "opinion_network"
EXPOSURES = ("none", "ordinary", "like_minded", "opposing")

Batches = list[list[Request]]


class _Spy:
    """Writes down what is asked and lets a rule answer."""

    recorded = False

    def __init__(self, inner: Any, batches: Batches) -> None:
        self.inner, self.batches = inner, batches
        self.fingerprint = f"spy on {inner.fingerprint}"

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        choices = [request for request in requests if request.question.options]
        if choices:
            self.batches.append(choices)
        return list(self.inner.answer(requests))


def decisions(n_citizens: int, n_asked: int, duration: float) -> Batches:
    """The choices of one run per arm, in the batches in which they are asked."""
    import abm

    cls: Any = resolve(FAMILY)
    batches: Batches = []
    for exposure in EXPOSURES:
        scenario = cls.Scenario(
            n_citizens=n_citizens, n_asked=n_asked, duration=duration, exposure=exposure
        )
        spies = {role: _Spy(twin, batches) for role, twin in cls.roles.items()}
        model = cls(scenario, seeds=abm.Seeds(1, 1, 1), policies=spies)
        model.run_until(duration)
    return batches


def main_job(setting: Setting) -> Iterable[Figure]:
    """Decisions per second on the prompts of the main job."""
    batches = decisions(setting.n(2000, 100), setting.n(40, 4), max(3.0, 30 * setting.size))
    every = [request for batch in batches for request in batch]
    n_peer = setting.n(300, 10)
    step = max(1, len(every) // n_peer)
    few = _asked(every[::step][:n_peer])
    peer = Peer(setting.path, setting.n_threads, 2048)
    try:
        with backend(setting, "strict", n_ctx=2048) as model:
            score = _asked_once(model, batches)
            value, detail = beside(
                score, lambda: peer.choose(few.texts(), few.menus), setting.repeats
            )
    finally:
        peer.close()
    yield Figure(
        "decisions per second of the main job, asked once, strict",
        value,
        "ratio",
        5.0,
        f"{HIGH_LEVEL}, grammar, one token",
        f"{len(every)} decisions of one run per arm in their own batches; the alternative on "
        f"{len(few.prompts)} of them, evenly spaced",
        detail={
            **detail,
            "decisions": len(every),
            "distinct": len({_key(request) for request in every}),
            "batches": len(batches),
        },
    )


def _key(request: Request) -> tuple[Any, ...]:
    return request.prompt, tuple(request.question.options or ())


def _asked(requests: Sequence[Request]) -> Asked:
    return Asked(
        [request.prompt for request in requests],
        [tuple(request.question.options or ()) for request in requests],
    )


def _asked_once(model: LlamaCpp, batches: Batches) -> Callable[[], int]:
    def act() -> int:
        fresh(model)
        known: set[tuple[Any, ...]] = set()
        n = 0
        for batch in batches:
            new = {key: request for request in batch if (key := _key(request)) not in known}
            if new:
                asked = _asked(list(new.values()))
                model.score(asked.prompts, asked.menus)
                known.update(new)
            n += len(batch)
        return n

    return act


ROWS = (main_job,)
