"""One run: a scenario, its seeds and who answers; built, run to its end, and collected."""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from abm.errors import ScenarioError, require
from abm.kernels.notes import RuleNotes, noting
from abm.linear_algebra import one_thread
from abm.networks import Network
from abm.policies.answering import FailureHandling
from abm.policies.base import Policy
from abm.studies.answerers import Spec
from abm.studies.interventions import Planned
from abm.studies.mixing import Placeholder, mix
from abm.studies.seeds import Seeds

__all__ = ["Result", "Run", "build_model", "perform"]


@dataclass(frozen=True)
class Run:
    """Everything that decides what one run gives.

    Attributes
    ----------
    specs
        Role -> who answers; the members of a mixed role by `role.member`.
    mixtures
        Role -> member -> share of the agents, for roles that several models answer.
    interventions
        Those that act in this arm.
    agents
        Whether the table of agents is kept.
    """

    study: str
    model: type
    arm: str
    answerer: str
    replication: int
    scenario: Any
    seeds: Seeds
    specs: Mapping[str, Spec]
    failures: FailureHandling = field(default_factory=FailureHandling)
    interventions: tuple[Planned, ...] = ()
    agents: bool = False
    mixtures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Where the run lies in its study's folder."""
        return Path("runs") / self.arm / self.answerer / f"r{self.replication:03d}"

    @property
    def label(self) -> str:
        """`arm/answerer/r000`, for messages."""
        return f"{self.arm}/{self.answerer}/r{self.replication:03d}"

    @property
    def labels(self) -> list[str]:
        """What every output of this run must say."""
        return sorted({spec.label for spec in self.specs.values()} - {""})

    @property
    def recorded_roles(self) -> list[str]:
        """Roles whose answers go to the ledger."""
        return [role for role, spec in self.specs.items() if spec.recorded]

    def definition(self) -> dict[str, Any]:
        """Plain values of everything that decides the result, the code apart."""
        return {
            "model": self.model.__qualname__,
            "scenario": self.scenario.to_dict(),
            "seeds": self.seeds.to_dict(),
            "roles": {role: _portable(spec) for role, spec in sorted(self.specs.items())},
            "failures": {"default": self.failures.default, **self.failures.by_status},
            "interventions": [plan.to_dict() for plan in self.interventions],
            "agents": self.agents,
            **_if_any("mixtures", {role: dict(m) for role, m in self.mixtures.items()}),
        }

    @cached_property
    def digest(self) -> str:
        """Hash of the definition: two runs of one digest are the same run."""
        text = json.dumps(self.definition(), sort_keys=True, default=str)
        return sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Result:
    """What a run gave.

    Attributes
    ----------
    series
        Tidy time series.
    agents
        Table of agents at the end, or `None` if not asked for.
    outcomes
        Outcome -> number.
    flags
        What is suspicious about the run, in words.
    decisions
        What the model's decision log counted, plain values.
    decided
        Decisions by question, policy, whole time unit, choice and status; `None` without any.
    timings
        Seconds of building and running.
    edges
        Ties at the end (`source`, `target`: rows of the table of agents) where that table is kept
        and the model has a `network` of as many nodes; else `None`.
    rules
        Rules that drivers and cohorts applied: driver, schedule, updates, and how many of these
        were compiled, or why not; see `abm.kernels.RuleNotes`.
    """

    series: pl.DataFrame
    agents: pl.DataFrame | None
    outcomes: dict[str, float]
    flags: list[str]
    decisions: dict[str, Any]
    decided: pl.DataFrame | None
    timings: dict[str, float]
    edges: pl.DataFrame | None = None
    rules: list[dict[str, Any]] = field(default_factory=list)


def _if_any(name: str, value: dict[str, Any]) -> dict[str, Any]:
    return {name: value} if value else {}


