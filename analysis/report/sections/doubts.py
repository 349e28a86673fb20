"""What speaks against the results: failures, fallback, and what no interval covers."""

from __future__ import annotations

import polars as pl

from abm.analysis.numbers import percent_text
from abm.analysis.report import results
from abm.analysis.report.document import Block, Items, Section, TableBlock, Text, Warn
from abm.analysis.report.groups import keeps_agents
from abm.analysis.report.limits import missing_evidence
from abm.analysis.report.material import Material

__all__ = ["failures", "limits"]


def failures(material: Material) -> Section:
    """Failed runs, flags, and the share of behaviour that was fallback."""
    failed = [m for m in material.manifests if m["status"] != "finished"]
    planned = len(material.manifests) + material.missing
    lines = [f"{len(material.finished)} of {planned} runs finished."]
    lines += [f"{material.missing} runs are missing."] * (material.missing > 0)
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
        f"more each). The intervals of means, effects, groups, trajectories and what the model "
        f"added hold that error: every run was repeated with {n} redraws of these answers and the "
        "same random numbers, and how far an estimate moves between redraws, downwards and upwards "
        "by itself, is added to the variance between replications (Student's t, degrees of freedom "
        "of Welch and Satterthwaite). "
        f"{percent_text(share, 0.001)} of the requests of repeated runs were not recorded and "
        "were answered as the most similar one. Tables and figures of the model's own, and audits, "
        "do not hold it."
    ]


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
