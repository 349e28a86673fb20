"""What it cost, and how to repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from abm.analysis.numbers import number_text
from abm.analysis.report import results
from abm.analysis.report.document import Block, Code, Section, TableBlock, Text
from abm.analysis.report.material import Material

__all__ = ["cost", "repeat", "versions_file"]

PACKAGE = "agora-abm"


def cost(material: Material) -> Section:
    """Tokens, hours, and what asking once saved."""
    table = results.cost(material)
    execution = material.source.manifest.get("execution", {}) if material.is_study else {}
    blocks: list[Block] = [
        TableBlock(
            table,
            "Tokens are notional: what the requests would cost if nothing were cached. Rules are "
            "code: they infer nothing.",
        )
    ]
    if execution:
        hours = execution["seconds"] / 3600
        blocks.append(
            Text(
                f"The last execution of the study took {number_text(hours, hours / 20)} hours by "
                f"{execution['workers']} worker{'s' * (execution['workers'] > 1)} for "
                f"{execution['executed']} runs."
            )
        )
    return Section("Cost", tuple(blocks))


def repeat(material: Material, versions: str = "versions.txt") -> Section:
    """What a referee can do with the folder: install, replay, run again.

    Parameters
    ----------
    versions
        Name of the file beside the report that holds `versions_file`.
    """
    blocks: list[Block] = [
        Text(_code_said(material)),
        Code(_commands(material, versions)),
        TableBlock(_made_with(material), "Made with."),
    ]
    file = material.folder / "study.toml"
    if file.exists():
        blocks.append(Code(file.read_text(encoding="utf-8")))
    return Section("How to repeat", tuple(blocks))


def versions_file(material: Material) -> str:
    """The packages that made the runs, one per line, as `pip install -c` takes them.

    Agora itself is left out: it is installed from its source.
    """
    versions: Mapping[str, str] = material.finished[0]["made_with"]["versions"]
    lines = [f"{name}=={version}" for name, version in versions.items() if name != PACKAGE]
    return "\n".join(lines) + "\n"


def _commit(material: Material) -> str:
    return (material.finished[0]["made_with"].get("git") or {}).get("package") or ""


def _code_said(material: Material) -> str:
    """Which source to install, and how to see whether it is the right one."""
    version = material.finished[0]["made_with"]["versions"].get(PACKAGE, "of unknown version")
    commit = _commit(material)
    where = (
        f"at commit {commit.removesuffix('+')}"
        if commit
        else "at that version; the commit is not known, as the runs were not made in a repository"
    )
    changed = (
        " There were changes that were not committed, so a checkout may differ from what ran."
        if commit.endswith("+")
        else ""
    )
    return (
        f"Take the source of Agora {version} {where}.{changed} `abm replay` compares the code of "
        "the model, which is hashed, and says so where it is another. It reads every answer from "
        "the run's folder: no model file, no server and no network is needed."
    )


def _commands(material: Material, versions: str) -> str:
    """Commands for a shell; places are relative to the folder that holds the study's or run's."""
    shown = Path(material.runs[0].folder)
    with suppress(ValueError):
        shown = shown.relative_to(material.folder.parent)
    commit = _commit(material).removesuffix("+")
    lines = [f"# in the source of Agora; {versions} lies beside this page"]
    lines += [f"git checkout {commit}"] * bool(commit)
    lines += [
        f"python -m pip install -c PATH/TO/{versions} .",
        "# beside the folder of the runs",
        f"abm replay {shown}    # one run, to the bit, without its model",
    ]
    if material.is_study and (material.folder / "study.toml").exists():
        study = f"abm study {material.folder.name}/study.toml --out again"
        asked = ", which asks the language models anew" if material.language_models else ""
        lines.append(f"{study}    # every run{asked}")
    return "\n".join(lines)


def _made_with(material: Material) -> pl.DataFrame:
    """Versions, seeds and fingerprints."""
    m = material.finished[0]
    made: Mapping[str, Any] = m["made_with"]
    seeds = ", ".join(f"{k} {v}" for k, v in m["definition"]["seeds"].items())
    rows = [
        *([("seed of the study", material.source.manifest["seed"])] if material.is_study else []),
        ("model", material.model_name),
        ("code of the model", m["model"]["code"]),
        ("git commit", _commit(material) or "not known"),
        ("Python", made.get("python", "")),
        *made["versions"].items(),
        ("processor", f"{made['hardware']['processor']}, {made['hardware']['cores']} cores"),
        ("seeds of replication 0", seeds),
    ]
    for name, marks in material.language_models.items():
        rows += [(f"fingerprint of {name}", mark) for mark in marks]
    texts = [(what, str(value)) for what, value in rows]
    return pl.DataFrame(texts, schema=["what", "value"], orient="row")
