"""The figures that suit a study: trajectories, effects, shares, what the model added, a dose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from abm.analysis.comparisons import means_table
from abm.analysis.doses import dose_effects
from abm.analysis.figures import (
    Saved,
    dose_response,
    effect_forest,
    network_snapshot,
    save,
    stacked_shares,
    trajectories,
)
from abm.analysis.numbers import percent_text
from abm.analysis.redraws import with_redraws
from abm.analysis.report import results
from abm.analysis.report.material import Material
from abm.analysis.report.opinions_drawn import OPINION, opinion_drawings, scale_of
from abm.analysis.report.parts import Drawing
from abm.analysis.report.series import long_series, redrawn_series
from abm.analysis.snapshots import Snapshot, snapshot
from abm.errors import AbmError

__all__ = ["figure_facts", "figure_notes", "figure_set", "save_drawing"]

MOST_SERIES, MOST_PANELS, MOST_ROWS = 8, 3, 4
MOST_OUTCOMES = 6


def figure_set(
    material: Material, *, level: float = 0.95, control: str | None = None
) -> list[Drawing]:
    """The figures that suit these runs, the model's own first.

    Parameters
    ----------
    control
        Arm to which effects are differences; the model's, or the first, by default.
    """
    lacking = " Without the error of sampled answers, unless said." * bool(material.with_sampled)
    made = [replace(own, caption=own.caption + lacking) for own in material.parts.figures]
    taken = {drawing.name for drawing in made}
    base = control or material.control
    for drawings in (
        _shares(material, level),
        _effects(material, level, base),
        _doses(material, level),
        _added(material, level, base),
        _trajectories(material, level),
        _networks(material),
        opinion_drawings(material),
    ):
        made += [drawing for drawing in drawings if drawing.name not in taken]
    return made


def figure_notes(material: Material) -> list[str]:
    """What every figure of these runs must say: failures, missing runs, fallback."""
    failed = len(material.manifests) - len(material.finished)
    notes = [f"{failed} of {len(material.manifests)} runs failed and are not shown"] * (failed > 0)
    planned = len(material.manifests) + material.missing
    notes += [f"{material.missing} of {planned} planned runs are missing"] * (material.missing > 0)
    shares = results.fallback_share(material)
    notes += [
        f"{name}: {percent_text(share, share / 10)} of decisions not answered as assigned"
        for name, share in shares.items()
        if share > 0
    ]
    return notes


def figure_facts(material: Material) -> dict[str, Any]:
    """Where the numbers of a figure come from."""
    first = material.finished[0]
    return {
        "study": first["study"],
        "runs": len(material.finished),
        "arms": material.arms,
        "answerers": material.answerers,
        "replications": material.replications,
        "varied": list(material.varied),
        "held fixed": list(material.fixed),
        "model": first["model"],
        "scenario": first["definition"]["scenario"],
        "fingerprints": material.language_models,
        "git": first["made_with"].get("git"),
        "versions": first["made_with"].get("versions"),
    }


def save_drawing(drawing: Drawing, folder: Any, material: Material) -> Saved:
    """Write a figure beside its CSV, with caption, provenance, failures and labels."""
    facts = {"caption": drawing.caption, **figure_facts(material)}
    label, notes = "; ".join(material.labels), figure_notes(material)
    return save(
        drawing.figure, folder, drawing.name, drawing.table, facts, label=label, notes=notes
    )


def _names(material: Material, outcomes: Sequence[str] = ()) -> dict[Any, str]:
    """How values are written; outcomes with their units."""
    named = {name: material.parts.names.get(name, name.replace("_", " ")) for name in outcomes}
    units = {name: material.unit(name) for name in outcomes}
    titled = {name: _with_unit(text, units[name]) for name, text in named.items()}
    return {**material.parts.names} | titled


def _undeclared(material: Material, outcomes: Sequence[str]) -> str:
    """A sentence on outcomes whose unit the model does not declare; empty where it does."""
    without = [material.written(name) for name in outcomes if not material.unit(name)]
    return f" The model declares no unit of {', '.join(without)}." if without else ""


def _order(material: Material, outcomes: Sequence[str] = ()) -> dict[str, Sequence[Any]]:
    return {"arm": material.arms, "answerer": material.answerers, "outcome": list(outcomes)}


def _series(material: Material) -> str | None:
    return "answerer" if len(material.answerers) > 1 else None


def _effects(material: Material, level: float, base: str) -> list[Drawing]:
    table = results.effects(material, level, base)
    if not table.height or len(material.answerers) > MOST_SERIES:
        return []
    control = material.written(base)
    made = []
    for number, outcomes in enumerate(_chunks(material.main_outcomes[:MOST_OUTCOMES], MOST_PANELS)):
        part = table.filter(pl.col("outcome").is_in(outcomes))
        figure = effect_forest(
            part,
            series=_series(material),
            panel="outcome",
            xlabel=f"difference to {control}",
            order={
                **_order(material, outcomes),
                "arm": [a for a in material.arms if a != base],
            },
            names=_names(material, outcomes),
        )
        caption = _over(part, f"Differences to arm {control!r} within replications", level) + "."
        caption += _undeclared(material, outcomes) + _which(material, outcomes)
        made.append(Drawing(_numbered("effects", number), figure, part, caption))
    return made


def _added(material: Material, level: float, base: str) -> list[Drawing]:
    table = results.added(material, level, base)
    if not table.height:
        return []
    made = []
    kinds = table["quantity"].unique(maintain_order=True).to_list()
    for kind in kinds:
        for number, outcomes in enumerate(
            _chunks(material.main_outcomes[:MOST_OUTCOMES], MOST_PANELS)
        ):
            part = table.filter((pl.col("quantity") == kind) & pl.col("outcome").is_in(outcomes))
            others = [a for a in material.answerers if a != material.parts.twin]
            what = "outcome" if kind == "level" else "effect"
            figure = effect_forest(
                part,
                series="answerer" if len(others) > 1 else None,
                panel="outcome",
                xlabel=f"{what} of {', '.join(map(material.written, others))} minus that of the "
                "rule twin",
                order=_order(material, outcomes),
                names=_names(material, outcomes),
            )
            caption = (
                f"What the language model added: its {what}s minus those of the rule twin with the "
                f"same random numbers, {100 * level:g} % intervals."
            )
            caption += _undeclared(material, outcomes) + _which(material, outcomes)
            made.append(Drawing(_numbered(f"added_{kind}", number), figure, part, caption))
    return made


def _shares(material: Material, level: float) -> list[Drawing]:
    made = []
    for name, outcomes in results.wholes(material).items():
        table = results.means(material, level, outcomes)
        figure = stacked_shares(
            table,
            panel=_series(material),
            order=_order(material, outcomes),
            names=_names(material)
            | {
                o: material.written(o)
                if o in material.parts.names
                else o.removeprefix(f"{name}.").replace("_", " ")
                for o in outcomes
            },
            xlabel=f"share, {name} (%)" if name else "share (%)",
        )
        n = results.counted(table)
        caption = "One replication." if n == "1" else f"Means over {n} replications."
        made.append(Drawing(f"shares_{name}" if name else "shares", figure, table, caption))
    return made


def _doses(material: Material, level: float) -> list[Drawing]:
    dose = results.dose_of(material)
    if dose is None:
        return []
    name, values = dose
    outcomes, lowest = material.main_outcomes[:MOST_PANELS], min(values.values())

    def make(frame: pl.DataFrame) -> pl.DataFrame:
        dosed = pl.col("arm").replace_strict(values, return_dtype=pl.Float64).alias(name)
        return dose_effects(
            frame.with_columns(dosed),
            outcomes=outcomes,
            dose=name,
            by="answerer",
            **results.scope(material, level),
        )

    table = results.estimates(material, make, ("answerer", name, "outcome"))
    return [_dose_curve(material, table, name, f"{lowest:g}", outcomes)]


def _dose_curve(
    material: Material, table: pl.DataFrame, name: str, lowest: str, outcomes: Sequence[str]
) -> Drawing:
    figure = dose_response(
        table,
        x=name,
        series=_series(material),
        panel="outcome",
        xlabel=_with_unit(name.replace("_", " "), _parameter_unit(material, name)),
        ylabel=f"difference to {name.replace('_', ' ')} = {lowest}",
        zero=0.0,
        own_scales=True,
        order=_order(material, outcomes),
        names=_names(material, outcomes),
        width="double",
    )
    caption = (
        f"Dose and response: differences to {name} = {lowest}, paired by replication; each panel "
        "has a scale of its own."
        + _undeclared(material, outcomes)
        + _left_out(len(material.main_outcomes), MOST_PANELS, "outcomes", "the report's table")
    )
    return Drawing("dose_response", figure, table, caption)


def _trajectories(material: Material, level: float) -> list[Drawing]:
    frame = long_series(material)
    if not frame.height or len(material.arms) > MOST_SERIES:
        return []
    again, made = redrawn_series(material), []
    for group in frame["group"].unique(maintain_order=True):
        part = frame.filter(pl.col("group") == group)
        variables = _varying(part)
        wanted = [o.rpartition(".")[2] for o in material.main_outcomes]
        variables = sorted(variables, key=lambda v: v not in wanted)
        cut = _left_out(len(variables), MOST_ROWS, "variables", "the series")
        for number, names in enumerate(_chunks(variables[:MOST_ROWS], MOST_ROWS)):
            mine, redrawn = (
                f.filter((pl.col("group") == group) & pl.col("variable").is_in(names))
                for f in (frame, again)
            )
            name = _numbered("_".join(filter(None, ["trajectories", group])), number)
            made.append(_trajectory(material, mine, redrawn, names, level, name, cut))
    return made


def _trajectory(
    material: Material,
    frame: pl.DataFrame,
    again: pl.DataFrame,
    names: Sequence[str],
    level: float,
    name: str,
    cut: str,
) -> Drawing:
    """Some variables of one group; `again` are the series under redrawn answers, if any."""

    def make(values: pl.DataFrame) -> pl.DataFrame:
        return means_table(
            values,
            outcomes="value",
            by=("answerer", "arm", "time", "variable"),
            **results.scope(material, level),
        ).drop("outcome")

    heads, degrees = ("answerer", "arm", "time", "variable"), results.answer_degrees(material)
    table = with_redraws(make, frame, again, heads=heads, degrees=degrees)
    shares, unit = _shares_among(frame, material), _parameter_unit(material, "duration")
    figure = trajectories(
        table,
        panel=_series(material),
        row="variable",
        xlabel=_with_unit("time", unit),
        order=_order(material) | {"variable": names},
        names=_names(material, names),
        within={v: (0.0, 1.0) for v in names if v in shares} or None,
    )
    group = frame["group"][0]
    lacking = bool(material.with_sampled) and not again.height
    caption = (
        _over(table, "Means", level)
        + (f"; group {group}." if group else ".")
        + _undeclared(material, names)
        + cut
        + " Without the error of sampled answers." * lacking
    )
    return Drawing(name, figure, table, caption)


def _parameter_unit(material: Material, name: str) -> str:
    """Unit of a parameter, as the scenario declares it; perhaps empty.

    That of `duration` is the unit of simulated time.
    """
    with suppress(AbmError, AttributeError):
        declared = material.model_class.Scenario.parameters()  # type: ignore[attr-defined]
        return str(next((p.unit for p in declared if p.name == name), ""))
    return ""


def _with_unit(text: str, unit: str) -> str:
    return f"{text} ({unit})" if unit else text


def _networks(material: Material) -> list[Drawing]:
    """The stored network of the first replication, coloured by the agents' opinions."""
    first = min(m["replication"] for m in material.finished)
    shown = material.answerers[0]
    chosen = [
        run
        for run in material.runs
        if (run.manifest["status"], run.manifest["answerer"], run.manifest["replication"])
        == ("finished", shown, first)
        and (run.folder / "edges.parquet").exists()
        and OPINION in run.frame("agents").columns
    ]
    placed = {run.manifest["arm"]: _placed(run) for run in chosen[: 2 * MOST_PANELS]}
    size = MOST_PANELS if len(placed) != 4 else 2
    scale = scale_of([s.nodes[OPINION] for s in placed.values()])
    caption = (
        f"Network and opinions at the end of replication {first}, answerer "
        f"{material.written(shown)}: one run per arm, no average."
    ) + _left_out(len(chosen), 2 * MOST_PANELS, "arms", "the run folders")
    return [
        _network({arm: placed[arm] for arm in arms}, scale, number, caption, material)
        for number, arms in enumerate(_chunks(list(placed), size))
    ]


