"""Audits of a finished run: what the wording did, and what the rule twin would have said.

The run is replayed from its own ledger to hear every request and how often it decided. Then the
same requests are asked again, said in another way, and the distributions are compared. Nothing of
the run changes; what an audit asks lies in a ledger of its own.

==============  ===============================================================================
`paraphrase`    the question's declared paraphrases: other words for the same fields
`permute`       the options that a field lists, in other orders
`twin`          the rule twin instead of the language model
`granularity`   a parameter of what agents perceive, halved: the run is repeated with it
==============  ===============================================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abm.engine.decision_log import DecisionLog
from abm.errors import ScenarioError, require
from abm.ledger import Ledger
from abm.linear_algebra import one_thread
from abm.policies.base import Policy
from abm.questions import Answer, Question, Request, distribution
from abm.studies.answering import Answering
from abm.studies.folder import make_folder, write_text
from abm.studies.manifest import to_json
from abm.studies.mixing import base_role
from abm.studies.parameters import closest
from abm.studies.reading import RunFolder, load_run
from abm.studies.replaying import recorded_policies, run_from, same_bits
from abm.studies.run import Run, build_model, collect
from abm.studies.single import home_of, with_models

__all__ = ["KINDS", "Audit", "Heard", "Variant", "audit_granularity", "audit_twin", "audit_wording"]

KINDS = ("paraphrase", "permute", "twin", "granularity")
Distribution = NDArray[np.float64]
Rewrite = Callable[[Request], Request]


@dataclass(frozen=True)
class Variant:
    """One other way to ask: its name, and what it makes of a request.

    A request that it cannot say in another way is returned as it is.
    """

    name: str
    rewrite: Rewrite


@dataclass(frozen=True)
class Heard:
    """Every request of a run, who answered it, and how often it decided."""

    policies: Mapping[str, Policy]
    counts: Mapping[tuple[str, Request], int]


@dataclass(frozen=True)
class Audit:
    """What an audit of one run found.

    Attributes
    ----------
    kind
        One of `KINDS`.
    run, answerer
        Label of the run, `arm/answerer/r000`, and its answerer.
    questions
        One mapping per choice question: `question, requests, decisions, variants, mean_tv,
        max_tv, other_mode, failed`. Total variation is between the recorded distribution and that
        of the variant, in [0, 1]; the mean is over decisions and variants, and `other_mode` is the
        share of decisions whose most probable option is another.
    outcomes
        One mapping per repeated run: `variant`, `recorded` and `changed` outcomes.
    notes
        What could not be audited, and why.
    """

    kind: str
    run: str
    answerer: str
    questions: tuple[Mapping[str, Any], ...]
    outcomes: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]
    labels: tuple[str, ...] = ()

    def write(self, base: RunFolder) -> Path:
        """Put the audit beside its study, where reports find it; returns the file."""
        folder = audits_folder(base)
        make_folder(folder)
        path = folder / f"{self.run.replace('/', '-')}-{self.kind}.json"
        write_text(path, to_json(asdict(self)))
        return path


def audit_wording(
    folder: str | Path,
    kind: str,
    *,
    n_variants: int = 5,
    repeat: bool = False,
    model: str | type | None = None,
    model_file: str | Path | None = None,
) -> Audit:
    """Ask a run's recorded requests again, paraphrased or with their options in another order.

    Parameters
    ----------
    folder
        A finished run that a language model answered.
    kind
        `paraphrase` or `permute`.
    n_variants
        Most variants; paraphrases are taken evenly from those declared.
    repeat
        Also repeat the whole run with each variant and the same random numbers, and compare its
        outcomes.
    model, model_file
        As in `fork`.

    Raises
    ------
    ScenarioError
        No language model answered, or no question has another wording.
    """
    base, run = _loaded(folder, model, model_file)
    require(
        bool(run.recorded_roles),
        ScenarioError,
        f"{base.folder} was answered by code, which reads fields and no words: there is no wording "
        "to audit",
    )
    heard = _heard(base, run)
    requests = [request for _, request in heard.counts]
    variants, notes = _variants(kind, requests, n_variants)
    with Answering([run], _ledger(base)) as answering:
        policies = answering.for_run(run).policies
        rows, more = _compared(heard, run.recorded_roles, policies, variants)
        repeated = [
            _repeated(base, run, _reworded(run, policies, v.rewrite), v.name)
            for v in (variants if repeat else [])
        ]
    return Audit(
        kind, run.label, run.answerer, rows, tuple(repeated), (*notes, *more), tuple(run.labels)
    )


def audit_twin(folder: str | Path, *, model: str | type | None = None) -> Audit:
    """Ask the rule twin the recorded requests of a run: how far is it from the answers given?"""
    base = load_run(folder)
    run = run_from(base, model)
    heard = _heard(base, run)
    roles: Mapping[str, Policy] = getattr(run.model, "roles", {})
    twins = {name: roles[base_role(name)] for name in run.specs}
    same = [Variant("rule twin", lambda request: request)]
    rows, notes = _compared(heard, list(run.specs), twins, same)
    labels = tuple(run.labels)
    return Audit("twin", run.label, run.answerer, rows, (), tuple(notes), labels)


def audit_granularity(
    folder: str | Path,
    parameter: str,
    *,
    factor: float = 0.5,
    model: str | type | None = None,
    model_file: str | Path | None = None,
) -> Audit:
    """Repeat a run with a parameter of what agents perceive halved, and compare its outcomes.

    Raises
    ------
    ScenarioError
        The scenario has no such number, the changed value is out of its range, or the code of today
        does not give the run again.
    """
    base, run = _loaded(folder, model, model_file)
    value = run.scenario.to_dict().get(parameter)
    known = [n for n, v in run.scenario.to_dict().items() if type(v) in (int, float)]
    require(
        type(value) in (int, float),
        ScenarioError,
        f"{parameter!r} is no number of the scenario; {closest(parameter, known)}",
    )
    _heard(base, run)
    changed = type(value)(value * factor)
    other = replace(run, scenario=run.scenario.replaced(**{parameter: changed}))
    with Answering([other], _ledger(base)) as answering:
        name = f"{parameter} = {changed:g} instead of {value:g}"
        row = _repeated(base, other, answering.for_run(other).policies, name)
    labels = tuple(run.labels)
    return Audit("granularity", run.label, run.answerer, (), (row,), (), labels)


def audits_folder(base: RunFolder) -> Path:
    """Where audits of a run lie: `audits` of its study, or of the run if it lies in none."""
    return home_of(base.folder, "audits")


def _loaded(
    folder: str | Path, model: str | type | None, model_file: str | Path | None
) -> tuple[RunFolder, Run]:
    base = load_run(folder)
    return base, with_models(run_from(base, model), base, model_file)


def _ledger(base: RunFolder) -> Path:
    folder = audits_folder(base)
    make_folder(folder)
    return folder / "ledger.sqlite"


class _Listening(DecisionLog):
    """A decision log that also counts each request, by policy."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[tuple[str, Request]] = Counter()

    def request(self, policy: str, request: Request, n: int = 1) -> None:
        super().request(policy, request, n)
        self.counts[policy, request] += n