def build_model(run: Run, policies: Mapping[str, Policy]) -> Any:
    """The model of a run, before its first event.

    Parameters
    ----------
    policies
        Role (or `role.member`) -> policy, for every role of the model.
    """
    places = {role: Placeholder(role) for role in run.mixtures}
    known = {**policies, **places, **_twins(run)}
    given: dict[str, Any] = {"seeds": run.seeds, "policies": known}
    optional = {"failures": run.failures, "transforms": _transforms(run)}
    accepted = inspect.signature(run.model.__init__).parameters  # type: ignore[misc]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    given.update({n: v for n, v in optional.items() if open_ended or n in accepted})
    model = run.model(run.scenario, **given)
    if "failures" not in given:
        model.answerer.failures = run.failures
    if "transforms" not in given:
        model.transforms.update(optional["transforms"])
    mix(model, run.mixtures)
    model.schedule_interventions([plan.to_engine() for plan in run.interventions])
    return model


def _twins(run: Run) -> dict[str, Policy]:
    """Rule twins that failures or interventions call for by name, as `ROLE_twin`."""
    wanted = set(run.failures.rules)
    wanted.update(new for plan in run.interventions for new in (plan.assign or {}).values())
    twins: Mapping[str, Policy] = getattr(run.model, "roles", {})
    return {twin_name(role): twin for role, twin in twins.items() if twin_name(role) in wanted}


def twin_name(role: str) -> str:
    """Name under which a role's rule twin can stand in.

    Examples
    --------
    >>> twin_name("citizen")
    'citizen_twin'
    """
    return f"{role}_twin"


def _transforms(run: Run) -> dict[str, Any]:
    found = {role: spec.transform for role, spec in run.specs.items()}
    return {role: transform for role, transform in found.items() if transform is not None}


def perform(run: Run, policies: Mapping[str, Policy], notes: RuleNotes | None = None) -> Result:
    """Build the model, run it to the end of its duration, and collect what it gives.

    Parameters
    ----------
    notes
        Where rules are noted, for those who want to see them if the run fails.
    """
    with noting(notes) as told, one_thread():
        begun = time.perf_counter()
        model = build_model(run, policies)
        built = time.perf_counter()
        model.run_until(run.scenario.duration)
        ended = time.perf_counter()
        timings = {"build": built - begun, "run": ended - built, "waited": model.answerer.waited}
        result = collect(run, model, timings)
    return replace(result, rules=told.table())


def collect(run: Run, model: Any, timings: dict[str, float]) -> Result:
    """Everything that a finished model gives, checked."""
    series = _frame(run, "series", model.series())
    agents = _frame(run, "agents_frame", model.agents_frame()) if run.agents else None
    outcomes = {str(name): float(value) for name, value in model.outcomes().items()}
    flags = list(model.run_flags())
    if series.height == 0:
        flags.append("the series is empty: the model observed nothing")
    flags += [
        f"outcome {n} is {v}" for n, v in outcomes.items() if v != v or abs(v) == float("inf")
    ]
    counts, decided = _decisions(model)
    edges = _edges(model, agents)
    return Result(series, agents, outcomes, flags, counts, decided, timings, edges)


def _edges(model: Any, agents: pl.DataFrame | None) -> pl.DataFrame | None:
    """Ties of the model's `network`, where its nodes are the rows of the table of agents."""
    network = getattr(model, "network", None)
    if agents is None or not isinstance(network, Network) or network.n != agents.height:
        return None
    return pl.DataFrame(network.edges(), schema=["source", "target"], orient="row")


def _frame(run: Run, method: str, value: Any) -> pl.DataFrame:
    require(
        isinstance(value, pl.DataFrame),
        ScenarioError,
        f"{run.model.__name__}.{method}() returned {type(value).__name__}, "
        "expected a polars.DataFrame",
    )
    return value  # type: ignore[no-any-return]


def _decisions(model: Any) -> tuple[dict[str, Any], pl.DataFrame | None]:
    frame = model.decisions.frame()
    return dict(model.decisions.summary()), frame if frame.height else None


def _portable(spec: Spec) -> Any:
    """A spec without the place of its model file: a moved file is the same file."""
    plain = spec.described()
    name = spec.backend_name
    if not name.endswith(".gguf"):
        return plain
    path = Path(name)
    size = path.stat().st_size if path.is_file() else 0
    moved = {"file": path.name, "bytes": size}
    if isinstance(plain, dict):
        return {**{k: v for k, v in plain.items() if k not in ("backend", "path")}, **moved}
    return moved
