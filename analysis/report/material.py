"""What a report is made from: chosen runs of a study, their manifests and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

import abm
from abm.analysis.report.parts import Parts, as_parts
from abm.analysis.report.whole import check_whole, planned_runs
from abm.errors import AbmError, AnalysisError, require
from abm.ledger import Ledger
from abm.studies.single import home_of

__all__ = ["KEYS", "Material", "read_material"]

KEYS = ("arm", "answerer", "replication")
SEEDS = ("chance", "population", "network")
_TYPES: dict[str, pl.DataType] = {
    "arm": pl.String(),
    "answerer": pl.String(),
    "replication": pl.Int64(),
}
_SAMPLED = "SELECT 1 FROM answers WHERE kind = 'sampled' LIMIT 1"


@dataclass(frozen=True)
class Material:
    """Runs that were chosen from a study, or one run.

    Attributes
    ----------
    name
        How the report calls it.
    source
        The study or run folder, as `abm.load` gives it.
    runs
        Its run folders that were chosen, failed ones included.
    chosen
        The arm or answerer, or both, that were chosen from the study; empty for all of it.
    """

    name: str
    source: Any
    runs: tuple[Any, ...]
    chosen: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        return Path(self.source.folder)

    @property
    def is_study(self) -> bool:
        """Whether it comes from the folder of a study."""
        return bool(self.source.manifest["kind"] == "study")

    @cached_property
    def manifests(self) -> list[Mapping[str, Any]]:
        """Manifests of the chosen runs."""
        return [run.manifest for run in self.runs]

    @cached_property
    def finished(self) -> list[Mapping[str, Any]]:
        """Manifests of the chosen runs that came to their end."""
        return [m for m in self.manifests if m["status"] == "finished"]

    @property
    def missing(self) -> int:
        """Planned runs of which there is no folder: the study was stopped, or they were removed."""
        if not self.is_study:
            return 0
        return max(planned_runs(self.source.manifest, self.chosen) - len(self.runs), 0)

    @cached_property
    def arms(self) -> list[str]:
        """Arms among the finished runs, in order of the study."""
        return self._present("arm", self.source.manifest.get("arms", []))

    @cached_property
    def answerers(self) -> list[str]:
        """Answerers among the finished runs, in order of the study."""
        return self._present("answerer", list(self.source.manifest.get("answerers", [])))

    @cached_property
    def replications(self) -> int:
        """Replications among the finished runs."""
        return len({m["replication"] for m in self.finished})

    @cached_property
    def outcomes(self) -> pl.DataFrame:
        """One row per finished run: arm, answerer, replication, outcomes; keys in study order."""
        rows = [
            {**{key: m[key] for key in KEYS}, **{n: float(v) for n, v in m["outcomes"].items()}}
            for m in self.finished
        ]
        frame = pl.DataFrame(rows, infer_schema_length=None)
        if not rows:
            return frame
        order = [
            pl.col(key).replace_strict({v: i for i, v in enumerate(values)}, return_dtype=pl.Int64)
            for key, values in (("answerer", self.answerers), ("arm", self.arms))
        ]
        return frame.sort([*order, "replication"])

    @cached_property
    def outcome_names(self) -> list[str]:
        """All outcomes, in the order in which the model gives them."""
        return [name for name in self.outcomes.columns if name not in KEYS]

    def table(self, name: str) -> pl.DataFrame:
        """A table of all finished runs (`series`, `agents`, `decisions`); empty if none has it."""
        frames = []
        for run in self.runs:
            m = run.manifest
            if m["status"] == "finished" and (run.folder / f"{name}.parquet").exists():
                marks = [pl.lit(m[key], dtype=kind).alias(key) for key, kind in _TYPES.items()]
                frame = run.frame(name)
                frames.append(frame.select(*marks, pl.all().exclude(*KEYS)))
        return pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()

    @cached_property
    def language_models(self) -> dict[str, list[str]]:
        """Answerer -> fingerprints of what is recorded: language models; code has none."""
        found: dict[str, list[str]] = {}
        for m in self.finished:
            for used in m["answers"].values():
                if used["recorded"]:
                    marks = found.setdefault(m["answerer"], [])
                    marks.extend(mark for mark in [used["fingerprint"]] if mark not in marks)
        return found

    @cached_property
    def with_sampled(self) -> list[Mapping[str, Any]]:
        """Manifests of the finished runs that used answers which a server gave by draws."""
        found = []
        for run in self.runs:
            path = run.folder / "ledger.sqlite"
            if run.manifest["status"] == "finished" and path.exists():
                with Ledger(path, create=False, read_only=True) as ledger:
                    if any(ledger.rows(_SAMPLED)):
                        found.append(run.manifest)
        return found

    @property
    def sampled_runs(self) -> pl.DataFrame:
        """Digest, arm, answerer and replication of the runs that used sampled answers."""
        rows = [(m["digest"], *(m[key] for key in KEYS)) for m in self.with_sampled]
        return pl.DataFrame(rows, schema={"digest": pl.String(), **_TYPES}, orient="row")

    @property
    def redraws_folder(self) -> Path:
        """Where tables of the runs lie that were repeated with redrawn answers."""
        folder = self.folder / "audits" if self.is_study else home_of(self.folder, "audits")
        return folder / "redraws"

    def redrawn(self, table: str) -> pl.DataFrame:
        """A table of the repeated runs: `outcomes`, `series` or `groups`.

        Columns `redraw, arm, answerer, replication` and those of the table, for the redraws of
        which all runs with sampled answers are there. Empty where no run was repeated.
        """
        path = self.redraws_folder / f"{table}.parquet"
        if not self.with_sampled or not path.exists():
            return pl.DataFrame()
        stored = pl.read_parquet(path).join(self.sampled_runs, on="digest", how="inner")
        done = pl.read_parquet(self.redraws_folder / "outcomes.parquet").join(
            self.sampled_runs, on="digest", how="semi"
        )
        runs = pl.col("digest").n_unique() == len(self.with_sampled)
        whole = done.group_by("redraw").agg(runs.alias("all")).filter("all")["redraw"]
        kept = stored.filter(pl.col("redraw").is_in(whole.implode()))
        return kept.select("redraw", *KEYS, pl.all().exclude("redraw", "digest", *KEYS))

    @property
    def redraws(self) -> pl.DataFrame:
        """Outcomes under redrawn answers: `redraw` and the columns of `outcomes`.

        Redraws of which all runs with sampled answers are there; the other runs stay as they are.
        Empty where no answer was sampled or no run was repeated.
        """
        stored = self.redrawn("outcomes")
        if not stored.height:
            return pl.DataFrame()
        return _under_redraws(self.outcomes, stored, self.sampled_runs)

    @property
    def unrecorded(self) -> float:
        """Share of requests of repeated runs that no recorded run had raised; nan without any."""
        stored = self.redrawn("outcomes")
        if not stored.height:
            return float("nan")
        mine = stored.unique(["redraw", *KEYS])
        return int(mine["unrecorded"].sum()) / max(int(mine["requests"].sum()), 1)

    @cached_property
    def labels(self) -> list[str]:
        """What every output made from these runs must say."""
        return sorted({label for m in self.manifests for label in m["labels"]})

    @cached_property
    def varied(self) -> tuple[str, ...]:
        """Which seeds differ between replications."""
        return tuple(
            name
            for name in SEEDS
            if len({m["definition"]["seeds"].get(name) for m in self.finished}) > 1
        )

    @cached_property
    def fixed(self) -> tuple[str, ...]:
        """What all replications share."""
        seeds = [f"{name} (one seed)" for name in SEEDS if name not in self.varied]
        models = ["language model", "prompt", "shared answers"] if self.language_models else []
        return ("parameters", "model", *models, *seeds)

    @cached_property
    def parts(self) -> Parts:
        """What the model says about itself; empty where it says nothing or is not here."""
        try:
            hook = getattr(self.model_class, "report_parts", None)
        except AbmError:
            return Parts()
        if not callable(hook):
            return Parts()
        try:
            given = hook(self.source)
        except Exception as error:  # the model's own code
            raise AnalysisError(
                f"report_parts of {self.model_name} failed with {type(error).__name__}: {error}"
            ) from error
        return as_parts(given, self.model_name)

    @property
    def model_class(self) -> type:
        """The model class; raises `ScenarioError` where it cannot be found."""
        return self.source.model_class()  # type: ignore[no-any-return]

    @property
    def model_name(self) -> str:
        return str(self.source.manifest["model"]["reference"])

    def written(self, value: str) -> str:
        """How the model writes an arm, answerer or outcome."""
        return self.parts.names.get(value, value)

    def unit(self, name: str) -> str:
        """Unit of an outcome; of a variable or measure, that of the outcomes named after it."""
        units = self.parts.units
        if name in units:
            return units[name]
        alike = {unit for outcome, unit in units.items() if outcome.rpartition(".")[2] == name}
        return alike.pop() if len(alike) == 1 else ""

    def titled(self, name: str) -> str:
        """How an outcome is written, with its unit where the model declares one."""
        unit = self.unit(name)
        return f"{self.written(name)} ({unit})" if unit else self.written(name)

    @cached_property
    def main_outcomes(self) -> list[str]:
        """The model's main outcomes; else the first eight that differ between runs."""
        declared = [name for name in self.parts.outcomes if name in self.outcome_names]
        if declared:
            return declared
        varying = [n for n in self.outcome_names if self.outcomes[n].drop_nans().n_unique() > 1]
        return (varying or self.outcome_names)[:8]

    @property
    def control(self) -> str:
        """The arm to which effects are differences."""
        declared = self.parts.control
        return declared if declared in self.arms else self.arms[0]

    def _present(self, key: str, order: Sequence[str]) -> list[str]:
        found = list(dict.fromkeys(m[key] for m in self.finished))
        return [n for n in order if n in found] + [n for n in found if n not in order]


