"""From runs to a report in three formats, with its figures and tables beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from matplotlib import rc_context

from abm.analysis.figures import figure_style
from abm.analysis.figures.layout import settled
from abm.analysis.report import sections
from abm.analysis.report.comparing import compare
from abm.analysis.report.document import Block, Document, Picture, Section, Text
from abm.analysis.report.drawing import figure_set, save_drawing
from abm.analysis.report.html import to_html
from abm.analysis.report.latex import document_to_latex
from abm.analysis.report.limits import missing_evidence
from abm.analysis.report.markdown import document_to_markdown
from abm.analysis.report.material import Material
from abm.analysis.report.parts import Drawing
from abm.errors import AnalysisError, require

__all__ = ["Written", "document_of", "write_report"]


@dataclass(frozen=True)
class Written:
    """Where a report lies, and what it warns of."""

    html: Path
    markdown: Path
    latex: Path
    warnings: tuple[str, ...]


def write_report(
    materials: Sequence[Material],
    folder: str | Path,
    *,
    level: float = 0.95,
    control: str | None = None,
) -> Written:
    """Write `report.html`, `report.md`, `report.tex`, and what lies beside them, into a folder.

    `outcomes.csv` holds all outcomes, `versions.txt` the packages that made the runs, `figures/`
    the figures with their tables.

    Parameters
    ----------
    materials
        One study or run, or several; with several, each further one is compared with the first
        where that is possible.
    control
        Arm to which effects are differences.
    """
    require(bool(materials), AnalysisError, "a report needs at least one study or run")
    for material in materials:
        known = control is None or control in material.arms
        require(
            known, AnalysisError, f"control = {control!r}, expected one of the arms {material.arms}"
        )
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    document = document_of(materials, place, level=level, control=control)
    written = Written(
        place / "report.html",
        place / "report.md",
        place / "report.tex",
        tuple(dict.fromkeys(text for m in materials for text in missing_evidence(m))),
    )
    written.html.write_text(to_html(document), encoding="utf-8")
    written.markdown.write_text(document_to_markdown(document), encoding="utf-8")
    written.latex.write_text(document_to_latex(document), encoding="utf-8")
    return written


def document_of(
    materials: Sequence[Material], folder: Path, *, level: float = 0.95, control: str | None = None
) -> Document:
    """The report as blocks; figures and the table of outcomes are saved into the folder."""
    labels = tuple(dict.fromkeys(label for m in materials for label in m.labels))
    if len(materials) == 1:
        title = f"Report of {materials[0].name}"
        return Document(title, labels, _study(materials[0], folder, "", level, control))
    parts = [
        Section(m.name, (), _study(m, folder, f"{number + 1}_", level, control))
        for number, m in enumerate(materials)
    ]
    title = "Report of " + ", ".join(m.name for m in materials)
    return Document(title, labels, (*parts, _comparisons(materials, level)))


def _study(
    material: Material, folder: Path, prefix: str, level: float, control: str | None
) -> tuple[Section, ...]:
    material.outcomes.write_csv(folder / f"{prefix}outcomes.csv")
    versions = f"{prefix}versions.txt"
    (folder / versions).write_text(sections.versions_file(material), encoding="utf-8")
    return (
        sections.question(material),
        sections.limits(material),
        sections.main_results(material, level, control, folder, prefix),
        _figures(material, folder, prefix, level, control),
        sections.design(material),
        sections.failures(material),
        sections.audits(material),
        sections.cost(material),
        sections.repeat(material, versions),
    )


def _figures(
    material: Material, folder: Path, prefix: str, level: float, control: str | None
) -> Section:
    blocks: list[Block] = []
    for drawing in figure_set(material, level=level, control=control):
        named = Drawing(f"{prefix}{drawing.name}", drawing.figure, drawing.table, drawing.caption)
        saved = save_drawing(named, folder / "figures", material)
        blocks.append(Picture(saved, drawing.caption, _svg(drawing)))
    return Section("Figures", tuple(blocks) or (Text("No figure suits these runs."),))


def _svg(drawing: Drawing) -> str:
    """The figure as SVG whose letters are shapes: it looks the same where a font is missing."""
    out = StringIO()
    with figure_style(), settled(drawing.figure), rc_context({"svg.fonttype": "path"}):
        drawing.figure.savefig(out, format="svg", metadata={"Date": None, "Creator": "Agora"})
    return out.getvalue()


def _comparisons(materials: Sequence[Material], level: float) -> Section:
    first, made = materials[0], []
    for other in materials[1:]:
        try:
            comparison = compare(first, other, level=level)
        except AnalysisError as error:
            text = f"{other.name} cannot be compared with {first.name}: {error}"
            made.append(Section(other.name, (Text(text),)))
        else:
            made.append(sections.compared(comparison, first))
    return Section("Comparison", (), tuple(made))
