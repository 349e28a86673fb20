"""A row on the real prompts of a study: asked once, beside one call per decision.

The study is the main job: 2,000 citizens, 40 of them asked every day for 30 days in four arms. One
replication of all arms is taken, because arms share their random numbers and so many prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from abm.llm.bench.figures import Figure, Setting
from abm.llm.bench.model_rows import HIGH_LEVEL, backend, beside, ceiling, fresh
from abm.llm.bench.peer import Peer
from abm.llm.bench.prompts import Asked
from abm.llm.llamacpp import LlamaCpp
from abm.questions import Answer, Request
from abm.studies.registry import resolve

__all__ = ["ROWS", "lanes_filled", "main_job"]

FAMILY = "opinion_network"
EXPOSURES = ("none", "ordinary", "like_minded", "opposing")

Batches = list[list[Request]]


class _Spy:
    """Writes down what is asked and lets another policy answer."""

    recorded = False

    def __init__(self, inner: Any, batches: Batches) -> None:
        self.inner, self.batches = inner, batches
        self.fingerprint = f"spy on {inner.fingerprint}"

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        choices = [request for request in requests if request.question.options]
        if choices:
            self.batches.append(choices)
        return list(self.inner.answer(requests))


def decisions(
    n_citizens: int = 2000, n_asked: int = 40, duration: float = 30.0, seed: int = 1
) -> Batches:
    """The choices of one replication of all four arms, in the batches in which they are asked.

    Answered by the exact rule that the embedded model was trained towards, so that the society goes
    where that model leads it.
    """
    import abm
    from abm.llm.embedded import truth

    cls: Any = resolve(FAMILY)
    batches: Batches = []
    for exposure in EXPOSURES:
        scenario = cls.Scenario(
            n_citizens=n_citizens, n_asked=n_asked, duration=duration, exposure=exposure
        )
        spies = {role: _Spy(truth(), batches) for role in cls.roles}
        model = cls(scenario, seeds=abm.Seeds(seed, seed, seed), policies=spies)
        model.run_until(duration)
    return batches


def of_some(batches: Batches, n: int) -> Batches:
    """What the first n citizens are asked, who are told apart by their personas.

    A slice by citizens keeps what the whole has: the same persons on many days and in all arms. One
    by days or arms would not.
    """
    personas = dict.fromkeys(dict(r.fields)["persona"] for batch in batches for r in batch)
    some = set(list(personas)[:n])
    kept = [[r for r in batch if dict(r.fields)["persona"] in some] for batch in batches]
    return [batch for batch in kept if batch]


def stretches(batches: Batches, n: int, parts: int = 10) -> list[Request]:
    """About n decisions: stretches of whole batches in their order, evenly spaced.

    Within a batch, which is one instant, prompts are sorted: who calls a model once per agent may
    do so too, and calls after one another then share the longest beginning.
    """
    starts = np.linspace(0, len(batches), parts, endpoint=False).astype(int)
    chosen: list[Request] = []
    for part, start in enumerate(starts.tolist(), 1):
        for batch in batches[start:]:
            if len(chosen) >= n * part / parts:
                break
            chosen += sorted(batch, key=lambda request: request.prompt.text)
    return chosen


def main_job(setting: Setting) -> Iterable[Figure]:
    """Decisions per second on the prompts of the main job."""
    batches = of_some(decisions(), setting.n(40, 2))
    few = _asked(stretches(batches, setting.n(600, 20)))
    n = sum(map(len, batches))
    distinct = len({_key(request) for batch in batches for request in batch})
    peer = Peer(setting.path, setting.n_threads, 2048)
    try:
        with backend(setting, "strict", n_ctx=2048) as model:
            before = model.statistics()
            score = _asked_once(model, batches)
            value, detail = beside(
                score, lambda: peer.choose(few.texts(), few.menus), setting.repeats
            )
            done = model.statistics() - before
            detail |= ceiling(model, score, detail, 1 + max(map(len, few.menus)))
            detail["lanes_filled"] = lanes_filled(batches, model.n_lanes)
    finally:
        peer.close()
    yield Figure(
        "decisions per second of the main job, asked once, strict",
        value,
        "ratio",
        5.0,
        f"{HIGH_LEVEL}, grammar, one token",
        f"all {n:,} choices of one replication of the four arms by {setting.n(40, 2)} of the 40 "
        f"citizens in their own batches, {distinct:,} of them distinct; the alternative on "
        f"{len(few.prompts)} in ten stretches, sorted within each instant",
        detail={
            **detail,
            "decisions": n,
            "distinct": distinct,
            "saved_by_asking_once": 1 - distinct / n,
            "tokens_evaluated_over_asked": done.tokens_evaluated / done.tokens_asked,
            "batches": len(batches),
        },
    )


def lanes_filled(batches: Batches, n_lanes: int) -> float:
    """Share of the lanes that have a prompt, if all prompts took equally long.

    A batch holds what is asked at one instant for the first time: one prompt keeps one lane.

    Examples
    --------
    >>> lanes_filled([], 2)
    1.0
    """
    known: set[tuple[Any, ...]] = set()
    n_prompts = n_places = 0
    for batch in batches:
        new = {key for request in batch if (key := _key(request)) not in known}
        known |= new
        n_prompts += len(new)
        n_places += -(-len(new) // n_lanes) * n_lanes
    return n_prompts / n_places if n_places else 1.0


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
