"""Who answers in a study: the parent owns language models and ledger, runs see recorders."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from abm.errors import BackendError, ModelFileError, ScenarioError
from abm.ledger import Ledger, Meter, Recorded, RunRecorder, export_run
from abm.policies.base import Policy
from abm.questions import Answer, Request
from abm.studies.answerers import Spec
from abm.studies.mixing import base_role
from abm.studies.progress import Count
from abm.studies.run import Run
from abm.studies.shelf import Shelf, Shelved

__all__ = ["Answering", "RunAnswers", "travelling"]


class Answering:
    """Language models and ledger of one execution of a study.

    Parameters
    ----------
    runs
        The runs that will be executed. Models that none of them needs are not loaded.
    path
        The study's ledger; no file is made where nothing is recorded.
    meter
        Stops the study when its budget is spent.
    memory_gb
        Most memory for models that are loaded at once, in 10^9 bytes; `None` for no bound.

    Raises
    ------
    ModelFileError
        A model file is missing, truncated or no GGUF. Raised before anything runs.
    LedgerError
        The ledger is damaged or in use.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        path: Path,
        *,
        meter: Meter | None = None,
        memory_gb: float | None = None,
    ) -> None:
        self.meter = meter or Meter()
        self._shelf = Shelf(None if memory_gb is None else int(memory_gb * 1e9))
        self._specs: dict[str, Spec] = {}
        self._names: dict[str, str] = {}
        for run in runs:
            for spec in run.specs.values():
                self._enter(spec)
        self.recorded: dict[str, Recorded] = {}
        self.infos: dict[str, dict[str, Any]] = {}
        self._lost: dict[str, str] = {}
        self.ledger = Ledger(path) if self._specs else None
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the ledger back, and the memory of the models that were loaded here."""
        self._shelf.close()
        if self.ledger is not None:
            self.ledger.close()

    def names(self, run: Run) -> dict[str, str]:
        """Role -> name of its recorded policy; roles answered by code are absent."""
        recorded = {role: spec for role, spec in run.specs.items() if spec.recorded}
        return {role: self._names[_identity(spec)] for role, spec in recorded.items()}

    def for_run(self, run: Run) -> RunAnswers:
        """The policies of one run in this process."""
        return RunAnswers(run, self.names(run), self.recorded, self.infos)

    def forget_failures(self, run: Run) -> None:
        """Before a failed run is tried anew: it asks again where it failed."""
        for policy in self.recorded.values():
            policy.forget_failures(run.label)

    def look_after(self) -> None:
        """After a run: note which models are behind a server that is not there any more."""
        looks = {
            name: getattr(getattr(policy.inner, "backend", None), "lost", None)
            for name, policy in self.recorded.items()
        }
        said = {name: look() for name, look in looks.items() if callable(look)}
        self._lost = {name: why for name, why in said.items() if why}

    def lost(self, run: Run) -> str:
        """Why the run need not be tried: a model of it was lost; empty if none was."""
        return next((self._lost[n] for n in self.names(run).values() if n in self._lost), "")

    def count(self) -> Count:
        """Requests asked and answers inferred in this execution."""
        counts = [policy.counts for policy in self.recorded.values()]
        return Count(sum(c.asked for c in counts), sum(c.inferred for c in counts))

    def totals(self) -> dict[str, Any]:
        """Per policy what this execution asked and inferred, for the study's manifest."""
        return {name: self._total(name, policy) for name, policy in self.recorded.items()}

    def _total(self, name: str, policy: Recorded) -> dict[str, Any]:
        counts = policy.counts
        cold = counts.tokens_in + counts.tokens_out
        return {
            "spec": self._specs[name].described(),
            "fingerprint": policy.fingerprint,
            "model": self.infos[name],
            **counts.to_dict(),
            "saved_tokens": cold - counts.inferred_tokens_in - counts.inferred_tokens_out,
            "mean_batch": round(counts.inferred / counts.batches, 2) if counts.batches else 0.0,
            "evaluated": evaluated(getattr(policy.inner, "backend", None)),
            **_loads(getattr(policy.inner, "backend", None)),
        }

    def memory(self) -> dict[str, int]:
        """What the bound on loaded models came to; empty without one."""
        return self._shelf.told()

    def _enter(self, spec: Spec) -> None:
        identity = _identity(spec)
        if spec.recorded and identity not in self._names:
            name = f"policy {len(self._names)}"
            self._names[identity], self._specs[name] = name, spec

    def _load(self) -> None:
        backends = self._shelf
        for name, spec in self._specs.items():
            assert self.ledger is not None
            try:
                policy = spec.build(_Nobody(), backends)
                _look_first(policy)
            except ModelFileError:
                raise
            except BackendError as error:
                raise ScenarioError(f"answerer {spec.described()!r}: {error}") from error
            recorded = Recorded(policy, self.ledger, meter=self.meter)
            if self._is_known(name, recorded):
                continue
            self.recorded[name] = recorded
            self.infos[name] = dict(getattr(getattr(policy, "backend", None), "info", {}))

    def _is_known(self, name: str, policy: Recorded) -> bool:
        """Whether it is the model of another name, written otherwise; they are one then.

        Servers stay apart: two with one model share the work.
        """
        if hasattr(getattr(policy.inner, "backend", None), "lost"):
            return False
        for other, known in self.recorded.items():
            if (known.fingerprint, known.coverage_floor) == (
                policy.fingerprint,
                policy.coverage_floor,
            ):
                self._names = {i: other if n == name else n for i, n in self._names.items()}
                return True
        return False