def _heard(base: RunFolder, run: Run) -> Heard:
    """Replay the run from its own ledger and listen."""
    stored = run_from(base, run.model)
    with _replayed(base, stored) as policies, one_thread():
        built = build_model(stored, policies)
        log = built.decisions = _Listening()
        built.run_until(stored.scenario.duration)
        _same_run(base, collect(stored, built, {}).outcomes)
        answers: dict[str, Policy] = {
            role: _Known(_asked(policies[role], role, log.counts)) for role in policies
        }
    return Heard(answers, dict(log.counts))


def _same_run(base: RunFolder, now: Mapping[str, float]) -> None:
    """Refuse to audit a run that the code of today does not give again."""
    for name, before in base.outcomes().items():
        require(
            same_bits(before, now.get(name)),
            ScenarioError,
            f"{base.folder} cannot be audited: replayed with the code that is here now, {name} is "
            f"{now.get(name)!r} and was {before!r}. Run the study again, or audit it with the "
            "versions in its manifest",
        )


@contextmanager
def _replayed(base: RunFolder, run: Run) -> Iterator[dict[str, Policy]]:
    """The policies of a run as its own ledger holds them."""
    answers = base.manifest["answers"]
    if not any(used["recorded"] for used in answers.values()):
        yield recorded_policies(run, answers, None)
        return
    with Ledger(base.folder / "ledger.sqlite", read_only=True) as ledger:
        yield recorded_policies(run, answers, ledger)


