"""What was asked, and the design that is to answer it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import polars as pl

from abm.analysis.report.document import Block, Items, Section, TableBlock, Text, Warn
from abm.analysis.report.material import Material
from abm.analysis.report.sections.wording import short
from abm.errors import AbmError

__all__ = ["design", "question"]


def question(material: Material) -> Section:
    """What is asked: the model's words, and those at the head of the study file."""
    said = material.parts.question or _first_paragraph(material)
    blocks: list[Block] = [Text(said)] if said else []
    head = _head_comment(material)
    if head and head not in said:
        blocks.append(Text(head))
    if not blocks:
        blocks = [Warn(("The question of this study is written nowhere: say it in your text.",))]
    return Section("Question", tuple(blocks))


def design(material: Material) -> Section:
    """Arms, answerers, replications, what is paired, and all parameters."""
    blocks: list[Block] = [Text(_overview(material))]
    differing = _differing(material)
    if differing.height and len(material.arms) > 1:
        blocks.append(TableBlock(differing, "What differs between the arms."))
    blocks.append(TableBlock(_answerers(material), "Who answers."))
    plans = material.finished[0]["definition"]["interventions"]
    if plans:
        blocks.append(Items(tuple(f"Intervention: {_plan(plan)}" for plan in plans)))
    blocks.append(TableBlock(_parameters(material), "Parameters that all arms share."))
    return Section("Design", tuple(blocks))


def _overview(material: Material) -> str:
    """How many runs of what, and what varied between them."""
    counted = " × ".join(
        f"{n} {word}{'s' * (n > 1)}"
        for n, word in (
            (len(material.arms), "arm"),
            (len(material.answerers), "answerer"),
            (material.replications, "replication"),
        )
    )
    return (
        f"{counted}: {len(material.finished)} finished runs of "
        f"{material.model_name.rpartition(':')[2]}. Arms and answerers share their random numbers "
        "replication by replication, so differences are taken within replications. Between "
        f"replications varied: {', '.join(material.varied) or 'nothing'}. Held fixed: "
        f"{', '.join(material.fixed)}."
    )


def _differing(material: Material) -> pl.DataFrame:
    scenarios = _scenarios(material)
    names = [
        name
        for name in next(iter(scenarios.values()))
        if len({repr(s.get(name)) for s in scenarios.values()}) > 1
    ]
    rows = [
        {"arm": material.written(arm)} | {name: short(scenarios[arm].get(name)) for name in names}
        for arm in material.arms
    ]
    return pl.DataFrame(rows) if names else pl.DataFrame()


def _parameters(material: Material) -> pl.DataFrame:
    scenarios = _scenarios(material)
    known: Mapping[str, Any] = {}
    with suppress(AbmError, AttributeError):
        declared = material.model_class.Scenario.parameters()  # type: ignore[attr-defined]
        known = {p.name: p for p in declared}
    first = next(iter(scenarios.values()))
    shared = [name for name in first if len({repr(s.get(name)) for s in scenarios.values()}) == 1]
    return pl.DataFrame([_parameter(name, first[name], known.get(name)) for name in shared])


def _parameter(name: str, value: Any, declared: Any) -> dict[str, str]:
    unit = f" {declared.unit}" if declared is not None and declared.unit else ""
    return {
        "parameter": name,
        "value": f"{short(value)}{unit}",
        "meaning": declared.doc if declared is not None else "",
        "source of the default": declared.source if declared is not None else "",
    }


def _scenarios(material: Material) -> dict[str, Mapping[str, Any]]:
    return {m["arm"]: m["definition"]["scenario"] for m in reversed(material.finished)}


def _answerers(material: Material) -> pl.DataFrame:
    rows = []
    for name in material.answerers:
        m = next(m for m in material.finished if m["answerer"] == name)
        rules: dict[str, Any] = {"—": {}}  # nothing is asked
        for role, used in (m["answers"] or rules).items():
            head = {"answerer": material.written(name), "role": role}
            rows.append(head | _answered_by(used))
    return pl.DataFrame(rows).unique(maintain_order=True)


def _answered_by(used: Mapping[str, Any]) -> dict[str, str]:
    info: Mapping[str, Any] = used.get("model", {})
    what = ", ".join(str(info[k]) for k in ("file", "model", "weights", "mode") if info.get(k))
    what = what.replace(" ?B", "")  # llama.cpp's word for a size that it does not know
    return {
        "answered by": _spec(used.get("spec", "rules of the model")),
        "language model": what or ("yes" if used.get("recorded") else "no"),
    }


def _spec(spec: Any) -> str:
    if isinstance(spec, Mapping):
        return ", ".join(f"{k} = {v}" for k, v in spec.items())
    return {"rule": "rule twin", "truth": "exact rule behind the embedded model"}.get(
        spec, str(spec)
    )


def _plan(plan: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value}" for name, value in plan.items() if value not in (None, {}, [])
    )


def _first_paragraph(material: Material) -> str:
    with suppress(AbmError):
        doc = (material.model_class.__doc__ or "").strip()
        return " ".join(doc.split("\n\n")[0].split())
    return ""


def _head_comment(material: Material) -> str:
    """The comment at the top of the study file."""
    file = material.folder / "study.toml"
    if not file.exists():
        return ""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            break
        lines.append(line.lstrip("#").strip())
    return " ".join(" ".join(lines).split())
