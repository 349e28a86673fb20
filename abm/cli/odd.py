"""`abm odd`: a draft of the ODD protocol."""

from __future__ import annotations

from pathlib import Path

from abm.cli import show
from abm.cli.study import read
from abm.errors import ScenarioError, require
from abm.studies.odd import TO_WRITE, draft_odd, own_odd
from abm.studies.odd_simulator import draft_simulators, is_calibration
from abm.studies.registry import families, resolve, studies_of, study_file

__all__ = ["show_odd"]


def show_odd(what: str, out: Path | None) -> None:
    """Print the draft, or write it to a new file."""
    text, own = _draft(what)
    if out is None:
        print(text, end="")
        return
    require(
        not out.exists(),
        ScenarioError,
        f"{out} exists, and a draft never replaces what somebody wrote; choose another file",
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    show.console.print(f"{out}: {text.count(TO_WRITE)} places are marked {TO_WRITE}", markup=False)
    if own is not None:
        show.console.print(f"the model has an ODD of its own: {own}", markup=False)


def _draft(what: str) -> tuple[str, Path | None]:
    """The draft of a model, a study, a calibration or a folder of simulators; its own ODD."""
    if what.endswith(".toml") or (":" not in what and len(Path(what).parts) == 2):
        file = study_file(what)
        if is_calibration(file):
            return draft_simulators([file]), None
        study = read(what)
        return draft_odd(study), own_odd(study.model_class)
    if ":" not in what and what not in families() and studies_of(what):
        return draft_simulators(studies_of(what)), None
    return draft_odd(what), own_odd(resolve(what))
