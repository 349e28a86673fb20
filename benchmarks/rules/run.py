"""Rules that a user writes, beside what others need for the same work: ratios with their spread.

Every peer lives in an environment of its own, made from the package index when first needed.
Each comparison runs ours and the peer in turns, on one pinned core, on processor time; setting up
and compiling come before the clock and are reported beside it.

    python benchmarks/rules/run.py                      # everything that can be installed
    python benchmarks/rules/run.py --only T1,T11        # some targets
    python benchmarks/rules/run.py --write docs/rules_benchmarks.md
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from pages import replace_between  # noqa: E402

PEERS = {
    "mesa33": ("3.11", ["mesa==3.3.1", "networkx", "numpy", "scipy", "pandas", "tqdm"]),
    "mesa35": ("3.12", ["mesa>=3.5,<4", "networkx", "numpy", "scipy"]),
    "agentpy": ("3.11", ["agentpy"]),
    "ndlib": ("3.11", ["ndlib", "six", "scikit-learn"]),
    "eon": ("3.11", ["EoN"]),
    "frames": ("3.12", ["mesa-frames"]),
}
OWN = {"numpy", "simpy", "numba"}  # these live where Agora lives
SCRIPTS = {
    "mesa33": "mesa_objects", "mesa35": "mesa_objects", "agentpy": "agentpy_objects",
    "ndlib": "ndlib_models", "eon": "eon_sir", "frames": "mesa_frames_wealth",
    "numpy": "numpy_scipy", "simpy": "simpy_bare", "numba": "numba_kernels",
}  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Ours against a peer at one size.

    Attributes
    ----------
    target
        Number of the target; `floor` is the ratio to reach, `None` where none is set.
    work, n
        What, and with how many agents.
    peer, theirs
        Where the peer lives, and what it calls the work if not the same.
    """

    target: str
    work: str
    n: int
    peer: str
    floor: float | None = None
    theirs: str = ""
    peer_n: int = 0


TABLE = [
    Comparison("T1", "deffuant_complete", 1_000_000, "mesa33", 180),
    Comparison("T1", "deffuant_complete", 1_000_000, "mesa35"),
    Comparison("T1", "deffuant_complete", 1_000_000, "agentpy", 250),
    Comparison("T1", "deffuant_complete", 1_000_000, "numpy", 60),
    Comparison("T2", "deffuant_complete", 1_000_000, "numba", 0.25, "pair_updates"),
    Comparison("T2", "deffuant_complete", 10_000_000, "numba", 0.5, "pair_updates"),
    Comparison("T2", "deffuant_complete", 1_000_000, "numba", 0.8),
    Comparison("T3", "deffuant_ws", 100_000, "ndlib", 1000),
    Comparison("T3", "deffuant_ws", 1_000_000, "ndlib", 500),
    Comparison("T3", "deffuant_ws", 1_000_000, "mesa33", 50),
    Comparison("T3", "deffuant_ws", 100_000, "mesa33", 600, "deffuant_cells"),
    Comparison("T4", "hk", 10_000, "numpy", 1000),
    Comparison("T4", "hk", 10_000, "numba", 50),
    Comparison("T4", "hk", 1_000_000, "numpy", 3, "hk_sorted"),
    Comparison("T5", "sir_discrete", 100_000, "ndlib", 80),
    Comparison("T5", "sir_discrete", 100_000, "mesa33", 40),
    Comparison("T5", "sir_discrete", 100_000, "numpy", 2),
    Comparison("T5", "sir_discrete", 1_000_000, "numpy", 0.9),
    Comparison("T6", "sir_events", 100_000, "eon", 30, "sir_continuous"),
    Comparison("T6", "sir_events", 100_000, "simpy", 30, "sir_continuous"),
    Comparison("T6", "sir_events", 100_000, "numba", None, "sir_continuous"),
    Comparison("T6", "sir_rates", 100_000, "eon", None, "sir_continuous"),
    Comparison("T6", "sir_rates", 100_000, "simpy", None, "sir_continuous"),
    Comparison("T7", "voter", 100_000, "mesa33", 120),
    Comparison("T7", "voter", 1_000_000, "mesa33", 60),
    Comparison("T7", "voter", 100_000, "ndlib"),
    Comparison("T9", "timers", 100_000, "simpy", 70),
    Comparison("T9", "timers", 1_000_000, "simpy", 70),
    Comparison("T9", "timers_heap", 100_000, "simpy", 25, "timers"),
    Comparison("T10", "timers_python", 100_000, "mesa33", 2, "timers"),
    Comparison("T10", "timers_python", 100_000, "mesa35", 2, "timers"),
    Comparison("T11", "schelling", 100, "mesa33", 150),
    Comparison("T11", "boltzmann", 1_000_000, "mesa33", 100),
    Comparison("T11", "boltzmann", 1_000_000, "frames", 5),
    Comparison("T11", "boltzmann", 1_000_000, "numba"),
    Comparison("T12", "memory", 1_000_000, "mesa33", 25),
    Comparison("T12", "memory", 1_000_000, "mesa35", 15),
    Comparison("T14", "deffuant_complete_numpy", 100_000, "mesa33", 8, "deffuant_complete"),
    Comparison("T14", "deffuant_ws_numpy", 100_000, "mesa33", 8, "deffuant_ws"),
]


@dataclass
class Result:
    """What came of a comparison: one ratio per turn."""

    comparison: Comparison
    ratios: list[float] = field(default_factory=list)
    ours: dict[str, Any] = field(default_factory=dict)
    peer: dict[str, Any] = field(default_factory=dict)
    problem: str = ""

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)


