"""`abm calibrate`: the command of the terminal. What is heavy is imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["calibrate"]


def calibrate(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="STUDY", help="A calibration file, or FAMILY/NAME.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder that holds the results.")] = Path(
        "runs"
    ),
    workers: Annotated[
        int, typer.Option("--workers", "-w", min=1, help="Processes that simulate.")
    ] = 1,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Start anew; earlier results are kept as NAME.previous."),
    ] = False,
    report: Annotated[bool, typer.Option(help="Write REPORT.md; run the file's report.")] = True,
    check: Annotated[
        bool, typer.Option("--check", help="Plant parameters: are they found again? In words.")
    ] = False,
    check_simulations: Annotated[
        int, typer.Option(min=500, help="Simulations of the table that --check uses.")
    ] = 2000,
    check_sets: Annotated[
        int | None,
        typer.Option(min=25, help="Check by running the method itself on so many planted sets."),
    ] = None,
) -> None:
    """Calibrate a model to data: from prior, simulator and targets to a posterior with its cost.

    Stop it whenever you like, even with kill -9: the same command goes on with what is missing, and
    the result is the same to the bit at any number of workers. It lies in OUT/<name>/.

    Example:  abm calibrate opinion_network/anes96_ideology --workers 2
    """
    from abm.calibration.showing import calibrate_and_show

    table = check_simulations if check else None
    calibrate_and_show(file, out, workers, fresh, report, table, check_sets)
