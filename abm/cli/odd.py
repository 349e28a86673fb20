"""`abm odd`: a draft of the ODD protocol."""

from __future__ import annotations

from pathlib import Path

from abm.cli import show
from abm.cli.study import read
from abm.errors import ScenarioError, require
from abm.studies.odd import TO_WRITE, draft_odd, own_odd
from abm.studies.registry import resolve

__all__ = ["show_odd"]


def show_odd(what: str, out: Path | None) -> None:
    """Print the draft, or write it to a new file."""
    named = read(what) if what.endswith(".toml") else what
    text = draft_odd(named)
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
    written = own_odd(named.model_class if not isinstance(named, str) else resolve(named))
    if written is not None:
        show.console.print(f"the model has an ODD of its own: {written}", markup=False)
