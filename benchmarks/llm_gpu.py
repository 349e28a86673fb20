"""The comparison of `abm bench llm` on models of the sizes that need a GPU.

Writes Llama-architecture models with random weights (0.5 billion and 7 billion parameters, F16:
about 1 and 14 GB) and measures choices, texts and prompt speed beside the same alternatives. Random
weights cost what trained ones cost. Layers go to the GPU wherever llama-cpp-python was compiled for
one; without a GPU the same code runs on the CPU, slowly.

    python benchmarks/llm_gpu.py --folder /scratch                    # both sizes
    python benchmarks/llm_gpu.py --shape 0.5B --size 0.2 --json out.json
    python benchmarks/llm_gpu.py --shape tiny --size 0.02             # does it work at all?
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from abm.llm.bench import Setting
from abm.llm.bench.command import measure, usual_threads
from abm.llm.bench.random_model import SHAPES, write_random_model
from abm.llm.llamacpp.library import build, hardware, library

ROWS = ("tree", "choices", "prompt_speed", "texts", "strict_price")


def model_file(folder: Path, name: str) -> Path:
    """The model of a shape, written if it is not there yet."""
    path = folder / f"random-{name}.gguf"
    if not path.exists():
        part = path.with_suffix(".part")
        write_random_model(part, SHAPES[name], scale=0.7)
        part.rename(path)
    return path


def figures(name: str, path: Path, given: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """All figures of one model, printed as they come."""
    n_threads = given.threads or usual_threads(path)
    setting = Setting(name, path, False, n_threads, folder, given.size, given.repeats)
    found = []
    for row in given.row or ROWS:
        for figure in measure(setting, row):
            shown = "-" if figure.value is None else f"{figure.value:.3g} {figure.unit}"
            print(f"{name}: {figure.name}: {shown}, beside {figure.alternative}", flush=True)
            found.append(figure.as_dict())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", action="append", choices=sorted(SHAPES))
    parser.add_argument("--folder", type=Path, help="where models are written and kept")
    parser.add_argument("--threads", type=int, help="as many as the model takes by itself")
    parser.add_argument("--size", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--row", action="append", choices=ROWS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    on_gpu = bool(library().llama_supports_gpu_offload())
    print(f"{build()}; layers on the {'GPU' if on_gpu else 'CPU'}; {hardware()}")
    with TemporaryDirectory(prefix="abm-gpu-") as scratch:
        folder = given.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        found = {}
        for name in given.shape or ("0.5B", "7B"):
            found[name] = figures(name, model_file(folder, name), given, Path(scratch))
    if given.json:
        document = {"build": build(), "hardware": hardware(), "gpu": on_gpu, "figures": found}
        given.json.write_text(json.dumps(document, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