def _network(
    made: Mapping[str, Snapshot],
    scale: tuple[float, float],
    number: int,
    caption: str,
    material: Material,
) -> Drawing:
    nodes, edges = (
        pl.concat(
            getattr(s, table).with_columns(pl.lit(arm).alias("arm")) for arm, s in made.items()
        )
        for table in ("nodes", "edges")
    )
    figure = network_snapshot(
        nodes,
        edges,
        panel="arm",
        low=scale[0],
        high=scale[1],
        note="; ".join(dict.fromkeys(s.note for s in made.values() if s.note)),
        order=_order(material),
        names=_names(material),
        width="double",
    )
    return Drawing(_numbered("network", number), figure, nodes, caption)


def _placed(run: Any) -> Snapshot:
    opinions = run.frame("agents")[OPINION].to_numpy()
    edges = run.frame("edges").to_numpy()
    return snapshot(edges, opinions, rng=np.random.default_rng(0), most=150)


def _shares_among(frame: pl.DataFrame, material: Material) -> set[str]:
    """Variables that are parts of a whole among the outcomes, and never outside of 0 to 1."""
    known = {o.rpartition(".")[2] for whole in results.wholes(material).values() for o in whole}
    inside = frame.group_by("variable").agg(pl.col("value").is_between(0, 1).all().alias("inside"))
    return known & set(inside.filter("inside")["variable"])