def python_of(peer: str, folder: Path) -> Path:
    """The interpreter of a peer, installed if need be."""
    if peer in OWN:
        return Path(sys.executable)
    minor, packages = PEERS[peer]
    python = folder / peer / "bin" / "python"
    if not (folder / peer / ".ready").exists():
        print(f"installing {peer}: {' '.join(packages)}", file=sys.stderr)
        subprocess.run([interpreter(minor), "-m", "venv", str(folder / peer)], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
        (folder / peer / ".ready").touch()
    return python


def interpreter(minor: str) -> str:
    """A Python of this version: on the PATH, or managed by pyenv."""
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if own == minor:
        return sys.executable
    managed = sorted(Path.home().glob(f".pyenv/versions/{minor}.*/bin/python"))
    for name in [f"python{minor}", *map(str, managed)]:
        try:
            subprocess.run([name, "-c", ""], check=True, capture_output=True)
            return name
        except (OSError, subprocess.CalledProcessError):
            continue
    raise RuntimeError(f"no Python {minor} on this machine")


def measured(python: Path, script: Path, work: str, n: int, seconds: float) -> dict[str, Any]:
    """One line of one script."""
    command = [str(python), str(script), work, str(n), str(seconds)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=900, env=environment, check=False
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def compared(one: Comparison, folder: Path, turns: int, seconds: float) -> Result:
    """Ours and the peer, in turns."""
    result = Result(one)
    try:
        python = python_of(one.peer, folder)
        script = HERE / "peers" / f"{SCRIPTS[one.peer]}.py"
        for _ in range(turns):
            ours = measured(Path(sys.executable), HERE / "ours.py", one.work, one.n, seconds)
            peer = measured(python, script, one.theirs or one.work, one.peer_n or one.n, seconds)
            result.ratios.append(_ratio(ours, peer))
            result.ours, result.peer = ours, peer
    except (RuntimeError, subprocess.SubprocessError) as problem:
        result.problem = str(problem)[:300]
    return result


def _ratio(ours: dict[str, Any], peer: dict[str, Any]) -> float:
    """How many times faster, or for `memory` how many times smaller."""
    if "bytes_per_agent" in ours:
        return float(peer["bytes_per_agent"] / ours["bytes_per_agent"])
    return float(ours["per_cpu_second"] / peer["per_cpu_second"])


def machine() -> dict[str, Any]:
    """Facts that a reader needs to judge the figures."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        name = lines[0].split(":", 1)[1].strip() if lines else name
    return {"processor": name, "cores": os.cpu_count(), "python": platform.python_version()}


HEAD = (
    "target", "work", "agents", "peer", "ours per CPU-second", "peer per CPU-second",
    "ratio (lowest to highest)", "floor", "",
)  # fmt: skip


def lines(results: list[Result]) -> Iterator[str]:
    """The table, as Markdown."""
    yield f"| {' | '.join(HEAD)} |"
    yield "|---|---|---:|---|---:|---:|---|---:|---|"
    for result in results:
        yield f"| {' | '.join(_cells(result))} |"


def _cells(r: Result) -> tuple[str, ...]:
    c = r.comparison
    name = f"{r.peer.get('peer', c.peer)} {r.peer.get('version', '')}".strip()
    work = c.work.replace("_", " ") + (f" / {c.theirs.replace('_', ' ')}" if c.theirs else "")
    floor = "" if c.floor is None else f"{c.floor:g}"
    first = (c.target, work, f"{c.n:,}", name)
    if not r.ratios:
        return (*first, "", "", f"not measured: {r.problem}", floor, "")
    met = "" if c.floor is None else ("met" if r.ratio >= c.floor else "**missed**")
    spread = f"{r.ratio:.3g} ({min(r.ratios):.3g} to {max(r.ratios):.3g})"
    return (*first, _shown(r.ours), _shown(r.peer), spread, floor, met)


def _shown(found: dict[str, Any]) -> str:
    if "bytes_per_agent" in found:
        return f"{found['bytes_per_agent']:.0f} B per agent"
    return f"{found['per_cpu_second']:.3g} {found['unit']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="targets, such as T1,T11")
    parser.add_argument("--peers", type=Path, default=Path(".peers"), help="their environments")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="per measurement")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write", type=Path, help="page whose table is replaced")
    parser.add_argument("--install-only", action="store_true")
    given = parser.parse_args()
    wanted = set(filter(None, given.only.split(",")))
    chosen = [c for c in TABLE if not wanted or c.target in wanted]
    folder = given.peers.resolve()
    if given.install_only:
        for peer in {c.peer for c in chosen}:
            python_of(peer, folder)
        return
    results = []
    for one in chosen:
        results.append(compared(one, folder, given.turns, given.seconds))
        print(list(lines(results[-1:]))[-1], flush=True)
    if given.json:
        told = {"machine": machine(), "results": [asdict(r) for r in results]}
        given.json.write_text(json.dumps(told, indent=1))
    if given.write:
        write_page(given.write, results)


def write_page(page: Path, results: list[Result]) -> None:
    """Put the table between the marks of the page."""
    import datetime

    facts = machine()
    head = (
        f"Measured {datetime.date.today().isoformat()} on {facts['processor']}, one of "
        f"{facts['cores']} cores, Python {facts['python']}."
    )
    replace_between(page, "table", "\n".join((head, "", *lines(results))))


if __name__ == "__main__":
    main()
