"""Studies: scenarios x answerers x replications, checked as a whole before anything runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from abm.errors import ScenarioError
from abm.policies.answering import FailureHandling
from abm.studies.answerers import Spec, parse_spec
from abm.studies.interventions import Planned, parse_planned
from abm.studies.mixing import expanded
from abm.studies.parameters import closest
from abm.studies.places import at_place, check_name, check_whole, error_at, expect
from abm.studies.registry import reference, resolve
from abm.studies.run import Run, twin_name
from abm.studies.seeds import VARIES, Seeds

if TYPE_CHECKING:
    from abm.studies.progress import Progress
    from abm.studies.reading import StudyFolder

__all__ = ["Budget", "Study"]

EXECUTORS = ("serial", "pool")


@dataclass(frozen=True)
class Budget:
    """Where a study stops, cleanly and resumably. `None` is no limit.

    Parameters
    ----------
    tokens
        Notional tokens (what the requests cost when nothing is cached), summed over all finished
        runs and the one in flight. The study stops before the next batch; with a larger budget
        the same command goes on, and gives what it would have given at once.
    hours
        Hours of one execution. They decide when to stop, and no result.
    """

    tokens: int | None = None
    hours: float | None = None

    def __post_init__(self) -> None:
        for name in ("tokens", "hours"):
            value = getattr(self, name)
            good = isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
            expect(value is None or good, ("budget", name), value, "expected a number > 0")


@dataclass(frozen=True)
class Study:
    """Everything that a study is, in one frozen value.

    Parameters
    ----------
    name
        Letters, digits and `. _ + -`; names the study's folder.
    model
        A family name, `module:Class`, `path/file.py:Class`, or a class.
    scenario
        Base parameters of every arm.
    arms
        Arm -> parameters that differ from the base; one arm `base` by default.
    answerers
        Answerer -> (role -> spec), or one spec for all roles. Roles that are not named are answered
        by the model's rule twin. One answerer `rule` by default.
    seed
        The one seed.
    replications
        Runs per arm and answerer, >= 1.
    varies
        What differs between replications: some of `chance`, `population`, `network`.
    executor, workers
        `serial`, or `pool` with this many processes (the number of cores by default).
    failures
        What happens to failed answers.
    interventions
        Planned changes: mappings with `at` and one of `change`, `assign`, `inject`, and `arms`.
    agents
        Whether each run keeps a table of its agents at the end.
    budget
        Where to stop.
    memory_gb
        Most memory for language models that are loaded at once, in 10^9 bytes; what was used least
        recently is unloaded for the next. `None` keeps all of them loaded.
    folder
        Where relative paths start.

    Raises
    ------
    ScenarioError
        Names the place (`arms.like_minded.exposure`), the value and the remedy; carries `place`.

    Examples
    --------
    >>> study = Study("trial", "my_model.py:Voting", scenario={"duration": 30.0},
    ...               arms={"base": {}, "open": {"bound": 0.9}}, replications=10)
    >>> study.replications
    10
    """

    name: str
    model: str | type
    scenario: Mapping[str, Any] = field(default_factory=dict)
    arms: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"base": {}})
    answerers: Mapping[str, Any] = field(default_factory=lambda: {"rule": {}})
    seed: int = 0
    replications: int = 1
    varies: Sequence[str] = VARIES
    executor: str = "serial"
    workers: int | None = None
    failures: FailureHandling = field(default_factory=FailureHandling)
    interventions: Sequence[Mapping[str, Any] | Planned] = ()
    agents: bool = False
    budget: Budget = field(default_factory=Budget)
    memory_gb: float | None = None
    folder: Path = field(default_factory=Path.cwd)
    text: str = field(default="", repr=False, compare=False)

    def __post_init__(self) -> None:
        check_name(self.name, ("study", "name"))
        for table in ("arms", "answerers"):
            expect(bool(getattr(self, table)), (table,), {}, "expected at least one")
            for name in getattr(self, table):
                check_name(name, (table, name))
        check_whole(self.seed, ("study", "seed"), 0)
        check_whole(self.replications, ("study", "replications"), 1)
        if self.workers is not None:
            check_whole(self.workers, ("study", "workers"), 1)
        memory = self.memory_gb
        number = isinstance(memory, (int, float)) and not isinstance(memory, bool)
        good = memory is None or (number and float(memory or 0) > 0)
        expect(good, ("study", "memory_gb"), memory, "expected a number > 0, in 10^9 bytes")
        for what in self.varies:
            hint = closest(str(what), VARIES)
            expect(what in VARIES, ("study", "varies"), list(self.varies), f"{what!r}: {hint}")
        hint = closest(str(self.executor), EXECUTORS)
        expect(self.executor in EXECUTORS, ("study", "executor"), self.executor, hint)

    @classmethod
    def from_toml(cls, path: str | Path) -> Self:
        """Read and check a study file. Errors name file, line, key, value and remedy."""
        from abm.studies.toml import read_study

        return read_study(cls, Path(path))

    @cached_property
    def model_class(self) -> type:
        """The model class."""
        with at_place("study", "model"):
            return resolve(self.model, self.folder)

    @cached_property
    def specs(self) -> dict[str, dict[str, Spec]]:
        """Answerer -> role -> spec, all roles of the model included."""
        roles = list(getattr(self.model_class, "roles", {}))
        return {name: self._roles(name, table, roles) for name, table in self.answerers.items()}

    def _roles(self, name: str, table: Any, roles: list[str]) -> dict[str, Spec]:
        one = {"backend", "path", "mixture"} - set(roles)
        if not isinstance(table, Mapping) or one & set(table):
            with at_place("answerers", name):
                spec = parse_spec(table, self.folder)
            return dict.fromkeys(roles, spec)
        for role in table:
            what = f"{self.model_class.__name__} has no role {role!r}; {closest(role, roles)}"
            expect(role in roles, ("answerers", name, role), table[role], what)
        found = {}
        for role in roles:
            with at_place("answerers", name, role):
                found[role] = parse_spec(table.get(role, "rule"), self.folder)
        return found

    @cached_property
    def scenarios(self) -> dict[str, Any]:
        """Arm -> validated scenario."""
        kind = self.model_class.Scenario  # type: ignore[attr-defined]
        found = {}
        for arm, changes in self.arms.items():
            try:
                found[arm] = kind(**{**self.scenario, **changes})
            except ScenarioError as error:
                name = getattr(error, "argument", "")
                place = ("arms", arm, name) if name in changes else ("scenario", name)
                raise error_at(place, str(error)) from error
        return found

    @cached_property
    def planned(self) -> tuple[Planned, ...]:
        """The interventions, checked against every arm that they act in."""
        found = []
        for number, item in enumerate(self.interventions):
            with at_place("interventions", number):
                plan = parse_planned(item)
                plan.check(self.model_class, self.scenarios, self.specs)
            found.append(plan)
        return tuple(found)

    def check(self) -> Self:
        """Check everything that can be checked before a run; returns the study."""
        _ = self.model_class, self.specs, self.scenarios, self.planned
        roles = {role for table in self.specs.values() for role in table}
        known = roles | set(map(twin_name, roles))
        for name in self.failures.rules:
            expect(name in known, ("failures",), f"rule {name}", closest(name, known))
        return self

    def to_toml(self) -> str:
        """The study as TOML: the file's own text, or one written from the values."""
        from abm.studies.toml import to_toml

        return self.text or to_toml(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Plain values, in the shape of a study file."""
        head = {
            "name": self.name,
            "model": self.model if isinstance(self.model, str) else reference(self.model),
            "seed": self.seed,
            "replications": self.replications,
            "varies": list(self.varies),
            "executor": self.executor,
            "agents": self.agents,
            **({} if self.memory_gb is None else {"memory_gb": self.memory_gb}),
        }
        limits = {n: v for n, v in vars(self.budget).items() if v is not None}
        handling: dict[str, Any] = {"default": self.failures.default, **self.failures.by_status}
        if self.failures.wait != FailureHandling.wait:
            handling["wait"] = self.failures.wait
        roles = {
            name: {role: spec.described() for role, spec in table.items()}
            for name, table in self.specs.items()
        }
        return {
            "study": head,
            "scenario": dict(self.scenario),
            "arms": {name: dict(changes) for name, changes in self.arms.items()},
            "answerers": roles,
            "failures": handling,
            **({"budget": limits} if limits else {}),
            **({"interventions": [p.to_dict() for p in self.planned]} if self.planned else {}),
        }

    def runs(self) -> Iterator[Run]:
        """All runs: replication by replication, so that a study cut short stays balanced."""
        for replication in range(self.replications):
            for arm in self.arms:
                for answerer in self.answerers:
                    yield self.run_of(arm, answerer, replication)

    def run_of(self, arm: str, answerer: str, replication: int = 0) -> Run:
        """One run of the study.

        Raises
        ------
        ScenarioError
            The study has no such arm or answerer.
        """
        for given, table in ((arm, self.arms), (answerer, self.answerers)):
            what = f"study {self.name!r} has no {given!r}; {closest(given, table)}"
            if given not in table:
                raise ScenarioError(what, value=given)
        specs, mixtures = expanded(self.specs[answerer])
        return Run(
            study=self.name,
            model=self.model_class,
            arm=arm,
            answerer=answerer,
            replication=replication,
            scenario=self.scenarios[arm],
            seeds=Seeds.derived(self.seed, replication, self.varies),
            specs=specs,
            mixtures=mixtures,
            failures=self.failures,
            interventions=tuple(p for p in self.planned if p.acts_in(arm)),
            agents=self.agents,
        )

    def with_model(self, path: str | Path) -> Self:
        """The same study with every language model replaced by a GGUF file.

        The name of the file becomes part of the study's name, and the name of an answerer that was
        called `embedded`, so that results of two models are never mixed up.

        Raises
        ------
        ScenarioError
            There is no such file, or no answerer is a language model.
        """
        file = Path(path).expanduser().resolve()
        parse_spec(str(file), self.folder)
        if not any(spec.asks_a_model for roles in self.specs.values() for spec in roles.values()):
            raise ScenarioError(
                f"model = {str(path)!r}, but {self.name} asks no language model that it could "
                f"replace; its answerers are {list(self.specs)}. Make the file an answerer: "
                f'[answerers] some_name = "{path}", or `abm run --answerer {path}`',
                argument="model",
                value=str(path),
            )
        stem = re.sub(r"[^A-Za-z0-9._+-]", "-", file.stem)
        answerers = {}
        for name, roles in self.specs.items():
            changed = {role: spec.with_model(file) for role, spec in roles.items()}
            renamed = stem if name == "embedded" and changed != roles else name
            answerers[renamed] = changed
        return replace(self, name=f"{self.name}-{stem}", answerers=answerers, text="")

    def run(
        self,
        out: str | Path = "runs",
        *,
        workers: int | None = None,
        fresh: bool = False,
        progress: Progress | None = None,
    ) -> StudyFolder:
        """Execute what is missing; returns the study's folder.

        Parameters
        ----------
        out
            Folder that holds study folders.
        workers
            1 is serial, more is a pool; `None` takes the study's own executor.
        fresh
            Start anew; the earlier results are kept beside it as `NAME.previous`.
        progress
            Is told what happens.

        Raises
        ------
        ScenarioError
            The study cannot run as written, or its folder holds results of another one.
        LedgerError
            The folder is in use, its ledger is corrupt, or the disk is full.
        """
        from abm.studies.execute import execute

        return execute(self, Path(out), workers=workers, fresh=fresh, progress=progress)