class RunAnswers:
    """The policies of one run: recorders around what is recorded, code as it is.

    Parameters
    ----------
    names
        Role -> name in `recorded`, for recorded roles.
    recorded
        Name -> recorded policy: the parent's own, or its stand-ins in a worker.
    infos
        Name -> what its backend says about itself, for the manifest.

    Attributes
    ----------
    policies
        Role -> policy, what the model is given.
    """

    def __init__(
        self,
        run: Run,
        names: Mapping[str, str],
        recorded: Mapping[str, Policy],
        infos: Mapping[str, dict[str, Any]],
    ) -> None:
        self.run, self.names, self.infos = run, dict(names), infos
        twins: Mapping[str, Policy] = getattr(run.model, "roles", {})
        self.recorders = {
            name: RunRecorder(recorded[name], run.label) for name in sorted(set(names.values()))
        }
        self.policies: dict[str, Policy] = {
            role: self._policy(role, spec, twins) for role, spec in run.specs.items()
        }

    def _policy(self, role: str, spec: Spec, twins: Mapping[str, Policy]) -> Policy:
        if role in self.names:
            return self.recorders[self.names[role]]
        return spec.build(twins[base_role(role)])

    def export(self, path: Path) -> None:
        """Write the answers that the run used to a ledger that replays alone."""
        export_run(path, self.recorders.values())

    @property
    def exports(self) -> bool:
        """Whether there is anything to export."""
        return bool(self.recorders)

    def used(self) -> dict[str, Any]:
        """Role -> who answered it and what was asked, for the manifest of the run.

        Roles that share a policy share its counts.
        """
        return {role: self._described(role, spec) for role, spec in sorted(self.run.specs.items())}

    def _described(self, role: str, spec: Spec) -> dict[str, Any]:
        policy = self.policies[role]
        made: dict[str, Any] = {
            "spec": spec.described(),
            "fingerprint": policy.fingerprint,
            "recorded": bool(policy.recorded),
            "coverage_floor": spec.floor if spec.recorded else None,
            "label": spec.label,
        }
        if isinstance(policy, RunRecorder):
            counts = policy.counts
            made |= {
                "policy": self.names[role],
                "model": self.infos.get(self.names[role], {}),
                "asked": counts.asked,
                "distinct": counts.distinct,
                **self._inferred(policy),
                "tokens_in": counts.tokens_in,
                "tokens_out": counts.tokens_out,
                "failures": dict(counts.failures),
                "failure_rate": sum(counts.failures.values()) / max(counts.asked, 1),
            }
        return made

    @staticmethod
    def _inferred(recorder: RunRecorder) -> dict[str, int]:
        """What was inferred because this run asked first, and what had been asked before."""
        inferred = recorder.inferred()
        if inferred is None:
            return {}
        return {"inferred": inferred, "from_ledger": max(recorder.counts.asked - inferred, 0)}


def _look_first(policy: Policy) -> None:
    """Have a backend that lives elsewhere say whether it can be asked, before anything runs."""
    ready = getattr(getattr(policy, "backend", None), "ready", None)
    if callable(ready):
        ready()


def evaluated(backend: Any) -> dict[str, Any]:
    """What a backend evaluated since it was made, and how much the prefix tree shared."""
    found = getattr(backend, "statistics", None)
    if found is None:
        return {}
    statistics = found()
    plain: dict[str, Any] = dict(statistics.as_dict())
    for name in ("shared", "evaluated_per_node"):
        if hasattr(statistics, name):
            plain[name] = round(float(getattr(statistics, name)), 4)
    return plain


def _loads(backend: Any) -> dict[str, int]:
    """How often a model was loaded that may be closed in between, and its share of the bound."""
    if not isinstance(backend, Shelved):
        return {}
    return {"loads": backend.loads, "bytes": backend.need}


def travelling(run: Run) -> Run:
    """The run as it is sent to a worker: without policies that stay with the answering process."""
    specs = {
        role: replace(spec, policy=_Absent(spec.policy))
        if spec.policy is not None and spec.recorded
        else spec
        for role, spec in run.specs.items()
    }
    return replace(run, specs=specs)


@dataclass
class _Absent:
    """What a worker knows of a policy that lives in the answering process."""

    stands_for: str
    fingerprint: str
    coverage_floor: float | None
    recorded: bool = True

    def __init__(self, policy: Policy) -> None:
        self.stands_for = type(policy).__name__
        self.fingerprint = policy.fingerprint
        self.coverage_floor = getattr(policy, "coverage_floor", None)

    def answer(self, requests: Sequence[Request]) -> Sequence[Answer]:
        raise NotImplementedError(f"{self.stands_for} answers in the answering process only")


class _Nobody:
    """Twin of no role."""

    fingerprint, recorded = "nobody", False

    def answer(self, requests: Sequence[Request]) -> Sequence[Answer]:
        raise NotImplementedError


def _identity(spec: Spec) -> str:
    """Specs of one identity are answered by one policy: transforms come after the ledger."""
    if spec.policy is not None:
        return json.dumps(["policy", spec.policy.fingerprint, spec.floor])
    said = [spec.kind, spec.backend, spec.floor, spec.reasoning]
    return json.dumps(said, sort_keys=True, default=str)
