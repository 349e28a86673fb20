"""Reading results: `abm.load(folder)` for a run or a whole study."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from abm.errors import ScenarioError
from abm.studies.decided import decision_counts
from abm.studies.folder import read_manifest, read_table
from abm.studies.gather import concatenated, outcomes_table
from abm.studies.registry import resolve

__all__ = ["RunFolder", "StudyFolder", "load"]


class RunFolder:
    """The folder of one run.

    Attributes
    ----------
    folder
        Its path.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def __repr__(self) -> str:
        return f"RunFolder({str(self.folder)!r})"

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What it was made from."""
        return read_manifest(self.folder)

    def model_class(self) -> type:
        """The model that was run, with what its class declares.

        Raises
        ------
        ScenarioError
            It cannot be found here: a class of a notebook, or a file that was moved.
        """
        return resolve(self.manifest["model"]["reference"])

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return bool(self.manifest["status"] == "finished")

    def outcomes(self) -> dict[str, float]:
        """Outcome -> number."""
        self._refuse_failed()
        return {name: float(value) for name, value in self.manifest["outcomes"].items()}

    def frame(self, table: str = "series") -> pl.DataFrame:
        """A table of the run: `series`, `agents`, `decisions` or `outcomes`.

        Raises
        ------
        ScenarioError
            The run failed, or it has no such table.
        """
        self._refuse_failed()
        if table == "outcomes":
            return pl.DataFrame({name: [value] for name, value in self.outcomes().items()})
        path = self.folder / f"{table}.parquet"
        if not path.exists():
            raise _no_table(self.folder, table)
        return read_table(path)

    def decision_counts(self) -> pl.DataFrame:
        """Decisions of each question: as assigned, by a rule that stood in, or otherwise.

        See `abm.studies.decided.decision_counts`; empty where nothing was asked.

        Raises
        ------
        ScenarioError
            The manifest tells of decisions, and the table of them is not there.
        """
        decided = self.manifest.get("decisions", {}).get("decisions", 0)
        return decision_counts(self.frame("decisions")) if decided else pl.DataFrame()

    def _refuse_failed(self) -> None:
        if not self.finished:
            error = self.manifest["error"]
            raise ScenarioError(
                f"the run in {self.folder} failed with {error['type']}: {error['message']}; "
                "it has no tables"
            )


class StudyFolder:
    """The folder of a study.

    Attributes
    ----------
    folder
        Its path.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def __repr__(self) -> str:
        return f"StudyFolder({str(self.folder)!r})"

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What it was made from, and what happened."""
        return read_manifest(self.folder)

    def model_class(self) -> type:
        """The model that was run; raises `ScenarioError` where it cannot be found."""
        return resolve(self.manifest["model"]["reference"])

    def outcomes(self) -> pl.DataFrame:
        """One row per finished run: arm, answerer, replication and its outcomes."""
        return outcomes_table([run.manifest for run in self.runs()])

    def frame(self, table: str = "series") -> pl.DataFrame:
        """A table of all finished runs, with columns arm, answerer and replication in front.

        Parameters
        ----------
        table
            `series`, `agents`, `decisions` or `outcomes`.
        """
        if table == "outcomes":
            return self.outcomes()
        path = self.folder / f"{table}.parquet"
        if path.exists() and self.manifest["status"] == "finished":
            return read_table(path)
        frame = concatenated([run.folder for run in self.runs() if run.finished], table)
        if not frame.width:
            raise _no_table(self.folder, table)
        return frame

    def runs(self, *, arm: str | None = None, answerer: str | None = None) -> list[RunFolder]:
        """The runs that are there, failed ones included, in order of the study."""
        arms, answerers = self.manifest["arms"], list(self.manifest["answerers"])
        found = [
            run
            for run in self._folders()
            if arm in (None, run.manifest["arm"]) and answerer in (None, run.manifest["answerer"])
        ]
        return sorted(
            found,
            key=lambda run: (
                run.manifest["replication"],
                _place(arms, run.manifest["arm"]),
                _place(answerers, run.manifest["answerer"]),
            ),
        )

    def run(self, arm: str, answerer: str, replication: int = 0) -> RunFolder:
        """One run."""
        return load_run(self.folder / "runs" / arm / answerer / f"r{replication:03d}")

    def _folders(self) -> Iterator[RunFolder]:
        """Folders of planned runs; what an earlier, larger study left is not among them."""
        for path in sorted(self.folder.glob("runs/*/*/r*/manifest.json")):
            run = RunFolder(path.parent)
            planned = (
                run.manifest["arm"] in self.manifest["arms"]
                and run.manifest["answerer"] in self.manifest["answerers"]
                and run.manifest["replication"] < self.manifest["replications"]
            )
            if planned:
                yield run


def _place(names: list[str], name: str) -> int:
    return names.index(name) if name in names else len(names)


def _no_table(folder: Path, table: str) -> ScenarioError:
    there = sorted(path.stem for path in folder.glob("*.parquet"))
    more = "; set agents = true under [study] to keep agents" if table == "agents" else ""
    return ScenarioError(f"{folder} has no table {table!r}; it has {there}{more}", table=table)


def load_run(folder: str | Path) -> RunFolder:
    """The folder of one run.

    Raises
    ------
    ScenarioError
        It is no run folder.
    """
    loaded = load(folder)
    if not isinstance(loaded, RunFolder):
        raise ScenarioError(
            f"{folder} is the folder of a study; give one of its runs, such as "
            f"{folder}/runs/<arm>/<answerer>/r000"
        )
    return loaded


def load(folder: str | Path) -> RunFolder | StudyFolder:
    """The results in a run or study folder.

    Parameters
    ----------
    folder
        `OUT/<study>`, or a run folder in it or copied from it.

    Raises
    ------
    ScenarioError
        There is no manifest, or it is damaged.

    Examples
    --------
    >>> import abm
    >>> abm.load("runs/nowhere")
    Traceback (most recent call last):
    abm.errors.ScenarioError: runs/nowhere is no run or study folder: it has no manifest.json. ...
    """
    kind = read_manifest(Path(folder))["kind"]
    return RunFolder(folder) if kind == "run" else StudyFolder(folder)
