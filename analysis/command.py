"""The commands `abm compare`, `abm figures` and `abm report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from abm.analysis.report import Comparison, Material

__all__ = ["compare", "figures", "report"]

Redraws = Annotated[
    int | None,
    typer.Option(
        help="Where a server's answers were sampled: how often to repeat the runs with redrawn "
        "answers, so that intervals hold their error. 20 unasked where that is cheap; 0 for none."
    ),
]
Level = Annotated[float, typer.Option(help="Nominal coverage of intervals, in (0, 1).")]


def compare(
    first: Annotated[
        str, typer.Argument(metavar="RUN", help="Study, run, STUDY:ARM or STUDY:ANSWERER.")
    ],
    second: Annotated[
        str, typer.Argument(metavar="RUN", help="The other one; differences are second - first.")
    ],
    outcome: Annotated[
        list[str] | None, typer.Option(help="Outcome to compare; may be repeated.")
    ] = None,
    margin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[OUTCOME=]NUMBER",
            help="Largest difference that would not matter, fixed beforehand; tests equivalence.",
        ),
    ] = None,
    level: Level = 0.95,
    correction: Annotated[
        str, typer.Option(help="For many comparisons: holm, fdr_bh, bonferroni.")
    ] = "holm",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File for the table, .csv, .md or .tex.")
    ] = None,
    redraws: Redraws = None,
) -> None:
    """Set two runs, arms, answerers or studies side by side: differences with intervals.

    Runs with the same seeds are paired. Says in what the two differ.

    Example:  abm compare runs/exposure_arms:none runs/exposure_arms:opposing
    """
    from rich.console import Console

    from abm.analysis.report import compare as compared
    from abm.analysis.report import missing_evidence, read_material, redraws_made

    _check_table(out)
    one, other = read_material(first), read_material(second)
    console = Console(highlight=False)
    _print_warnings(console, redraws_made([one, other], redraws))
    made = compared(
        one,
        other,
        outcomes=outcome or (),
        margins=_margins(margin or []),
        level=level,
        correction=correction,
    )
    _print_comparison(console, made, one)
    twin = {*one.answerers, *other.answerers} & {one.parts.twin}
    found = dict.fromkeys([*missing_evidence(one), *missing_evidence(other)])
    warnings = [text for text in found if not (twin and "without the rule twin" in text)]
    _print_warnings(console, warnings)
    if out is not None:
        _write_table(made, one, out)
        console.print(f"table: {out}", markup=False)


def figures(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Study, run, or STUDY:ARM.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder; RUN/figures by default.")
    ] = None,
    level: Level = 0.95,
    redraws: Redraws = None,
) -> None:
    """Draw the figures that suit a study, each beside its CSV, caption and provenance.

    Example:  abm figures runs/exposure_arms
    """
    from rich.console import Console

    from abm.analysis.report import figure_set, read_material, redraws_made
    from abm.analysis.report.drawing import figure_notes, save_drawing

    material = read_material(run)
    folder = out or material.folder / "figures"
    console = Console(highlight=False, soft_wrap=True)
    _print_warnings(console, redraws_made([material], redraws))
    for drawing in figure_set(material, level=level):
        saved = save_drawing(drawing, folder, material)
        console.print(f"{saved.pdf.stem}: {drawing.caption}", markup=False)
    for note in [*figure_notes(material), *material.labels]:
        console.print(f"on every figure: {note}", markup=False)
    console.print(f"figures (PDF, PNG, CSV, JSON): {folder}", markup=False)


def report(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Studies or runs, one or several.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder; RUN/report by default.")
    ] = None,
    control: Annotated[
        str | None, typer.Option(help="Arm to which effects are differences.")
    ] = None,
    level: Level = 0.95,
    redraws: Redraws = None,
) -> None:
    """Write a report: one self-contained HTML page, Markdown and LaTeX, figures beside them.

    Example:  abm report runs/exposure_arms
    """
    from rich.console import Console

    from abm.analysis.report import read_material, redraws_made, write_report

    materials = [read_material(run) for run in runs]
    folder = out or materials[0].folder / "report"
    console = Console(highlight=False)
    _print_warnings(console, redraws_made(materials, redraws))
    written = write_report(materials, folder, level=level, control=control)
    _print_warnings(console, list(written.warnings))
    for path in (written.html, written.markdown, written.latex):
        console.print(str(path), markup=False, soft_wrap=True)


def _margins(given: list[str]) -> dict[str, float]:
    from abm.errors import AnalysisError

    found = {}
    for text in given:
        name, _, number = text.rpartition("=")
        try:
            found[name] = float(number)
        except ValueError:
            raise AnalysisError(
                f"--margin {text!r}, expected a number or OUTCOME=NUMBER, in the outcome's unit"
            ) from None
    return found


def _check_table(out: Path | None) -> None:
    """Refuse a file that cannot be written, before anything is computed."""
    from abm.errors import AnalysisError, require

    require(
        out is None or out.suffix in (".csv", ".md", ".tex"),
        AnalysisError,
        f"--out {out}: expected a file that ends in .csv, .md or .tex",
    )


def _print_comparison(console: Console, made: Comparison, material: Material) -> None:
    from rich.box import SIMPLE
    from rich.text import Text

    from abm.analysis.report.sections import terminal_tables
    from abm.analysis.tables import to_rich

    console.print(f"{made.second} minus {made.first}", style="bold", markup=False)
    if made.differs:
        for what, first, second in made.differs[:12]:
            console.print(Text(f"  {what}: {first} -> {second}"))
        if len(made.differs) > 12:
            console.print(f"  and {len(made.differs) - 12} more differences")
    for title, table in terminal_tables(made, material):
        printed = to_rich(table, title=title)
        printed.box, printed.title_style = SIMPLE, "bold"
        printed.pad_edge, printed.padding = False, (0, 1, 0, 0)
        for column in printed.columns[1:]:
            column.no_wrap = True
        console.print(printed)
    _print_scope(console, made)


def _print_scope(console: Console, made: Comparison) -> None:
    """What the intervals hold, and what to keep in mind."""
    row = made.table.row(0, named=True)
    pairs = "paired by seeds" if made.paired else "independent runs (Welch)"
    console.print(
        f"Intervals: {100 * row['level']:g} %, {pairs}. Varied: {row['varied']}. Held fixed: "
        f"{row['fixed']}.{_corrected(made)}{_achieved(made)}",
        markup=False,
    )
    if "margin" in made.table.columns:
        console.print(
            "Equivalence: two one-sided tests, each row by itself; their p is not corrected. No "
            "spread: the same difference in all pairs, so the test rests on nothing that varied."
            + _needed(made),
            markup=False,
        )
    for note in made.notes:
        console.print(f"{note}.", markup=False)
    for reason in made.table["reason"].unique(maintain_order=True):
        if reason:
            console.print(f"{reason}.", markup=False)


def _corrected(made: Comparison) -> str:
    """For how many comparisons p is corrected: those that have one."""
    n = int(made.table["p_value"].is_finite().sum())
    return f" p is corrected for {n} comparison{'s' * (n > 1)}." if n else " No p is defined."


def _needed(made: Comparison) -> str:
    """How many pairs would show the equivalences that were not shown."""
    import polars as pl

    open_ones = made.table.filter(~pl.col("equivalent") & pl.col("pairs_needed").is_not_null())
    if not open_ones.height:
        return ""
    told = [
        f"{', '.join(map(str, row[:-1]))} {row[-1]:,}"
        for row in open_ones.select(*made.cells, "outcome", "pairs_needed").iter_rows()
    ]
    most = "; ".join(told[:6]) + (f"; and {len(told) - 6} more" if len(told) > 6 else "")
    return f" Pairs that would show it with 80 % power if there is no difference: {most}."


def _achieved(made: Comparison) -> str:
    """What common random numbers achieved."""
    known = [v for v in made.table["correlation"].to_list() if v is not None and v == v]
    if not known:
        return ""
    return f" Correlation achieved by pairing: {min(known):.2f} to {max(known):.2f}."


def _print_warnings(console: Console, warnings: list[str]) -> None:
    from rich.text import Text

    for text in warnings:
        console.print(Text(f"  ! {text}", style="yellow"))


def _write_table(made: Comparison, material: Material, out: Path) -> None:
    from abm.analysis.report.sections import comparison_table
    from abm.analysis.tables import to_csv, to_latex, to_markdown

    writers = {".md": to_markdown, ".tex": to_latex}
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".csv":
        text = to_csv(made.table)
    else:
        text = writers[out.suffix](comparison_table(made, material)) + "\n"
    out.write_text(text, encoding="utf-8")
