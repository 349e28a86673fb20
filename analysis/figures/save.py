"""Saving a figure: PDF and PNG beside the table it shows and the facts of its caption."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.figure import Figure

from abm.analysis.figures.layout import settled, stamp
from abm.analysis.figures.style import figure_style
from abm.errors import AnalysisError, require

__all__ = ["Saved", "save"]


@dataclass(frozen=True)
class Saved:
    """The four files of a figure."""

    pdf: Path
    png: Path
    csv: Path
    json: Path


def save(
    figure: Figure,
    folder: str | Path,
    name: str,
    table: pl.DataFrame,
    facts: Mapping[str, Any] | None = None,
    *,
    label: str = "",
    notes: Sequence[str] = (),
) -> Saved:
    """Write `name.pdf`, `name.png`, `name.csv` and `name.json` into a folder.

    Parameters
    ----------
    table
        The table that the figure draws.
    facts
        What a caption says (what varied, number of replications, level) and where the numbers come
        from (study, scenario, commit, fingerprints). Plain values.
    label
        Printed at the foot of the figure and kept in all files, such as `INSTRUMENT_CHECK`.
    notes
        Further lines at the foot: failures, fallback shares, missing audits.

    Returns
    -------
    The paths. Equal input gives equal files: no date and no path enters them.

    Raises
    ------
    AnalysisError
        The name is not a plain file name.

    Examples
    --------
    >>> import tempfile
    >>> from abm.analysis.figures import effect_forest
    >>> table = pl.DataFrame({"arm": ["a", "b"], "estimate": [0.1, 0.3], "low": [0.0, 0.2],
    ...                       "high": [0.2, 0.4]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     saved = save(effect_forest(table, xlabel="share"), folder, "effects", table)
    ...     saved.pdf.name, saved.png.exists()
    ('effects.pdf', True)
    """
    require(
        bool(name) and Path(name).name == name,
        AnalysisError,
        f"name = {name!r}, expected a file name without folder",
    )
    base = Path(folder)
    base.mkdir(parents=True, exist_ok=True)
    saved = Saved(*(base / f"{name}.{ending}" for ending in ("pdf", "png", "csv", "json")))
    stamp(figure, label, *notes)
    with figure_style(), settled(figure):
        title = f"{name}: {label}" if label else name
        figure.savefig(
            saved.pdf,
            metadata={"Title": title, "Creator": "Agora", "CreationDate": None, "Producer": None},
        )
        figure.savefig(saved.png, metadata={"Title": title, "Software": "Agora"})
    saved.csv.write_text(_flat(table).write_csv(), encoding="utf-8")
    saved.json.write_text(_describe(name, saved.csv, table, facts, label, notes), encoding="utf-8")
    return saved


def _flat(table: pl.DataFrame) -> pl.DataFrame:
    """Lists and structs as JSON text: a CSV has no place for them."""
    nested = [name for name, kind in table.schema.items() if kind.is_nested()]
    texts = [
        pl.Series(name, [json.dumps(_plain(v)) for v in table[name].to_list()]) for name in nested
    ]
    return table.with_columns(texts)


def _describe(
    name: str,
    csv: Path,
    table: pl.DataFrame,
    facts: Mapping[str, Any] | None,
    label: str,
    notes: Sequence[str],
) -> str:
    content = {
        "figure": name,
        "label": label,
        "notes": [note for note in notes if note],
        "facts": _plain(dict(facts or {})),
        "table": {
            "file": csv.name,
            "sha256": sha256(csv.read_bytes()).hexdigest(),
            "rows": table.height,
            "columns": {column: str(kind) for column, kind in table.schema.items()},
        },
        "made_with": {
            "agora-abm": _version("agora-abm"),
            "matplotlib": mpl.__version__,
            "numpy": np.__version__,
        },
    }
    return json.dumps(content, indent=2, ensure_ascii=False, sort_keys=False) + "\n"


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def _plain(value: Any) -> Any:
    """Plain JSON values; nan becomes null, because JSON has none."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [_plain(item) for item in items]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)
