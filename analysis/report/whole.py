"""Whether the runs of a report are all there, and whole: what their manifests tell of, and no less.

A table that was removed or never copied would make a report that is silently about something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from abm.errors import AnalysisError

__all__ = ["absent_tables", "check_whole", "planned_runs"]


def absent_tables(run: Any) -> list[str]:
    """Files that a finished run's manifest tells of and that its folder lacks."""
    m = run.manifest
    rows: Mapping[str, Any] = m.get("rows", {})
    told = {
        "series.parquet": rows.get("series") is not None,
        "agents.parquet": rows.get("agents") is not None,
        "decisions.parquet": m.get("decisions", {}).get("decisions", 0) > 0,
        "ledger.sqlite": any(used["recorded"] for used in m.get("answers", {}).values()),
    }
    return [name for name, wanted in told.items() if wanted and not (run.folder / name).exists()]


def check_whole(runs: Iterable[Any]) -> None:
    """Refuse finished runs without a table that their manifest tells of.

    Raises
    ------
    AnalysisError
        Names the first such run, its files, and how many more there are.
    """
    finished = [run for run in runs if run.manifest["status"] == "finished"]
    lacking = [(run.folder, names) for run in finished if (names := absent_tables(run))]
    if not lacking:
        return
    folder, names = lacking[0]
    more = f" (and {len(lacking) - 1} more runs lack files)" if len(lacking) > 1 else ""
    raise AnalysisError(
        f"{folder} lacks {', '.join(names)}, of which its manifest tells{more}: it was removed, or "
        "not copied. Copy it again, or remove that folder and give the study's command again: only "
        "what is missing is repeated",
        folder=str(folder),
        missing=names,
    )


def planned_runs(manifest: Mapping[str, Any], chosen: Sequence[str] = ()) -> int:
    """Runs that a study plans, of the chosen arms and answerers alone.

    A study that was killed has not counted its runs since it began, so they are counted here.

    Examples
    --------
    >>> study = {"arms": ["low", "high"], "answerers": {"rule": {}}, "replications": 5}
    >>> planned_runs(study), planned_runs(study, ["low"])
    (10, 5)
    """
    arms, answerers = list(manifest["arms"]), list(manifest["answerers"])
    kept = [name for name in chosen if name in arms]
    others = [name for name in chosen if name not in arms]
    return len(kept or arms) * len(others or answerers) * int(manifest["replications"])
