"""What a study would cost: questions, tokens, hours and disk, from a dry run with the rule twins.

A dry run is the study itself with the rule twin in the place of every language model, in a folder
that is thrown away: the same code raises, groups, records and stores. It takes a few replications,
or a fraction of the duration, and what it counts is extrapolated:

- requests asked, texts and disk grow in proportion;
- distinct choice requests grow by what the replications of the dry run do not share (as the number
  of species does with the number of sampled plots), and in proportion to the duration.

The twin leads the society elsewhere than a language model would, so all of it is an estimate.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abm.errors import MissingExtra, ModelFileError, ScenarioError, require
from abm.ledger import Entry, Ledger
from abm.policies.base import Policy
from abm.studies.answerers import Spec, answers_in_process
from abm.studies.mixing import base_role, member_name
from abm.studies.shelf import Shelf
from abm.studies.standing_in import Costs, StandIn
from abm.studies.study import Budget, Study

if TYPE_CHECKING:
    from abm.studies.reading import StudyFolder

__all__ = ["Plan", "PolicyPlan", "plan"]

_SAMPLE = 64  # distinct requests that are really asked to measure the speed
_TEXTS = 4


@dataclass(frozen=True)
class PolicyPlan:
    """What one language model would be asked.

    Attributes
    ----------
    model
        As the study writes it.
    asked, distinct
        Requests of all runs, and those among them that have to be inferred.
    choices, texts
        The distinct requests by kind.
    tokens
        Notional tokens of all requests: what a budget reads.
    distinct_tokens
        Tokens of the distinct requests: what is evaluated if no two share a prefix.
    tokens_from
        Where the numbers of tokens come from.
    hours
        Of inference; `None` where no speed is known.
    hours_from
        Where the speed comes from.
    """

    model: str
    asked: int
    distinct: int
    choices: int
    texts: int
    tokens: int
    distinct_tokens: int
    tokens_from: str
    hours: float | None
    hours_from: str


@dataclass(frozen=True)
class Plan:
    """What a study would cost.

    Attributes
    ----------
    runs, dry_runs
        Runs of the study, and those of the dry run.
    fraction
        Share of the duration that the dry run took.
    policies
        One per language model.
    rule_hours
        Everything but inference, at the speed of the dry run, one run after another.
    disk_bytes
        Ledger and run folders.
    notes
        What to know about the numbers.
    """

    study: str
    runs: int
    dry_runs: int
    fraction: float
    policies: Sequence[PolicyPlan]
    rule_hours: float
    disk_bytes: int
    notes: Sequence[str] = field(default=())

    @property
    def tokens(self) -> int:
        """Notional tokens of all language models."""
        return sum(policy.tokens for policy in self.policies)

    @property
    def hours(self) -> float | None:
        """Inference and everything else; `None` where the speed of a model is not known."""
        hours = [policy.hours for policy in self.policies]
        known = [h for h in hours if h is not None]
        return None if len(known) < len(hours) else sum(known) + self.rule_hours

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "tokens": self.tokens, "hours": self.hours}


def plan(
    study: Study,
    *,
    replications: int = 2,
    fraction: float = 1.0,
    tokens_per_second: float | None = None,
) -> Plan:
    """Estimate questions, tokens, hours and disk of a study.

    Parameters
    ----------
    replications
        Replications of the dry run, >= 1; no more than the study has.
    fraction
        Share of the duration that is run, in (0, 1].
    tokens_per_second
        Speed of all models, > 0; `None` measures it on some requests of the dry run, for models
        that can be loaded here.

    Raises
    ------
    ScenarioError
        The study cannot run as written, a number is out of range, or a run of the dry run failed.
    """
    _check(replications, fraction, tokens_per_second)
    study = study.check()
    limit = None if study.memory_gb is None else int(study.memory_gb * 1e9)
    shelf, models = Shelf(limit), _Models()
    try:
        short, notes = _shortened(study, fraction)
        dry = models.dry(short, min(replications, study.replications), shelf)
        with tempfile.TemporaryDirectory() as folder:
            done = dry.run(folder, workers=1)
            return _estimated(study, done, models, fraction, tokens_per_second, notes)
    finally:
        models.close()
        shelf.close()


def _check(replications: int, fraction: float, speed: float | None) -> None:
    require(replications >= 1, ScenarioError, f"replications = {replications}, expected >= 1")
    require(0 < fraction <= 1, ScenarioError, f"fraction = {fraction}, expected 0 < fraction <= 1")
    require(speed is None or speed > 0, ScenarioError, f"tokens_per_second = {speed}, expected > 0")


def _shortened(study: Study, fraction: float) -> tuple[Study, list[str]]:
    """The study with a fraction of its duration, and the interventions that still act."""
    if fraction == 1:
        return study, []
    ends = {arm: scenario.duration * fraction for arm, scenario in study.scenarios.items()}
    arms = {arm: {**changes, "duration": ends[arm]} for arm, changes in study.arms.items()}
    kept = [
        plan
        for plan in study.planned
        if all(plan.at <= end for arm, end in ends.items() if plan.acts_in(arm))
    ]
    notes = [f"the dry run takes {fraction:.0%} of the duration; the rest is extrapolated"]
    if len(kept) < len(study.planned):
        notes.append(
            f"{len(study.planned) - len(kept)} interventions lie beyond it and are left out"
        )
    return replace(study, arms=arms, interventions=kept, text=""), notes


@dataclass
class _Model:
    """A language model of the study."""

    name: str
    costs: Costs
    policy: Any
    fingerprints: list[str] = field(default_factory=list)


class _Models:
    """The language models of a study, and the dry study in which rules stand in for them."""

    def __init__(self) -> None:
        self.found: dict[str, _Model] = {}
        self.notes: list[str] = []

    def dry(self, study: Study, replications: int, shelf: Shelf) -> Study:
        twins: Mapping[str, Policy] = getattr(study.model_class, "roles", {})
        answerers = {
            name: {role: self._dry(role, spec, twins[role], shelf) for role, spec in table.items()}
            for name, table in study.specs.items()
        }
        return replace(
            study,
            answerers=answerers,
            replications=replications,
            budget=Budget(),
            memory_gb=None,
            text="",
        )

    def close(self) -> None:
        """Free the memory of models that were loaded here."""
        for model in self.found.values():
            backend = getattr(model.policy, "backend", None)
            if backend is not None and hasattr(backend, "close"):
                backend.close()

    def _dry(self, role: str, spec: Spec, twin: Policy, shelf: Shelf) -> Spec:
        if spec.members:
            members = {
                name: self._dry(member_name(role, name), part, twin, shelf)
                for name, part in spec.members.items()
            }
            return replace(spec, members=members)
        if not spec.recorded:
            return spec
        model = self._model(spec, twin, shelf)
        # as long as a real one, because every stored answer carries it
        real = model.policy.fingerprint if model.policy is not None else "." * 300
        fingerprint = f"dry run of {model.name} ({real}) as {base_role(role)}"
        if fingerprint not in model.fingerprints:
            model.fingerprints.append(fingerprint)
        stand_in = StandIn(twin, fingerprint, model.costs, spec.floor)
        return Spec("policy", policy=stand_in, transform=spec.transform)

    def _model(self, spec: Spec, twin: Policy, shelf: Shelf) -> _Model:
        described = spec.described()
        name = described if isinstance(described, str) else str(dict(described))
        if name not in self.found:
            policy = spec.policy or self._loaded(spec, twin, shelf)
            costs = Costs(policy, thoughts=spec.reasoning, draws=_draws(spec))
            self.found[name] = _Model(name, costs, policy)
        return self.found[name]

    def _loaded(self, spec: Spec, twin: Policy, shelf: Shelf) -> Policy | None:
        """The policy itself, where its model can be loaded here; a server is left alone."""
        if not answers_in_process(spec):
            return None
        try:
            return spec.build(twin, shelf)
        except (MissingExtra, ModelFileError) as error:
            self.notes.append(f"{spec.described()} was not loaded: {error}")
            return None


def _draws(spec: Spec) -> int:
    """Answers that a server draws for every choice; 0 where it gives probabilities."""
    table = spec.backend if isinstance(spec.backend, Mapping) else {}
    return int(table.get("draws", 0)) if table.get("probabilities") == "sampled" else 0


def _estimated(
    study: Study,
    done: StudyFolder,
    models: _Models,
    fraction: float,
    speed: float | None,
    notes: list[str],
) -> Plan:
    runs = done.manifest["runs"]
    require(
        runs["finished"] == runs["planned"],
        ScenarioError,
        f"the dry run failed: {done.manifest['failed']}. Correct the model before it costs hours",
    )
    n_runs = study.replications * len(study.arms) * len(study.answerers)
    more = study.replications / (runs["planned"] / (len(study.arms) * len(study.answerers)))
    scale = more / fraction
    bytes_per_answer = _bytes_per_answer(done)
    policies = [
        _policy(study, done, model, scale, fraction, speed) for model in models.found.values()
    ]
    distinct = sum(policy.distinct for policy in policies)
    ledger = done.folder / "ledger.sqlite"
    stored = ledger.stat().st_size if ledger.exists() else 0
    folders = (_size(done.folder) - stored) * scale
    seconds = sum(sum(run.manifest["timings"].values()) for run in done.runs()) * scale
    made = Plan(
        study.name,
        n_runs,
        runs["planned"],
        fraction,
        policies,
        seconds / 3600,
        round(folders + distinct * bytes_per_answer),
        [*notes, *models.notes],
    )
    return replace(made, notes=[*made.notes, *_about_budget(study.budget, made)])


def _policy(
    study: Study,
    done: StudyFolder,
    model: _Model,
    scale: float,
    fraction: float,
    speed: float | None,
) -> PolicyPlan:
    counts = [
        total
        for total in done.manifest["execution"]["answers"].values()
        if total["fingerprint"] in model.fingerprints
    ]
    entries = _entries(done, model)
    choices = [entry for entry in entries.values() if entry.request.question.options]
    texts = [entry for entry in entries.values() if entry.request.question.text]
    n_choices = _grown(study, done, model, fraction)
    n_texts = round(len(texts) * scale)
    evaluated = sum(n * _mean_tokens(some) for n, some in ((n_choices, choices), (n_texts, texts)))
    tokens = scale * sum(total["tokens_in"] + total["tokens_out"] for total in counts)
    hours, source = _hours(model, choices, texts, n_choices, n_texts, evaluated, speed)
    return PolicyPlan(
        model=model.name,
        asked=round(scale * sum(total["asked"] for total in counts)),
        distinct=n_choices + n_texts,
        choices=n_choices,
        texts=n_texts,
        tokens=round(tokens),
        distinct_tokens=round(evaluated),
        tokens_from=model.costs.source + ("; texts at their longest" if texts else ""),
        hours=hours,
        hours_from=source,
    )


def _entries(done: StudyFolder, model: _Model) -> dict[str, Entry]:
    path = done.folder / "ledger.sqlite"
    with Ledger(path, read_only=True) as ledger:
        return {
            key: entry
            for name in model.fingerprints
            for key, entry in ledger.entries(fingerprint=name)
        }


def _grown(study: Study, done: StudyFolder, model: _Model, fraction: float) -> int:
    """Distinct choice requests of all replications, from those that the dry ones share."""
    seen: Counter[str] = Counter()
    runs = done.runs()
    numbers = sorted({run.manifest["replication"] for run in runs})
    for number in numbers:
        keys: set[str] = set()
        for run in runs:
            path = run.folder / "ledger.sqlite"
            if run.manifest["replication"] == number and path.exists():
                keys |= _choice_keys(path, model)
        seen.update(keys)
    counts = Counter(seen.values())
    found = extrapolated(len(seen), counts[1], counts[2], len(numbers), study.replications)
    return round(found / fraction)


def extrapolated(found: int, once: int, twice: int, n: int, total: int) -> float:
    """Expected number of different things in `total` samples, from those in n of them.

    Parameters
    ----------
    found
        Different things in n samples.
    once, twice
        How many of them were in exactly one, and in exactly two samples.
    n, total
        Samples taken, and samples to come to; n <= total. From one sample nothing can be said
        about what samples share, and the number grows in proportion.

    References
    ----------
    Colwell et al. (2012), Journal of Plant Ecology 5: extrapolation of incidence data, with the
    estimator Chao2 of what was never seen.

    Examples
    --------
    >>> extrapolated(10, 0, 10, 2, 8), extrapolated(10, 10, 0, 1, 8)
    (10.0, 80.0)
    """
    if n == 1:
        return float(found * total)
    if once == 0:
        return float(found)
    pairs = once**2 / (2 * twice) if twice else once * (once - 1) / 2
    unseen = (n - 1) / n * pairs
    if unseen == 0:
        return float(found + once / n * (total - n))
    return found + unseen * (1 - (1 - once / (n * unseen + once)) ** (total - n))


def _choice_keys(path: Path, model: _Model) -> set[str]:
    with Ledger(path, read_only=True) as ledger:
        return {
            key
            for name in model.fingerprints
            for key, entry in ledger.entries(fingerprint=name)
            if entry.request.question.options
        }


def _mean_tokens(entries: Sequence[Entry]) -> float:
    costs = [entry.answer.tokens_in + entry.answer.tokens_out for entry in entries]
    return sum(costs) / len(costs) if costs else 0.0


def _hours(
    model: _Model,
    choices: Sequence[Entry],
    texts: Sequence[Entry],
    n_choices: int,
    n_texts: int,
    evaluated: float,
    speed: float | None,
) -> tuple[float | None, str]:
    if speed is not None:
        return evaluated / speed / 3600, f"{speed:g} tokens/s, as stated"
    if model.policy is None:
        return None, "unknown: the model is not loaded here; state its tokens per second"
    some, written = choices[:_SAMPLE], texts[:_TEXTS]
    per_choice, per_text = _seconds(model.policy, some), _seconds(model.policy, written)
    hours = (n_choices * per_choice + n_texts * per_text) / 3600
    said = f"measured on {len(some)} choices ({per_choice * 1e3:.2f} ms each)"
    if written:
        said += f" and {len(written)} texts ({per_text * 1e3:.1f} ms each)"
    return hours, said


def _seconds(policy: Policy, entries: Sequence[Entry]) -> float:
    """Seconds per request, in one batch; the entries are in order of hashes, hence a mixture."""
    if not entries:
        return 0.0
    policy.answer([entries[0].request])  # the first call prepares the model
    begun = time.perf_counter()
    policy.answer([entry.request for entry in entries])
    return (time.perf_counter() - begun) / len(entries)


def _bytes_per_answer(done: StudyFolder) -> float:
    path = done.folder / "ledger.sqlite"
    if not path.exists():
        return 0.0
    with Ledger(path, read_only=True) as ledger:
        n = len(ledger)
    return path.stat().st_size / n if n else 0.0


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _about_budget(budget: Budget, made: Plan) -> list[str]:
    notes = []
    if budget.tokens is not None and budget.tokens < made.tokens:
        notes.append(
            f"the budget of {budget.tokens:,} tokens ends after about "
            f"{budget.tokens / made.tokens:.0%} of the study"
        )
    if budget.hours is not None and made.hours is not None and budget.hours < made.hours:
        notes.append(
            f"the budget of {budget.hours:g} hours ends after about "
            f"{budget.hours / made.hours:.0%} of the study"
        )
    return notes
