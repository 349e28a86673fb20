"""What a society costs around its language model: a million agents, cached answers, memory."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from abm.llm.bench.figures import Figure, Setting
from abm.llm.llamacpp import LlamaCpp

__all__ = ["ROWS", "cached_answers", "memory", "million_agents"]

_OPTIONS = ("1", "2", "3", "4", "5")
_AGES, _SHARES = 10, 5  # 50 distinct requests


def _question() -> Any:
    from abm.questions import Question

    return Question(
        "view",
        1,
        "A town debates new parks.\n---\nYou are {age} years old. {share} of your friends want "
        "them. How much do you agree, from 1 (not at all) to 5 (fully)?\nAnswer:",
        _OPTIONS,
        perceive=lambda me: {"age": me.age, "share": me.share},
    )


@contextmanager
def _recorded(setting: Setting, inner: Any = None) -> Iterator[Any]:
    """A recorded policy on the setting's model, or on `inner`, with a ledger of its own."""
    from abm.ledger import Ledger, Recorded
    from abm.policies.llm import LLMPolicy

    folder = Path(setting.folder) / "society"
    folder.mkdir(parents=True)
    backend = inner or LlamaCpp(setting.path, n_threads=setting.n_threads)
    try:
        with Ledger(folder / "ledger.sqlite") as ledger:
            yield Recorded(LLMPolicy(backend, coverage_floor=0.0), ledger)
    finally:
        if inner is None:
            backend.close()
        shutil.rmtree(folder)


def _flat() -> Any:
    from abm.llm.scripted import Scripted

    return Scripted(score=lambda _, options: [1 / len(options)] * len(options))


def _town(policy: Any, n: int, *, different: bool = False) -> Any:
    """n people with 50 distinct situations, or each with another one."""
    import abm
    from abm.population import Population

    model = abm.Model(seed=1, policies={"model": policy})
    if different:
        return Population(model, age=np.arange(n), share=0.5)
    rng = model.chance("people")
    age, share = rng.integers(0, _AGES, n), rng.integers(0, _SHARES, n)
    return Population(model, age=20 + 5 * age, share=share / _SHARES)


def _ask(people: Any) -> tuple[float, int]:
    """Seconds from columns to drawn choices, and distinct requests."""
    begun = time.perf_counter()
    asked = people.ask_all(_question(), fields={"age": people.age, "share": people.share})
    return time.perf_counter() - begun, asked.n_requests


def million_agents(setting: Setting) -> Iterable[Figure]:
    """A million agents answer a question of five options with 50 distinct requests."""
    n = setting.n(1_000_000, 100_000)
    with _recorded(setting, _flat()) as policy:
        first, _ = _ask(_town(policy, n))  # loads the compiled kernels
    cold, cached = [], []
    for _ in range(setting.repeats):
        with _recorded(setting) as policy:
            people = _town(policy, n)
            seconds, requests = _ask(people)
            cold.append(seconds)
            cached.append(_ask(people)[0])
    yield Figure(
        name="a million agents, 50 distinct requests",
        value=median(cold),
        unit="s",
        floor=2.0,
        at_most=True,
        alternative="none",
        how=f"{n:,} rows from columns to drawn choices, {requests} requests inferred and stored; "
        "median",
        model=setting.model,
        detail={
            "turns": cold,
            "again, from the ledger": cached,
            "first call of a process, without the model": first,
            "saved": 1 - requests / n,
        },
    )