class _Known:
    """Recorded answers of one role, kept after the ledger is closed."""

    fingerprint, recorded = "recorded", True

    def __init__(self, answers: dict[Request, Answer]) -> None:
        self._answers = answers

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        return [self._answers[request] for request in requests]


def _asked(
    policy: Policy, role: str, counts: Mapping[tuple[str, Request], int]
) -> dict[Request, Answer]:
    mine = [request for name, request in counts if name == role]
    answer = getattr(policy, "peek", policy.answer)
    return dict(zip(mine, answer(mine), strict=True)) if mine else {}


def _variants(kind: str, requests: Sequence[Request], most: int) -> tuple[list[Variant], list[str]]:
    """Ways to ask otherwise, and notes on questions that have none."""
    questions = {r.question.digest: r.question for r in requests if r.question.options is not None}
    texts = sorted({r.question.id for r in requests if r.question.options is None})
    notes = [f"{name} asks for a text: its words are not compared" for name in texts]
    if kind == "paraphrase":
        counts = {d: len(q.paraphrases) for d, q in questions.items()}
        notes += [
            f"{questions[d].id} declares no paraphrases; give Question(..., paraphrases=[...])"
            for d, n in counts.items()
            if not n
        ]
        n = min(most, max(counts.values(), default=0))
        chosen = [Variant(f"paraphrase {i + 1}", _paraphrase(i, n)) for i in range(n)]
    elif kind == "permute":
        listing = {r.question.digest for r in requests if _listed(r) is not None}
        notes += [
            f"{q.id} lists its options in its words and not in a field: their order is fixed"
            for d, q in questions.items()
            if d not in listing
        ]
        longest = max((len(_listed(r)[1]) for r in requests if _listed(r)), default=0)  # type: ignore[index]
        chosen = [
            Variant(f"order {i + 1}", _rotation(i + 1)) for i in range(min(most, longest - 1))
        ]
    else:
        raise ScenarioError(f"kind = {kind!r}, expected 'paraphrase' or 'permute'")
    require(
        bool(chosen),
        ScenarioError,
        "no question of the run can be asked in another way: " + "; ".join(notes or ["none is"]),
    )
    return chosen, notes


def _paraphrase(number: int, of: int) -> Rewrite:
    def rewrite(request: Request) -> Request:
        others = request.question.paraphrases
        if request.question.options is None or not others:
            return request
        place = number * len(others) // of if len(others) > of else number % len(others)
        return replace(request, question=_reworded_question(request.question, place))

    return rewrite


def _reworded_question(question: Question, place: int) -> Question:
    made = _REWORDED.get((question.digest, place))
    if made is None:
        template = question.paraphrases[place]
        made = Question(
            question.id, question.version, template, question.options, draw=question.draw
        )
        _REWORDED[question.digest, place] = made
    return made


_REWORDED: dict[tuple[str, int], Question] = {}


def _rotation(steps: int) -> Rewrite:
    def rewrite(request: Request) -> Request:
        found = _listed(request)
        if found is None:
            return request
        name, options = found
        turn = steps % len(options)
        fields = {**dict(request.fields), name: options[turn:] + options[:turn]}
        return replace(request, fields=tuple(sorted(fields.items())))

    return rewrite


def _listed(request: Request) -> tuple[str, tuple[str, ...]] | None:
    """The field that lists the options of a choice, one text per option."""
    options = request.question.options
    for name, value in request.fields if options is not None else ():
        if isinstance(value, tuple) and len(value) == len(options or ()):
            return name, value
    return None


