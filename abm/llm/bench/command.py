"""`abm bench llm`: measure the rows and show them as a table or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from abm.errors import ScenarioError, require
from abm.llm.bench import Figure, Setting, rows

__all__ = ["bench_llm", "measure", "settings", "usual_threads"]

_LARGE = 0.3  # share of the prompts that the larger model is measured with: it is ten times slower


def bench_llm(
    model: Path | None,
    threads: int | None,
    size: float,
    repeats: int,
    only: Sequence[str],
    as_json: bool,
    remeasure: bool = False,
) -> None:
    """Measure with each model and print; what is asked for is described at `abm bench llm -h`."""
    known = rows()
    for name in only:
        require(
            name in known,
            ScenarioError,
            f"--only {name!r}, expected some of {list(known)}",
            argument="only",
            value=name,
        )
    if remeasure:
        from abm.llm.llamacpp.layout import forget_layouts

        print(f"layouts of {forget_layouts()} models forgotten", file=sys.stderr, flush=True)
    found: list[Figure] = []
    with settings(model, threads, size, repeats) as chosen:
        for setting in chosen:
            for name in only or known:
                print(f"{setting.model}: {name} ...", file=sys.stderr, flush=True)
                found += measure(setting, name)
    taken = {setting.model: setting.n_threads for setting in chosen}
    print(json.dumps(_document(found, taken, size), indent=2)) if as_json else _table(found, taken)


def measure(setting: Setting, name: str) -> list[Figure]:
    """The figures of one row; what cannot be taken becomes a figure that says why."""
    from abm.errors import AbmError

    try:
        return [replace(figure, model=setting.model) for figure in rows()[name](setting)]
    except AbmError as error:
        return [Figure(name, None, "", None, "", f"not taken: {error}", model=setting.model)]


@contextmanager
def settings(
    model: Path | None, threads: int | None, size: float, repeats: int
) -> Iterator[list[Setting]]:
    """The models to measure with: a file, `embedded`, or that and a random one of 45 million."""
    from abm.llm.bench.random_model import SHAPES, write_random_model
    from abm.llm.embedded import model_path

    with TemporaryDirectory(prefix="abm-bench-") as name:
        folder = Path(name)
        common: dict[str, Any] = {"folder": folder, "size": size, "repeats": repeats}

        def made(name: str, path: Path, own: bool = False, **changes: Any) -> Setting:
            n_threads = threads or usual_threads(path)
            return Setting(name, path, own, n_threads=n_threads, **{**common, **changes})

        if model is not None and str(model) != "embedded":
            yield [made(model.stem, model)]
            return
        embedded = made("embedded", Path(model_path()), own=True)
        if model is not None:
            yield [embedded]
            return
        random = write_random_model(folder / "random-45M.gguf", SHAPES["45M"], scale=0.7)
        yield [embedded, made("random 45M F16", random, size=size * _LARGE, first=False)]


def usual_threads(path: Path) -> int:
    """Threads that `LlamaCpp` takes for a model by itself."""
    from abm.llm.llamacpp import LlamaCpp

    with LlamaCpp(path) as model:
        return model.n_threads


def _document(found: Sequence[Figure], threads: dict[str, int], size: float) -> dict[str, Any]:
    from abm.llm.llamacpp.library import build, hardware

    return {
        "threads": threads,
        "size": size,
        "build": build(),
        "hardware": hardware(),
        "figures": [figure.as_dict() for figure in found],
    }


def _table(found: Sequence[Figure], threads: dict[str, int]) -> None:
    from abm.cli import show

    lines = [
        (
            figure.model,
            figure.name,
            "-" if figure.value is None else f"{figure.value:.3g} {figure.unit}",
            "" if figure.spread is None else "{:.3g} to {:.3g}".format(*figure.spread),
            _bound(figure),
            {True: "yes", False: "NO", None: ""}[figure.reached],
        )
        for figure in found
    ]
    show.table("", ("model", "figure", "value", "turns", "floor", "reached"), lines)
    show.console.print()
    said = ", ".join(f"{model}: {n}" for model, n in threads.items())
    show.console.print(f"threads, on both sides: {said}", markup=False)
    for line in _layouts(found):
        show.console.print(line, markup=False)
    for name, how in {f.name: f"{f.how}; beside {f.alternative}" for f in found}.items():
        show.console.print(f"{name}: {how}", markup=False)


def _layouts(found: Sequence[Figure]) -> Iterator[str]:
    """How the layouts of `fast` were found, and how far its answers are from those of `strict`."""
    from abm.llm.llamacpp.layout import Layout

    layouts = {f.model: f.detail["layout"] for f in found if "layout" in f.detail}
    for model, layout in layouts.items():
        measured = Layout(**layout)
        remedy = "; --remeasure measures it anew" if measured.busy else ""
        yield f"layout of fast, {model}: {measured.said}{remedy}"
    variations = {f.model: f.detail["variation"] for f in found if "variation" in f.detail}
    for model, seen in variations.items():
        yield (
            f"total variation of fast to strict, {model}: mean {seen['mean']:.1e}, highest "
            f"{seen['highest']:.1e} over {seen['n_prompts']} prompts of random tokens"
        )


def _bound(figure: Figure) -> str:
    if figure.floor is None:
        return ""
    return f"{'at most' if figure.at_most else 'at least'} {figure.floor:g}"
