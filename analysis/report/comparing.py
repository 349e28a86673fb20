"""Two sets of runs side by side: runs, arms, answerers or whole studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from abm.analysis.comparisons import adjusted
from abm.analysis.equivalence import equivalence
from abm.analysis.paired import Effect, paired_effect, unpaired_effect
from abm.analysis.planning import replications_for_equivalence
from abm.analysis.redraws import with_spread
from abm.analysis.report import results
from abm.analysis.report.material import SEEDS, Material
from abm.errors import AnalysisError, require

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """The second set of runs minus the first.

    Attributes
    ----------
    first, second
        How the two are called.
    table
        One row per cell and outcome: the cell, `outcome, first, second` (means), `estimate, low,
        high, level, n, correlation, sd_paired, p_value, p_adjusted, detectable`, and with a margin
        `margin, equivalent, p_equivalent, pairs_needed`; `varied, fixed, reason`. `pairs_needed`
        would show equivalence with 80 % power if there is no difference.
    cells
        Columns that were matched, such as `arm`.
    paired
        Whether runs share their random numbers, so that differences are taken within pairs.
    differs
        Rows of (what, first, second): in what the definitions differ.
    notes
        What must be known to read the table.
    """

    first: str
    second: str
    table: pl.DataFrame
    cells: tuple[str, ...]
    paired: bool
    differs: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]


def compare(
    first: Material,
    second: Material,
    *,
    outcomes: Sequence[str] = (),
    margins: Mapping[str, float] | None = None,
    level: float = 0.95,
    correction: str = "holm",
) -> Comparison:
    """Effects of the second set of runs against the first.

    Runs are matched within arms and answerers that both have, and paired where they have the same
    seeds; where they do not, the interval is Welch's.

    Parameters
    ----------
    outcomes
        Those to compare; otherwise the main outcomes of the first that both have.
    margins
        Outcome -> largest difference that would not matter, fixed beforehand; `""` stands for all.
        Adds equivalence tests at the level 1 - `level`.
    correction
        Method of `adjusted` for the many outcomes and cells: `holm`, `fdr_bh`, ...

    Raises
    ------
    AnalysisError
        Both are the same runs, they have no outcome in common, or it is not clear which arm is to
        be compared with which.
    """
    _refuse_same(first, second)
    names = _outcomes(first, second, outcomes)
    limits = _margins(names, margins or {})
    cells, notes = _cells(first, second)
    one, other = (_rows(m, m.outcomes) for m in (first, second))
    again = _redraws(first, second)
    degrees = results.answer_degrees(first, second)
    rows, paired = [], True
    for cell in _common(one, other, cells):
        a, b = (_part(frame, cell) for frame in (one, other))
        seeds_match = set(a["seeds"]) & set(b["seeds"])
        paired &= bool(seeds_match)
        for name in names:
            effect = _effect(a, b, name, seeds_match, level, first, second)
            effect = _with_redraws(effect, again, cell, name, degrees)
            rows.append(_row(cell, name, a, b, effect, limits.get(name), level))
    table = results.with_planning(adjusted(pl.DataFrame(rows), method=correction), level)
    if not paired:
        notes.append(
            "Runs do not share their seeds, so they are compared as independent ones (Welch); with "
            "common random numbers the interval would be narrower"
        )
    notes += _model_notes(first, second)
    differs = tuple(_differences(first, second))
    return Comparison(first.name, second.name, table, tuple(cells), paired, differs, tuple(notes))


def _refuse_same(first: Material, second: Material) -> None:
    places = [{str(run.folder.resolve()) for run in m.runs} for m in (first, second)]
    require(
        not places[0] & places[1],
        AnalysisError,
        f"{first.name} and {second.name} have runs in common; name two arms (STUDY:arm STUDY:other)"
        " or two studies",
    )


def _outcomes(first: Material, second: Material, wanted: Sequence[str]) -> list[str]:
    both = [name for name in first.outcome_names if name in second.outcome_names]
    missing = [name for name in wanted if name not in both]
    require(
        bool(both) and not missing,
        AnalysisError,
        f"outcomes {missing or list(wanted)}: expected some that both have, which are {both}",
    )
    return list(wanted) or [n for n in first.main_outcomes if n in both] or both[:8]


def _margins(names: Sequence[str], given: Mapping[str, float]) -> dict[str, float]:
    unknown = [name for name in given if name and name not in names]
    require(not unknown, AnalysisError, f"margin for {unknown}, but the outcomes are {names}")
    bad = {name: value for name, value in given.items() if not 0 < value < float("inf")}
    require(
        not bad,
        AnalysisError,
        f"margins {bad}, expected finite numbers > 0, in the unit of the outcome",
    )
    general = dict.fromkeys(names, given[""]) if "" in given else {}
    return general | {name: value for name, value in given.items() if name}


def _cells(first: Material, second: Material) -> tuple[list[str], list[str]]:
    """Columns within which runs are matched, and notes on what has no partner."""
    cells, notes = [], []
    for factor, a, b in (
        ("arm", first.arms, second.arms),
        ("answerer", first.answerers, second.answerers),
    ):
        both = [value for value in a if value in b]
        if both:
            alone = [value for value in [*a, *b] if value not in both]
            cells.append(factor)
            if alone:
                notes.append(f"{factor}s {', '.join(alone)} are in one of the two only: left out")
        else:
            require(
                len(a) == 1 and len(b) == 1,
                AnalysisError,
                f"{first.name} has the {factor}s {a} and {second.name} {b}: name one of each to "
                f"compare, as in {first.folder}:{a[0]}",
            )
            notes.append(f"{factor} {b[0]} is compared with {factor} {a[0]}")
    return cells, notes


def _rows(material: Material, frame: pl.DataFrame) -> pl.DataFrame:
    seeds = {
        (m["arm"], m["answerer"], m["replication"]): str(
            [m["definition"]["seeds"].get(name) for name in SEEDS]
        )
        for m in material.finished
    }
    keys = frame.select("arm", "answerer", "replication").rows()
    return frame.with_columns(pl.Series("seeds", [seeds[key] for key in keys], dtype=pl.String))


def _common(one: pl.DataFrame, other: pl.DataFrame, cells: list[str]) -> list[dict[str, Any]]:
    if not cells:
        return [{}]
    mine, theirs = (frame.select(cells).unique(maintain_order=True) for frame in (one, other))
    return mine.join(theirs, on=cells, how="semi").to_dicts()


def _part(frame: pl.DataFrame, cell: Mapping[str, Any]) -> pl.DataFrame:
    part = frame
    for name, value in cell.items():
        part = part.filter(pl.col(name) == value)
    return part.unique("seeds", keep="first", maintain_order=True)  # copies add nothing


def _effect(
    a: pl.DataFrame,
    b: pl.DataFrame,
    name: str,
    shared: set[str],
    level: float,
    first: Material,
    second: Material,
) -> Effect:
    varied = tuple(dict.fromkeys([*first.varied, *second.varied])) or ("nothing",)
    fixed = tuple(word for word in first.fixed if word in second.fixed)
    fixed = tuple(w for w in fixed if w not in _unlike(first, second))
    scope: dict[str, Any] = {"level": level, "varied": varied, "fixed": fixed}
    if not shared:
        return unpaired_effect(b[name].to_numpy(), a[name].to_numpy(), **scope)
    both = b.join(a.select("seeds", name), on="seeds", suffix="\x00", how="inner")
    effect = paired_effect(both[name].to_numpy(), both[f"{name}\x00"].to_numpy(), **scope)
    alone = a.height + b.height - 2 * both.height
    if alone:
        note = f"{alone} runs without a partner left out"
        effect = replace(effect, reason="; ".join(filter(None, [effect.reason, note])))
    return effect


def _redraws(first: Material, second: Material) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
    """Both sets of runs under each redraw of sampled answers; what used none stays as it is."""
    sides = (first, second)
    numbers = [set(m.redraws["redraw"]) for m in sides if m.redraws.height]
    shared = sorted(set.intersection(*numbers)) if numbers else []
    frames = [_rows(m, m.redraws if m.redraws.height else m.outcomes) for m in sides]
    return [
        (_numbered(frames[0], number), _numbered(frames[1], number))
        for number in (shared if len(shared) > 1 else [])
    ]


def _numbered(frame: pl.DataFrame, number: int) -> pl.DataFrame:
    return frame.filter(redraw=number) if "redraw" in frame.columns else frame


def _with_redraws(
    effect: Effect,
    again: Sequence[tuple[pl.DataFrame, pl.DataFrame]],
    cell: Mapping[str, Any],
    name: str,
    degrees: float,
) -> Effect:
    """The effect with the spread of its estimate between redraws of sampled answers."""
    if not again:
        return effect
    gaps = [_gap(_part(a, cell), _part(b, cell), name) for a, b in again]
    return with_spread(effect, gaps, degrees)


def _gap(a: pl.DataFrame, b: pl.DataFrame, name: str) -> float:
    """Second minus first, within pairs where there are any."""
    both = b.join(a.select("seeds", name), on="seeds", suffix="\x00", how="inner")
    if both.height:
        return _mean(both.select(pl.col(name) - pl.col(f"{name}\x00")), name)
    return _mean(b, name) - _mean(a, name)


def _unlike(first: Material, second: Material) -> list[str]:
    """What the two do not share, so that the interval does not hold it fixed."""
    unlike = []
    if first.finished[0]["model"]["code"] != second.finished[0]["model"]["code"]:
        unlike.append("model")
    if first.language_models != second.language_models:
        unlike += ["language model", "shared answers"]
    return unlike


def _row(
    cell: Mapping[str, Any],
    name: str,
    a: pl.DataFrame,
    b: pl.DataFrame,
    effect: Effect,
    margin: float | None,
    level: float,
) -> dict[str, Any]:
    row = effect.row()
    head = {**cell, "outcome": name, "first": _mean(a, name), "second": _mean(b, name)}
    kept = ("estimate", "low", "high", "level", "n", "correlation", "sd_paired", "p_value")
    test: dict[str, Any] = {}
    if margin is not None:
        shown = equivalence(effect, margin, alpha=1 - level)
        test = {
            "margin": margin,
            "equivalent": shown.equivalent,
            "p_equivalent": shown.p_value,
            "pairs_needed": _pairs_needed(effect, margin, 1 - level),
        }
    scope = {key: row[key] for key in ("varied", "fixed", "reason")}
    return {**head, **{key: row[key] for key in kept}, **test, **scope}


def _pairs_needed(effect: Effect, margin: float, alpha: float) -> int | None:
    """Pairs that show equivalence with 80 % power if there is no difference; None if not known.

    Of an effect with the error of sampled answers it is not known: more pairs leave that as it is.
    """
    if not effect.sd_paired > 0 or "sampled answers" in effect.varied:
        return None
    try:
        return replications_for_equivalence(margin, effect.sd_paired, alpha=alpha)
    except AnalysisError:  # more than a million
        return None


def _mean(frame: pl.DataFrame, name: str) -> float:
    values = frame[name].to_numpy()
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")


def _model_notes(first: Material, second: Material) -> list[str]:
    notes = []
    if first.finished[0]["model"]["code"] != second.finished[0]["model"]["code"]:
        notes.append("The code of the model differs between the two")
    versions = [m.finished[0]["made_with"].get("versions") for m in (first, second)]
    if versions[0] != versions[1]:
        notes.append("Versions of packages differ between the two; see their manifests")
    return notes


def _differences(first: Material, second: Material) -> list[tuple[str, str, str]]:
    """In what the definitions of the two differ, values seen in each."""
    found = []
    for part in ("scenario", "roles", "failures"):
        a, b = (_values(m, part) for m in (first, second))
        found += [
            (name, ", ".join(a.get(name, ["—"])), ", ".join(b.get(name, ["—"])))
            for name in dict.fromkeys([*a, *b])
            if a.get(name) != b.get(name)
        ]
    plans = [
        sorted({str(m["definition"]["interventions"]) for m in material.finished})
        for material in (first, second)
    ]
    if plans[0] != plans[1]:
        found.append(("interventions", "; ".join(plans[0]), "; ".join(plans[1])))
    return found


def _values(material: Material, part: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for m in material.finished:
        for name, value in m["definition"][part].items():
            texts = found.setdefault(name, [])
            if str(value) not in texts:
                texts.append(str(value))
    return {name: sorted(texts) for name, texts in found.items()}
