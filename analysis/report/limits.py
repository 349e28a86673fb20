"""What a report cannot say: evidence that is missing, printed where nobody overlooks it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from abm.analysis.numbers import percent_text
from abm.analysis.report import results
from abm.analysis.report.material import Material
from abm.errors import AbmError, AnalysisError

__all__ = ["audits_of", "missing_evidence"]

HIGH_FALLBACK = 0.05
"""Share of decisions not answered as assigned from which the report warns."""
HIGH_UNRECORDED = 0.1
"""Share of requests answered by a similar one from which the error of sampled answers is rough."""
FEW = 5
WORDING = ("paraphrase", "permute", "granularity")
_FIDELITY = re.compile(
    r"(^|[._])(fidelity|accuracy|rmse|nrmse|wasserstein|jsd|tvd|ks|brier|log_score)($|[._])"
)
_DIVERSITY = re.compile(
    r"(^|[._])(diversity|entropy|effective|k_star|n_star|variance|sd|dispersion|cosine)($|[._])"
)


def missing_evidence(material: Material) -> list[str]:
    """What is missing or doubtful, each with what to do; empty when nothing is.

    Replications, a rule twin, an audit of the wording, the diversity beside a fidelity figure,
    failed or missing runs, fallback, synthetic answers, sampled answers, and whatever the runs
    flagged themselves (an agent class that never acted, a question that nobody answered).
    """
    checks = (
        _synthetic,
        _absent_model,
        _unfinished,
        _replications,
        _twin,
        _audit,
        _fallback,
        _sampled,
        _diversity,
        _flags,
        _pairing,
    )
    return [text for check in checks for text in check(material)]


def audits_of(material: Material) -> list[Mapping[str, Any]]:
    """The audits that were made of these runs (`abm audit`), in order of their names."""
    chosen = {f"{m['arm']}/{m['answerer']}/r{m['replication']:03d}" for m in material.finished}
    return [audit for audit in _audits_beside(material) if audit.get("run") in chosen]


def _audits_beside(material: Material) -> list[Mapping[str, Any]]:
    """All audits that lie in the study of these runs, of runs that were not chosen too."""
    found = []
    for folder in _audit_folders(material):
        for path in sorted(folder.glob("*.json")):
            try:
                audit = json.loads(path.read_text(encoding="utf-8"))
            except (ValueError, OSError) as error:
                raise AnalysisError(
                    f"{path} is damaged: {error}. Remove it and give `abm audit` again"
                ) from error
            found.append(audit)
    return sorted(found, key=lambda a: (a["kind"], a["run"]))


def _audit_folders(material: Material) -> set[Path]:
    """Where audits of these runs may lie: in their study, or beside a run without one."""
    runs = [Path(run.folder).absolute() for run in material.runs]
    beside = {run.with_name(f"{run.name}-audits") for run in runs}
    return {
        material.folder.absolute() / "audits",
        *(r.parents[3] / "audits" for r in runs),
        *beside,
    }


def _synthetic(material: Material) -> list[str]:
    return [
        f"{label[0].upper()}{label[1:]}. For evidence, run the study with a real model "
        "(--model FILE.gguf)."
        for label in material.labels
    ]


def _absent_model(material: Material) -> list[str]:
    try:
        _ = material.model_class
    except AbmError as error:
        return [
            f"The model's class is not found here, so its own question, names and figures are "
            f"missing: {error}."
        ]
    return []


def _unfinished(material: Material) -> list[str]:
    failed = len(material.manifests) - len(material.finished)
    said = [
        f"{failed} of {len(material.manifests)} runs failed and are left out: where failing has to "
        "do with the outcome, what is left is biased."
    ] * (failed > 0)
    if material.missing:
        planned = len(material.manifests) + material.missing
        said.append(
            f"{material.missing} of {planned} planned runs are missing: give the study's command "
            "again."
        )
    return said


def _replications(material: Material) -> list[str]:
    n = material.replications
    if n < 2 or not material.varied:
        return [
            "Effects without replications: one run per arm shows one possible course, and no "
            "interval can be given. Set replications under [study]."
        ]
    if n < FEW:
        return [f"Only {n} replications: intervals are wide and their coverage leans on normality."]
    return []


def _twin(material: Material) -> list[str]:
    models = list(material.language_models)
    if models and material.parts.twin not in material.answerers:
        return [
            f"Results of a language model ({', '.join(models)}) without the rule twin: what the "
            "model added cannot be said. Add [answerers.rule] to the study."
        ]
    return []


def _audit(material: Material) -> list[str]:
    """Answerers whose words were not audited, and arms in which they were not, though elsewhere.

    The words of an answerer are those of its study, so an audit of another arm speaks of them too;
    what agents are told there may differ.
    """
    done: dict[str, list[str]] = {}
    for audit in _audits_beside(material):
        if audit["kind"] in WORDING:
            arm = str(audit["run"]).rsplit("/", 2)[0]
            done.setdefault(audit["answerer"], []).append(arm)
    lacking = [name for name in material.language_models if name not in done]
    said = [
        f"No audit of the prompt's wording for {', '.join(lacking)}: how much the results depend "
        "on the words is unknown. Run `abm audit RUN --paraphrase` on the study or one of its runs."
    ] * bool(lacking)
    for name in material.language_models:
        there = list(dict.fromkeys(done.get(name, [])))
        without = [arm for arm in _arms_of(material, name) if arm not in there]
        if there and without:
            said.append(
                f"The prompt's wording for {name} was audited in arm {', '.join(there)}, not in "
                f"{', '.join(without)}: agents are told other things there, and the words may "
                "matter more. Run `abm audit STUDY --paraphrase`."
            )
    return said


def _arms_of(material: Material, answerer: str) -> list[str]:
    return list(dict.fromkeys(m["arm"] for m in material.finished if m["answerer"] == answerer))


def _fallback(material: Material) -> list[str]:
    return [
        f"Answerer {name}: {percent_text(share, share / 10)} of its decisions were not answered "
        "as assigned (a rule stood in, or they were skipped or asked again), so its results are "
        "not those of that answerer alone."
        for name, share in results.fallback_share(material).items()
        if share >= HIGH_FALLBACK
    ]


def _sampled(material: Material) -> list[str]:
    """Answers estimated from draws whose error is in no interval, or only roughly so."""
    if not material.with_sampled:
        return []
    if material.redraws.height:
        share = material.unrecorded
        return [
            f"{percent_text(share, share / 10)} of the requests of repeated runs with redrawn "
            "answers were never recorded and were answered as the most similar ones, so the error "
            "of sampled answers is rough. More draws per answer make it small."
        ] * (share >= HIGH_UNRECORDED)
    return [
        f"Question {row['question']}: {row['requests']} distributions were estimated from "
        f"{row['draws'] or 'an unknown number of'} draws and shared by all replications, so no "
        "interval here holds that error. "
        + (
            f"It gives a share of its decisions a standard error of about {row['error']:.2g}; "
            if row["error"] == row["error"]
            else ""
        )
        + "give `--redraws 20` to have the runs repeated and the error put in."
        for row in results.sampled(material).to_dicts()
    ]


def _diversity(material: Material) -> list[str]:
    names = material.outcome_names
    fidelity = [n for n in names if n in material.parts.fidelity or _FIDELITY.search(n)]
    diversity = [n for n in names if n in material.parts.diversity or _DIVERSITY.search(n)]
    if fidelity and not diversity:
        return [
            f"Fidelity ({', '.join(fidelity)}) without diversity: a model can meet an average with "
            "agents that are all alike. Add a diversity outcome (effective channels, entropy, "
            "share of between-person variance kept)."
        ]
    declared = [n for n in names if n in material.parts.diversity]
    if declared and not fidelity and material.language_models:
        return [
            f"Diversity ({', '.join(declared)}) without fidelity to data: agents may differ from "
            "each other and from people alike."
        ]
    return []


def _flags(material: Material) -> list[str]:
    said: dict[str, int] = {}
    for m in material.manifests:
        for flag in m["flags"]:
            said[flag] = said.get(flag, 0) + 1
    n = len(material.manifests)
    own = [f"{flag} ({count} of {n} runs)" for flag, count in said.items()]
    study = [f for f in material.source.manifest.get("flags", []) if not f.startswith(tuple(said))]
    return [f"Flag: {text}." for text in own + (study if material.is_study else [])]


def _pairing(material: Material) -> list[str]:
    """Arms that decoupled: pairing by common random numbers gained nothing."""
    table = results.effects(material, 0.95)
    if not table.height:
        return []
    known = table.filter(pl.col("correlation").is_finite())["correlation"]
    middle = known.median()
    if not known.len() or not isinstance(middle, float) or middle >= 0.1:
        return []
    return [
        f"Arms share their random numbers, but their outcomes are hardly correlated (median "
        f"{middle:.2f}): pairing gained no precision; the intervals are still right."
    ]