def _under_redraws(
    outcomes: pl.DataFrame, stored: pl.DataFrame, sampled: pl.DataFrame
) -> pl.DataFrame:
    """The table of outcomes once per redraw, with the repeated runs in place of the recorded."""
    repeated = stored.pivot(on="outcome", index=["redraw", *KEYS], values="value")
    every = stored.select("redraw").unique()
    rest = outcomes.join(sampled, on=list(KEYS), how="anti").join(every, how="cross")
    order = outcomes.select(KEYS).with_row_index("\x00row")
    together = pl.concat([rest, repeated], how="diagonal_relaxed").join(order, on=list(KEYS))
    return together.sort("redraw", "\x00row").select("redraw", *outcomes.columns)


def read_material(where: str | Path) -> Material:
    """The runs that a command line names.

    Parameters
    ----------
    where
        A study folder, a run folder, a folder of runs in a study (`STUDY/runs/ARM` or
        `STUDY/runs/ARM/ANSWERER`), or `STUDY:ARM`, `STUDY:ANSWERER`, `STUDY:ARM/ANSWERER`.

    Raises
    ------
    AnalysisError
        The study has no such arm or answerer, none of its runs is finished, or a finished one lacks
        a file of which its manifest tells.
    ScenarioError
        There is no run or study in that place.

    Examples
    --------
    >>> read_material("runs/nowhere")
    Traceback (most recent call last):
    abm.errors.ScenarioError: runs/nowhere is no run or study folder: it has no manifest.json. ...
    """
    path, chosen = _place(str(where))
    source: Any = abm.load(path)
    if source.manifest["kind"] == "run":
        require(not chosen, AnalysisError, f"{path} is one run: it has no {chosen!r} to choose")
        m = source.manifest
        name = f"{m['study']}: {m['arm']}/{m['answerer']}/r{m['replication']:03d}"
        return _checked(Material(name, source, (source,)))
    runs = source.runs()
    words = tuple(chosen.split("/") if chosen else ())
    for word in words:
        key = "arm" if word in source.manifest["arms"] else "answerer"
        runs = [run for run in runs if run.manifest[key] == word]
        arms, answerers = source.manifest["arms"], list(source.manifest["answerers"])
        require(
            word in arms or word in answerers,
            AnalysisError,
            f"{where}: study {source.manifest['study']!r} has no {word!r}; its arms are {arms}, "
            f"its answerers {answerers}",
        )
    name = source.manifest["study"] + (f": {chosen}" if chosen else "")
    return _checked(Material(name, source, tuple(runs), words))


def _checked(material: Material) -> Material:
    require(
        bool(material.finished),
        AnalysisError,
        f"{material.folder} has no finished run ({len(material.runs)} failed, {material.missing} "
        "missing), so there is nothing "
        "to report; the causes are in its manifest",
    )
    check_whole(material.runs)
    return material


def _place(where: str) -> tuple[Path, str]:
    """The folder with a manifest, and what is chosen from it."""
    path = Path(where)
    if not path.exists() and ":" in where:
        folder, _, chosen = where.rpartition(":")
        return Path(folder), chosen
    if path.is_dir() and not (path / "manifest.json").exists():
        for levels, parent in enumerate(path.absolute().parents[:3]):
            if parent.name == "runs" and (parent.parent / "manifest.json").exists():
                parts = path.absolute().parts[-(levels + 1) :]
                return parent.parent, "/".join(parts)
    return path, ""