def _over(table: pl.DataFrame, what: str, level: float) -> str:
    """What is shown, over how many replications, and with which intervals."""
    n = results.counted(table)
    if n == "1":
        return f"{what}: one replication, no interval"
    return f"{what} over {n} replications with {100 * level:g} % intervals"


def _left_out(n: int, most: int, what: str, where: str) -> str:
    """A sentence on what a figure leaves out; empty where it leaves out nothing."""
    return f" The first {most} of {n} {what}; all are in {where}." if n > most else ""


def _which(material: Material, outcomes: Sequence[str]) -> str:
    """A sentence on which of the main outcomes a figure shows; empty where it shows all."""
    every = material.main_outcomes
    if len(outcomes) == len(every):
        return ""
    first, last = every.index(outcomes[0]) + 1, every.index(outcomes[-1]) + 1
    shown = f"Outcome {first}" if first == last else f"Outcomes {first} to {last}"
    return f" {shown} of {len(every)}; all are in the report's table."


def _varying(frame: pl.DataFrame) -> list[str]:
    spans = frame.group_by("variable", maintain_order=True).agg(
        (pl.col("value").max() - pl.col("value").min()).alias("span")
    )
    return spans.filter(pl.col("span") > 0)["variable"].to_list()


def _chunks(names: Sequence[str], size: int) -> list[list[str]]:
    return [list(names[start : start + size]) for start in range(0, len(names), size)]


def _numbered(name: str, number: int) -> str:
    return name if number == 0 else f"{name}_{number + 1}"