def cached_answers(setting: Setting) -> Iterable[Figure]:
    """What questions, ledger and engine cost per answer that needs no inference."""
    if not setting.first:
        return
    n = setting.n(100_000, 10_000)
    with _recorded(setting, _flat()) as policy:
        shared = _again(policy, n, setting.repeats)
    with _recorded(setting, _flat()) as policy:
        different = _again(policy, n // 10, setting.repeats, different=True)
    with _recorded(setting, _flat()) as policy:  # more than a ledger remembers in memory
        stored = _again(policy, n // 5, setting.repeats, different=True)
    yield Figure(
        name="overhead per cached answer, vectorised",
        value=median(shared),
        unit="us",
        floor=30.0,
        at_most=True,
        alternative="none",
        how=f"{n:,} agents with 50 distinct requests; beside it {n // 10:,} and {n // 5:,} "
        "agents of whom no two ask the same: the latter are read from the ledger's file",
        model="none",
        detail={
            "turns": shared,
            "us, all requests different": different,
            "us, all different and from the file": stored,
        },
    )
    single = _single(setting, setting.n(20_000, 2_000))
    yield Figure(
        name="overhead per cached answer, single decisions",
        value=median(single),
        unit="us",
        floor=300.0,
        at_most=True,
        alternative="none",
        how="agents that decide one after another, each in an instant of its own, clock included",
        model="none",
        detail={"turns": single},
    )


def _again(policy: Any, n: int, repeats: int, *, different: bool = False) -> list[float]:
    people = _town(policy, n, different=different)
    _ask(people)
    return [_ask(people)[0] / n * 1e6 for _ in range(repeats)]


def _single(setting: Setting, n: int) -> list[float]:
    """Microseconds per decision of agents on the clock."""
    import abm

    question, figures = _question(), []

    class Citizen(abm.Agent):
        def life(self) -> Generator[Any, Any, None]:
            self.age = 20 + 5 * (int(self.key) % _AGES)
            self.share = (int(self.key) % _SHARES) / _SHARES
            yield self.wait(int(self.key) / 1000)
            while True:
                yield self.decide(question)
                yield self.wait(1)

    for _ in range(setting.repeats):
        with _recorded(setting, _flat()) as policy:
            model = abm.Model(seed=1, policies={"model": policy})
            for key in range(100):
                Citizen(model, key=key)
            model.run_until(1)
            begun = time.perf_counter()
            model.run_until(1 + n // 100)
            figures.append((time.perf_counter() - begun) / (n // 100 * 100) * 1e6)
    return figures


def memory(setting: Setting) -> Iterable[Figure]:
    """What 100,000 questions, all different, leave in memory: around a model, and in one."""
    from abm.ledger import RunRecorder
    from abm.policies.llm import LLMPolicy

    n = setting.n(100_000, 2_000)
    if setting.first:
        with _recorded(setting, _flat()) as policy:
            recorder = RunRecorder(policy, "run")
            yield _growth("a function, ledger, recorder and engine", recorder, n)
        with _small_model(setting) as policy:
            recorder = RunRecorder(policy, "run")
            yield _growth("llama.cpp with a small model, ledger, recorder", recorder, n)
    n = setting.n(100_000 if setting.embedded else 2_000, 400)
    with LlamaCpp(setting.path, n_threads=setting.n_threads) as model:
        yield _growth("the model alone", LLMPolicy(model, coverage_floor=0.0), n, setting.model)


@contextmanager
def _small_model(setting: Setting) -> Iterator[Any]:
    """A recorded policy on the smallest model of random weights, which answers quickly."""
    from abm.llm.bench.random_model import SHAPES, write_random_model

    file = write_random_model(Path(setting.folder) / "tiny.gguf", SHAPES["tiny"])
    try:
        with _recorded(replace(setting, path=file)) as policy:
            yield policy
    finally:
        file.unlink()


def _growth(what: str, policy: Any, n: int, model: str = "none") -> Figure:
    """Resident memory over n questions, after a quarter as many to warm up."""
    block = max(100, n // 400)
    people = _town(policy, block, different=True)
    sizes = [_grown(people, number, block) for number in range((n + n // 4) // block)]
    first = n // 4 // block
    after = {
        f"{share} %": first + (len(sizes) - first) * share // 100 - 1 for share in (10, 50, 100)
    }
    return Figure(
        name=f"memory per question, {what}",
        value=(sizes[-1] - sizes[first - 1]) / (len(sizes) - first) / block * 1e6,
        unit="B",
        floor=80.0,
        at_most=True,
        alternative="none",
        how="growth of resident memory over distinct questions (as many as in the details), after "
        "a quarter as many others; latest answers, caches of files and tallies fill up to a bound "
        "within the first 65,000 or so",
        model=model,
        detail={
            "questions": n,
            "MB after the first quarter": round(sizes[first - 1], 1),
            "MB further on": {share: round(sizes[at], 1) for share, at in after.items()},
        },
    )


def _grown(people: Any, number: int, n: int) -> float:
    """Resident memory in MB after n questions that nobody has asked."""
    rows = np.arange(n)
    people.ask(_question(), rows, fields={"age": number * n + rows, "share": 0.5})
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


ROWS = (million_agents, cached_answers, memory)
