"""The sections of a report, each from the runs alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from abm.analysis.numbers import interval_text, number_text, percent_text
from abm.analysis.report import results
from abm.analysis.report.comparing import Comparison
from abm.analysis.report.document import Block, Code, Items, Section, TableBlock, Text, Warn
from abm.analysis.report.groups import by_group, group_differences, group_effects, keeps_agents
from abm.analysis.report.limits import audits_of, missing_evidence
from abm.analysis.report.material import Material
from abm.analysis.tables import spread
from abm.errors import AbmError

__all__ = [
    "audits",
    "compared",
    "comparison_table",
    "cost",
    "design",
    "effect_table",
    "failures",
    "heterogeneity",
    "limits",
    "main_results",
    "question",
    "repeat",
    "terminal_tables",
]

PER_TABLE = 4
NO_SPREAD = "(no spread)"


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
    m, n = material.finished[0], material.replications
    counts = (
        f"{len(material.arms)} arm{'s' * (len(material.arms) > 1)} × {len(material.answerers)} "
        f"answerer{'s' * (len(material.answerers) > 1)} × {n} replication{'s' * (n > 1)}: "
        f"{len(material.finished)} finished runs of {material.model_name.rpartition(':')[2]}."
    )
    pairing = (
        "Arms and answerers share their random numbers replication by replication, so differences "
        "are taken within replications."
    )
    varied = f"Between replications varied: {', '.join(material.varied) or 'nothing'}. " + (
        f"Held fixed: {', '.join(material.fixed)}."
    )
    blocks: list[Block] = [Text(f"{counts} {pairing} {varied}")]
    differing = _differing(material)
    if differing.height and len(material.arms) > 1:
        blocks.append(TableBlock(differing, "What differs between the arms."))
    blocks.append(TableBlock(_answerers(material), "Who answers."))
    plans = m["definition"]["interventions"]
    if plans:
        blocks.append(Items(tuple(f"Intervention: {_plan(plan)}" for plan in plans)))
    blocks.append(TableBlock(_parameters(material), "Parameters that all arms share."))
    return Section("Design", tuple(blocks))


def main_results(material: Material, level: float, control: str | None = None) -> Section:
    """Means, effects of arms, and what the model added."""
    blocks: list[Block] = []
    table = results.means(material, level)
    for outcomes in _chunks(material.main_outcomes, PER_TABLE):
        part = table.filter(pl.col("outcome").is_in(outcomes))
        blocks.append(TableBlock(_wide(part, material, outcomes), _means_caption(table)))
    left = len(material.outcome_names) - len(material.main_outcomes)
    if left:
        blocks.append(Text(f"{left} further outcomes are in outcomes.csv beside this page."))
    sections = []
    effects = results.effects(material, level, control)
    if effects.height:
        base = material.written(control or material.control)
        sections.append(
            Section(
                f"Effects against {base}",
                (
                    TableBlock(
                        effect_table(effects, material, ["answerer", "arm", "outcome"]),
                        f"Differences to {base} within replications. {_reading(effects)} "
                        "Correlation: what common random numbers achieved. p: Holm, over the "
                        "table. Detectable: the smallest true effect that so many pairs find with "
                        "80 % power.",
                    ),
                ),
            )
        )
    sections += heterogeneity(material, level, control)
    added = results.added(material, level)
    if added.height:
        sections.append(_added_section(added, material))
    sections += [Section(title, (TableBlock(table, ""),)) for title, table in material.parts.tables]
    return Section("Results", tuple(blocks), tuple(sections))


def heterogeneity(material: Material, level: float, control: str | None = None) -> list[Section]:
    """Effects by group and the differences between groups; nothing where runs have no groups."""
    means = by_group(material)
    if not means.height:
        return []
    base = material.written(control or material.control)
    effects = group_effects(material, means, level, control)
    gaps = group_differences(material, means, level, control)
    blocks: list[Block] = [
        Text(
            "Groups are columns that no arm changes. Whether an arm acts differently in two groups "
            "is read from the second table, the difference between its effects within "
            "replications, never from two intervals beside each other. Looking at many groups "
            "finds some difference by chance: p is corrected over each table."
            + (" The error of sampled answers is not in these." if material.with_sampled else "")
        ),
        TableBlock(
            effect_table(effects, material, ["answerer", "factor", "group", "arm", "measure"]),
            f"Differences to {base} in the mean of each group. {_reading(effects)} p: Holm.",
        ),
    ]
    if gaps.height:
        heads = ["answerer", "factor", "group", "reference", "arm", "measure"]
        caption = (
            f"Effect of the arm in the group minus that in the reference group. {_reading(gaps)} "
            "p: Holm."
        )
        blocks.append(TableBlock(effect_table(gaps, material, heads), caption))
    return [Section("Heterogeneity by group", tuple(blocks))]


def _added_section(added: pl.DataFrame, material: Material) -> Section:
    shown = added.with_columns(
        pl.col("quantity").replace({"level": "outcome", "effect": "effect of the arm"})
    )
    return Section(
        "What the language model added",
        (
            Text(
                "The rule twin answered the same questions with the same random numbers. Where an "
                "effect of an arm differs from the twin's, the finding needed the language model; "
                "where it does not, the rule would have given it too."
            ),
            TableBlock(
                effect_table(shown, material, ["answerer", "quantity", "arm", "outcome"]),
                f"Answerers minus the rule twin. {_reading(added)} p: Holm, over outcomes and over "
                "effects.",
            ),
        ),
    )


def compared(comparison: Comparison, material: Material) -> Section:
    """A comparison of two sets of runs."""
    blocks: list[Block] = [
        Text(f"{comparison.second} minus {comparison.first}."),
        TableBlock(comparison_table(comparison, material), _reading(comparison.table)),
    ]
    if comparison.differs:
        blocks.append(TableBlock(_differs(comparison), "In what the two differ."))
    if comparison.notes:
        blocks.append(Items(tuple(f"{note}." for note in comparison.notes)))
    return Section(f"{comparison.second} against {comparison.first}", tuple(blocks))


def failures(material: Material) -> Section:
    """Failed runs, flags, and the share of behaviour that was fallback."""
    failed = [m for m in material.manifests if m["status"] != "finished"]
    lines = [f"{len(material.finished)} of {len(material.manifests)} runs finished."]
    lines += [
        f"{m['arm']}/{m['answerer']}/r{m['replication']:03d} failed with {m['error']['type']}: "
        f"{m['error']['message'][:300]}"
        for m in failed
    ]
    blocks: list[Block] = [Items(tuple(lines))]
    table = results.decided(material)
    if table.height:
        blocks.append(TableBlock(_decisions(table, material), "Who decided, over all runs."))
    else:
        blocks.append(Text("Nothing was asked: all behaviour follows the model's own rules."))
    return Section("Failures and fallback", tuple(blocks))


def audits(material: Material) -> Section:
    """How much the wording mattered, and what the rule twin would have said."""
    found = audits_of(material)
    if not found:
        said = (
            "No audit was made."
            if material.language_models
            else "No language model answered, so there is no wording to audit."
        )
        return Section("Audits", (Text(said),))
    rows = [
        {
            "audit": audit["kind"],
            "run": audit["run"],
            "question": row["question"],
            "requests": row["requests"],
            "variants": row["variants"],
            "total variation (mean)": number_text(row["mean_tv"], 0.01),
            "largest": number_text(row["max_tv"], 0.01),
            "other first choice": percent_text(row["other_mode"]),
        }
        for audit in found
        for row in audit["questions"]
    ]
    caption = (
        "Recorded requests asked again with other words, another order of options, coarser or "
        "finer fields, or of the rule twin. Total variation: share of probability that moves, 0 to "
        "1, weighted by how often the request decided."
    )
    notes = [
        f"{audit['kind']} of {audit['run']}: {text}" for audit in found for text in audit["notes"]
    ]
    blocks: list[Block] = [TableBlock(pl.DataFrame(rows), caption)] if rows else []
    outcome_rows = [
        {
            "audit": audit["kind"],
            "run": audit["run"],
            "variant": row["variant"],
            "outcome": name,
            "recorded": number_text(row["recorded"][name], 1e-3),
            "change": number_text(row["changed"][name] - row["recorded"][name], 1e-3),
        }
        for audit in found
        for row in audit.get("outcomes", [])
        for name in material.main_outcomes
        if name in row["changed"]
    ]
    if outcome_rows:
        blocks.append(
            TableBlock(
                pl.DataFrame(outcome_rows),
                "Outcomes when the whole run is repeated with the variant's words and the same "
                "random numbers.",
            )
        )
    if notes:
        blocks.append(Items(tuple(notes)))
    return Section("Audits", tuple(blocks))


def cost(material: Material) -> Section:
    """Tokens, hours, and what asking once saved."""
    table = results.cost(material)
    execution = material.source.manifest.get("execution", {}) if material.is_study else {}
    blocks: list[Block] = [
        TableBlock(
            table,
            "Tokens are notional: what the requests would cost if nothing were cached. Rules are "
            "code: they infer nothing.",
        )
    ]
    if execution:
        hours = execution["seconds"] / 3600
        blocks.append(
            Text(
                f"The last execution of the study took {number_text(hours, hours / 20)} hours by "
                f"{execution['workers']} worker{'s' * (execution['workers'] > 1)} for "
                f"{execution['executed']} runs."
            )
        )
    return Section("Cost", tuple(blocks))


def limits(material: Material) -> Section:
    """What is missing, and what no interval here covers."""
    found = missing_evidence(material)
    inside = ("shared answers",) if material.redraws.height else ()
    held = ", ".join(word for word in material.fixed if word not in inside)
    always = [
        f"Intervals are over replications: they cover {', '.join(material.varied) or 'nothing'}. "
        f"They do not cover what was held fixed: {held}.",
        *_redrawn(material),
        *_without_groups(material),
        "The model's own assumptions were not varied here; see its ODD.",
        *material.parts.notes,
    ]
    blocks: list[Block] = [Warn(tuple(found))] if found else []
    return Section("Limits", (*blocks, Items(tuple(always))))


def _without_groups(material: Material) -> list[str]:
    """That effects by the groups which the model declares could not be shown."""
    declared = ", ".join(material.parts.groups)
    if not declared or len(material.arms) < 2 or keeps_agents(material):
        return []
    return [
        f"Effects by {declared} are not shown: no run keeps its agents. Set agents = true under "
        "[study]."
    ]


def _redrawn(material: Material) -> list[str]:
    """That intervals hold the error of sampled answers, and how it was found."""
    redraws = material.redraws
    if not redraws.height:
        return []
    n, asked = redraws["redraw"].n_unique(), results.sampled(material)
    share, fewest = material.unrecorded, int(asked["draws"].to_numpy().min())
    return [
        f"{asked['requests'].sum()} answers were estimated from draws of a server ({fewest} or "
        f"more each). The intervals of means, effects and what the model added hold that error: "
        f"every run was repeated with {n} redraws of these answers from their posterior and the "
        "same random numbers, and the spread between redraws (Student's t) and that between "
        f"replications add in squares. {percent_text(share, 0.001)} of the requests of repeated "
        "runs were not recorded and were answered as the most similar one. Trajectories do not "
        "hold it."
    ]


def repeat(material: Material) -> Section:
    """Commands, versions, seeds and fingerprints."""
    m = material.finished[0]
    made, first = m["made_with"], material.runs[0]
    study = material.folder if material.is_study else None
    commands = [f"pip install agora-abm=={made['versions'].get('agora-abm', '')}"]
    if study is not None:
        commands += [f"abm study {study.name}/study.toml --out again    # every run, anew"]
    shown = Path(first.folder)
    with suppress(ValueError):
        shown = shown.relative_to(material.folder.parent)
    commands += [f"abm replay {shown}    # one run, to the bit, without its model"]
    rows = [
        ("model", material.model_name),
        ("code of the model", m["model"]["code"]),
        ("git commit", (made.get("git") or {}).get("package") or "not known"),
        ("Python", made.get("python", "")),
        *((name, version) for name, version in made["versions"].items()),
        ("processor", f"{made['hardware']['processor']}, {made['hardware']['cores']} cores"),
    ]
    if material.is_study:
        rows.insert(0, ("seed of the study", str(material.source.manifest["seed"])))
    rows += [
        (
            "seeds of replication 0",
            ", ".join(f"{k} {v}" for k, v in m["definition"]["seeds"].items()),
        )
    ]
    for name, marks in material.language_models.items():
        rows += [(f"fingerprint of {name}", mark) for mark in marks]
    table = pl.DataFrame(rows, schema=["what", "value"], orient="row").with_columns(
        pl.col("value").cast(pl.String)
    )
    blocks: list[Block] = [Code("\n".join(commands)), TableBlock(table, "Made with.")]
    file = material.folder / "study.toml"
    if file.exists():
        blocks.append(Code(file.read_text(encoding="utf-8")))
    return Section("How to repeat", tuple(blocks))


def effect_table(table: pl.DataFrame, material: Material, heads: Sequence[str]) -> pl.DataFrame:
    """Effects as people read them: one column for estimate and interval."""
    rows = []
    for row in table.iter_rows(named=True):
        head = {name: material.written(str(row[name])) for name in heads}
        unit = material.parts.units.get(row.get("outcome", ""), "") if "outcome" in heads else ""
        head |= {"outcome": f"{head['outcome']} ({unit})"} if unit else {}
        made = {
            **head,
            _interval_title(row["level"]): _estimate(row),
            "pairs": row["n"],
            "correlation": _correlation(row["correlation"]),
            "p": "—"
            if _no_spread(row)
            else results.p_text(row.get("p_adjusted", row.get("p_value"))),
        }
        if "detectable" in row:
            made["detectable"] = number_text(row["detectable"], row["detectable"])
        rows.append(made | _margin(row))
    return pl.DataFrame(rows)


def comparison_table(comparison: Comparison, material: Material) -> pl.DataFrame:
    """A comparison as people read it."""
    heads = [*comparison.cells, "outcome"]
    shown = effect_table(comparison.table, material, heads)
    half = (comparison.table["high"] - comparison.table["low"]).to_list()
    means = [
        pl.Series(
            name,
            [
                number_text(v, (h / 2) or 0.001)
                for v, h in zip(comparison.table[name], half, strict=True)
            ],
        )
        for name in ("first", "second")
    ]
    keep = [name for name in shown.columns if name not in heads]
    if not comparison.paired:
        keep = [name for name in keep if name not in ("correlation", "detectable")]
        shown = shown.rename({"pairs": "replications"})
        keep = ["replications" if name == "pairs" else name for name in keep]
    return shown.with_columns(means).select(*heads, "first", "second", *keep)


def terminal_tables(comparison: Comparison, material: Material) -> list[tuple[str, pl.DataFrame]]:
    """A comparison in narrow tables, one per cell, each with its title."""
    wide = comparison_table(comparison, material)
    cells = list(comparison.cells)
    narrow = {n: n.split(" [")[0] + " [interval]" for n in wide.columns if " [" in n}
    kept = ["outcome", "first", "second", *narrow, "p", "equivalent"]
    parts = wide.partition_by(cells, as_dict=True, maintain_order=True) if cells else {(): wide}
    made = []
    for key, part in parts.items():
        if "equivalence" in part.columns:
            yes = pl.when(pl.col("equivalence").str.starts_with("shown"))
            part = part.with_columns(
                yes.then(pl.lit("yes")).otherwise(pl.lit("no")).alias("equivalent")
            )
        shown = part.select(name for name in kept if name in part.columns).rename(narrow)
        made.append((", ".join(map(str, key)), shown))
    return made


def _estimate(row: Mapping[str, Any]) -> str:
    """Estimate and interval; what is the same in all replications has no interval."""
    if _no_spread(row):
        return f"{number_text(row['estimate'], 0.01)} {NO_SPREAD}"
    return interval_text(row["estimate"], row["low"], row["high"])


def _no_spread(row: Mapping[str, Any]) -> bool:
    width = row["high"] - row["low"]
    return bool(row["n"] > 1 and width <= 1e-12 * max(1.0, abs(row["estimate"])))


def _margin(row: Mapping[str, Any]) -> dict[str, str]:
    if row.get("margin") is None:
        return {}
    said = "shown" if row["equivalent"] else "not shown"
    return {"equivalence": f"{said} (± {row['margin']:g}, p {results.p_text(row['p_equivalent'])})"}


def _interval_title(level: float) -> str:
    return f"difference [{100 * level:g} % interval]"


def _correlation(value: float | None) -> str:
    return "—" if value is None or value != value else f"{value:.2f}"


def _reading(table: pl.DataFrame) -> str:
    """What the intervals are, and what varied and was held fixed."""
    levels = ", ".join(f"{100 * v:g} %" for v in table["level"].unique().sort())
    varied, fixed = _scope(table)
    same = sum(map(_no_spread, table.iter_rows(named=True)))
    note = (
        f" {NO_SPREAD[1].upper()}{NO_SPREAD[2:-1]}: the same in all replications, so that few of "
        "them cannot tell how far it may vary; not certainty."
    )
    said = f"Intervals: {levels}, Student's t; varied: {varied}; held fixed: {fixed}."
    return said + note * (same > 0)


def _scope(table: pl.DataFrame) -> tuple[str, str]:
    """What varied and what was held fixed; rows may differ in whether sampled answers did."""
    answers, every = ", sampled answers", table["varied"].unique(maintain_order=True).to_list()
    plain = list(dict.fromkeys(text.removesuffix(answers) for text in every))
    if plain == every:
        return "; ".join(every), "; ".join(table["fixed"].unique(maintain_order=True))
    inside = table.filter(pl.col("varied").str.ends_with(answers))
    where = answers + (" where there are any" if inside.height < table.height else "")
    return "; ".join(plain) + where, "; ".join(inside["fixed"].unique(maintain_order=True))


def _means_caption(table: pl.DataFrame) -> str:
    return f"Means over replications; shares of a whole cut to 0 to 1. {_reading(table)}"


def _wide(part: pl.DataFrame, material: Material, outcomes: Sequence[str]) -> pl.DataFrame:
    cells = [
        {
            "answerer": material.written(row["answerer"]),
            "arm": material.written(row["arm"]),
            "outcome": material.written(row["outcome"]),
            "text": _estimate(row),
        }
        for row in part.iter_rows(named=True)
    ]
    table = spread(pl.DataFrame(cells), rows=("answerer", "arm"), columns="outcome", values="text")
    columns = [material.written(name) for name in outcomes]
    return table.select("answerer", "arm", *columns)


def _differing(material: Material) -> pl.DataFrame:
    scenarios = _scenarios(material)
    names = [
        name
        for name in next(iter(scenarios.values()))
        if len({repr(s.get(name)) for s in scenarios.values()}) > 1
    ]
    rows = [
        {"arm": material.written(arm)} | {name: _short(scenarios[arm].get(name)) for name in names}
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
    rows = []
    for name, value in first.items():
        if len({repr(s.get(name)) for s in scenarios.values()}) == 1:
            p = known.get(name)
            unit = f" {p.unit}" if p is not None and p.unit else ""
            rows.append(
                {
                    "parameter": name,
                    "value": f"{_short(value)}{unit}",
                    "meaning": p.doc if p is not None else "",
                    "source of the default": p.source if p is not None else "",
                }
            )
    return pl.DataFrame(rows)


def _scenarios(material: Material) -> dict[str, Mapping[str, Any]]:
    return {m["arm"]: m["definition"]["scenario"] for m in reversed(material.finished)}


def _answerers(material: Material) -> pl.DataFrame:
    rows = []
    for name in material.answerers:
        m = next(m for m in material.finished if m["answerer"] == name)
        rules: dict[str, Any] = {"—": {}}  # nothing is asked
        for role, used in (m["answers"] or rules).items():
            info: Mapping[str, Any] = used.get("model", {})
            what = ", ".join(
                str(info[k]) for k in ("file", "model", "weights", "mode") if info.get(k)
            )
            rows.append(
                {
                    "answerer": material.written(name),
                    "role": role,
                    "answered by": _spec(used.get("spec", "rules of the model")),
                    "language model": what or ("yes" if used.get("recorded") else "no"),
                }
            )
    return pl.DataFrame(rows).unique(maintain_order=True)


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


def _decisions(table: pl.DataFrame, material: Material) -> pl.DataFrame:
    rows = [
        {
            "answerer": material.written(row["answerer"]),
            "question": row["question"],
            "decisions": f"{row['decisions']:,}",
            "as assigned": _part_text(row["as_assigned"], row["decisions"]),
            "by a rule that stood in": _part_text(row["by_rule"], row["decisions"]),
            "skipped or asked again": _part_text(row["again_or_skipped"], row["decisions"]),
            "failures": row["how"] or "none",
        }
        for row in table.iter_rows(named=True)
    ]
    return pl.DataFrame(rows)


def _part_text(part: int, whole: int) -> str:
    share = part / whole if whole else float("nan")
    return percent_text(share, 0.001) if 0 < share < 1 else percent_text(share)


def _differs(comparison: Comparison) -> pl.DataFrame:
    names = ["what", comparison.first, comparison.second]
    rows = [[_short(value, 80) for value in row] for row in comparison.differs]
    return pl.DataFrame(rows, schema=names, orient="row")


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


def _short(value: Any, most: int = 120) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    text = text if text else "(empty)"
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _chunks(names: Sequence[str], size: int) -> list[list[str]]:
    return [list(names[start : start + size]) for start in range(0, len(names), size)]