def _compared(
    heard: Heard,
    roles: Sequence[str],
    policies: Mapping[str, Policy],
    variants: Sequence[Variant],
) -> tuple[tuple[Mapping[str, Any], ...], list[str]]:
    """Per choice question how far the variants' answers are from the recorded ones."""
    tallies: dict[str, _Tally] = {}
    for role in roles:
        mine = [r for name, r in heard.counts if name == role and r.question.options is not None]
        if not mine:
            continue
        before = heard.policies[role].answer(mine)
        for variant in variants:
            pairs = [(i, variant.rewrite(r)) for i, r in enumerate(mine)]
            pairs = [(i, r) for i, r in pairs if variant.name == "rule twin" or r != mine[i]]
            after = list(policies[role].answer([r for _, r in pairs])) if pairs else []
            for (i, _), answer in zip(pairs, after, strict=True):
                tally = tallies.setdefault(mine[i].question.id, _Tally())
                tally.add(mine[i], variant.name, heard.counts[role, mine[i]], before[i], answer)
    rows = tuple(tally.row(name) for name, tally in sorted(tallies.items()))
    failed = sum(tally.failed for tally in tallies.values())
    return rows, [f"{failed} variants were not answered (failures)"] if failed else []


class _Tally:
    """Distances between recorded answers and variants of one question, weighted by decisions."""

    def __init__(self) -> None:
        self.requests: dict[Request, int] = {}
        self.variants: set[str] = set()
        self.weights: list[int] = []
        self.distances: list[float] = []
        self.moved: list[bool] = []
        self.failed = 0

    def add(self, request: Request, variant: str, n: int, before: Answer, after: Answer) -> None:
        self.requests[request] = n
        self.variants.add(variant)
        if before.scores is None or after.scores is None or not (before.ok and after.ok):
            self.failed += 1
            return
        p, q = distribution(before.scores), distribution(after.scores)
        self.weights.append(n)
        self.distances.append(total_variation(p, q))
        self.moved.append(bool(np.argmax(p) != np.argmax(q)))

    def row(self, question: str) -> dict[str, Any]:
        known = bool(self.distances)
        weights = self.weights or [1]
        nan = float("nan")
        return {
            "question": question,
            "requests": len(self.requests),
            "decisions": sum(self.requests.values()),
            "variants": len(self.variants),
            "mean_tv": float(np.average(self.distances, weights=weights)) if known else nan,
            "max_tv": max(self.distances, default=nan),
            "other_mode": float(np.average(self.moved, weights=weights)) if known else nan,
            "failed": self.failed,
        }


def total_variation(p: Distribution, q: Distribution) -> float:
    """Share of probability that has to move to make one distribution the other, in [0, 1].

    Examples
    --------
    >>> total_variation(np.array([0.5, 0.5]), np.array([1.0, 0.0]))
    0.5
    """
    return float(0.5 * np.abs(p - q).sum())


class _Reworded:
    """A policy that is asked everything in another way."""

    def __init__(self, inner: Policy, rewrite: Rewrite) -> None:
        self.inner, self.rewrite, self.recorded = inner, rewrite, inner.recorded
        self.fingerprint = inner.fingerprint
        self.coverage_floor: float = getattr(inner, "coverage_floor", 0.0)

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        return list(self.inner.answer([self.rewrite(request) for request in requests]))


def _reworded(run: Run, policies: Mapping[str, Policy], rewrite: Rewrite) -> dict[str, Policy]:
    return {
        role: _Reworded(policy, rewrite) if role in run.recorded_roles else policy
        for role, policy in policies.items()
    }


def _repeated(
    base: RunFolder, run: Run, policies: Mapping[str, Policy], name: str
) -> dict[str, Any]:
    """Outcomes of the run with other policies or parameters and the same random numbers."""
    with one_thread():
        built = build_model(run, policies)
        built.run_until(run.scenario.duration)
        result = collect(run, built, {})
    return {"variant": name, "recorded": base.outcomes(), "changed": dict(result.outcomes)}
