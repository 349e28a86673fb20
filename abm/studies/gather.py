"""All runs of a study in one place: concatenated tables and the manifest of the study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from abm.kernels.notes import summed
from abm.studies.folder import MANIFEST, read_manifest, read_table, write_frame, write_text
from abm.studies.manifest import FORMAT, to_json
from abm.studies.registry import code_digest, reference
from abm.studies.run import Run

if TYPE_CHECKING:
    from abm.studies.study import Study

__all__ = ["concatenated", "gather", "keyed"]


def gather(
    study: Study, folder: Path, runs: Sequence[Run], execution: dict[str, Any]
) -> dict[str, Any]:
    """Write series.parquet, outcomes.parquet and manifest.json of a study; returns the manifest."""
    there = {r.label: folder / r.path for r in runs if (folder / r.path / MANIFEST).exists()}
    manifests = {label: read_manifest(path) for label, path in there.items()}
    good = [path for label, path in there.items() if manifests[label]["status"] == "finished"]
    for name, frame in (
        ("series", concatenated(good, "series")),
        ("outcomes", outcomes_table(list(manifests.values()))),
    ):
        if frame.width:
            write_frame(folder / f"{name}.parquet", frame)
    manifest = _manifest(study, runs, manifests, execution)
    write_text(folder / MANIFEST, to_json(manifest))
    return manifest


def concatenated(folders: Sequence[Path], table: str) -> pl.DataFrame:
    """One table of several runs, with arm, answerer and replication in front."""
    frames = []
    for folder in folders:
        path = folder / f"{table}.parquet"
        if path.exists():
            frames.append(keyed(read_manifest(folder), read_table(path)))
    return pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()


def outcomes_table(manifests: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """One row per finished run: arm, answerer, replication and its outcomes."""
    rows = [
        keyed(m, pl.DataFrame({name: [float(v)] for name, v in m["outcomes"].items()}, height=1))
        for m in manifests
        if m["status"] == "finished"
    ]
    return pl.concat(rows, how="diagonal_relaxed") if rows else pl.DataFrame()


def keyed(manifest: dict[str, Any], frame: pl.DataFrame) -> pl.DataFrame:
    """A run's table with the three columns that say which run it is."""
    return frame.select(
        pl.lit(manifest["arm"]).alias("arm"),
        pl.lit(manifest["answerer"]).alias("answerer"),
        pl.lit(manifest["replication"], dtype=pl.Int64).alias("replication"),
        pl.all().exclude("arm", "answerer", "replication"),
    )


def _manifest(
    study: Study,
    runs: Sequence[Run],
    manifests: dict[str, dict[str, Any]],
    execution: dict[str, Any],
) -> dict[str, Any]:
    status = Counter(m["status"] for m in manifests.values())
    return {
        **_head(study, complete=status["finished"] == len(runs)),
        "labels": sorted({label for m in manifests.values() for label in m["labels"]}),
        "runs": {
            "planned": len(runs),
            "finished": status["finished"],
            "failed": status["failed"],
            "missing": len(runs) - len(manifests),
        },
        "flags": study_flags(study, manifests),
        "failed": {
            label: f"{m['error']['type']}: {m['error']['message']}"
            for label, m in manifests.items()
            if m["status"] == "failed"
        },
        "answers": answer_totals(manifests),
        "rules": summed(m.get("rules", []) for m in manifests.values()),
        "execution": execution,
    }


def _head(study: Study, *, complete: bool) -> dict[str, Any]:
    model = study.model_class
    return {
        "format": FORMAT,
        "kind": "study",
        "status": "finished" if complete else "incomplete",
        "study": study.name,
        "model": {"reference": reference(model), "code": code_digest(model)},
        "seed": study.seed,
        "replications": study.replications,
        "varies": list(study.varies),
        "arms": list(study.arms),
        "answerers": {
            name: {role: spec.described() for role, spec in roles.items()}
            for name, roles in study.specs.items()
        },
    }


def study_flags(study: Study, manifests: dict[str, dict[str, Any]]) -> list[str]:
    """What is suspicious, each once, with the runs that say so."""
    said: dict[str, list[str]] = {}
    for label, manifest in manifests.items():
        for flag in manifest["flags"]:
            said.setdefault(flag, []).append(label)
    flags = [f"{flag} ({_where(labels, len(manifests))})" for flag, labels in said.items()]
    codes = {m["model"]["code"] for m in manifests.values() if m["status"] == "finished"}
    now = code_digest(study.model_class)
    if codes - {now}:
        flags.append(
            "finished runs were made with other code of the model than is there now; "
            "--fresh executes them again"
        )
    return [*flags, *_mixed_models(manifests)]


def _mixed_models(manifests: dict[str, dict[str, Any]]) -> list[str]:
    """Answerers whose runs were not all answered by one model: a file was replaced in between."""
    seen: dict[tuple[str, str], set[str]] = {}
    for manifest in manifests.values():
        for role, used in manifest["answers"].items():
            seen.setdefault((manifest["answerer"], role), set()).add(used["fingerprint"])
    return [
        f"runs of answerer {answerer!r} were answered by {len(models)} different models in role "
        f"{role!r}: a model file or rule changed between them; --fresh executes them again"
        for (answerer, role), models in seen.items()
        if len(models) > 1
    ]


def _where(labels: list[str], n: int) -> str:
    if len(labels) == n:
        return "all runs"
    return ", ".join(labels[:3]) + (f" and {len(labels) - 3} more runs" if len(labels) > 3 else "")


def answer_totals(manifests: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Answerer -> fingerprints, requests asked, tokens and failures, summed over its runs.

    `inferred` counts requests that a run was the first to ask, in whatever execution it was made;
    what one execution inferred is in the manifest's `execution`.
    """
    found: dict[str, Any] = {}
    for manifest in manifests.values():
        total = found.setdefault(
            manifest["answerer"],
            {
                "fingerprints": [],
                "asked": 0,
                "inferred": 0,
                "from_ledger": 0,
                "tokens_in": 0,
                "tokens_out": 0,
                "failures": {},
            },
        )
        once = counted_once(manifest["answers"].values())
        for used in once:
            for name in ("asked", "inferred", "from_ledger", "tokens_in", "tokens_out"):
                total[name] += used.get(name, 0)
            for status, count in used["failures"].items():
                total["failures"][status] = total["failures"].get(status, 0) + count
        marks = {used["fingerprint"] for used in once}
        total["fingerprints"] = sorted({*total["fingerprints"], *marks})
    return found


def counted_once(answers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the roles of a run that share a recorded policy, hence its counts, the first.

    Examples
    --------
    >>> shared = {"recorded": True, "fingerprint": "m", "policy": "policy 0", "asked": 3}
    >>> len(counted_once([shared, shared, {**shared, "policy": "policy 1"}]))
    2
    """
    found: dict[Any, dict[str, Any]] = {}
    for used in answers:
        if used.get("recorded"):
            found.setdefault((used["fingerprint"], used.get("policy")), used)
    return list(found.values())
