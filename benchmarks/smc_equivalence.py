"""Is ABC-SMC here equivalent to pyABC's? Three problems, repeats, margins fixed beforehand.

    python benchmarks/smc_equivalence.py --peer PEER_PYTHON [--repeats 10] [--particles 300]

pyABC is a development oracle in an environment of its own (see calibration_overhead.py). Both sides
run the same problems to the same tolerances with kernels of twice the weighted covariance (pyABC
multiplies the covariance by `scaling` and by the squared bandwidth factor, which is set to 1; its
covariance is the unbiased one, ours is not: the kernel does not change what the weights aim at).
Over the repeats, the 90 % interval (Welch) of the difference of posterior means, in posterior
standard deviations, must lie within +-0.2, and that of log standard deviations within +-0.2.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

import numpy as np
from scipy import stats

MARGIN = 0.2

COMMON = """
import numpy as np
def location(p, rng):
    return [p["a"] + rng.normal()]
def plane(p, rng):
    return [p["a"] + p["b"] + rng.normal(), p["a"] - p["b"] + rng.normal()]
def curve(p, rng):
    return [p["a"] + 0.3 * rng.normal(), p["b"] + p["a"] ** 2 + 0.3 * rng.normal()]
# name -> function, bounds, data, tolerances
PROBLEMS = {
    "location": (location, {"a": (-10, 10)}, [0.0], [4.0, 2.0, 1.0]),
    "plane": (plane, {"a": (-5, 5), "b": (-5, 5)}, [0.5, 1.0], [4.0, 2.0, 1.0]),
    "curve": (curve, {"a": (-2, 2), "b": (-2, 2)}, [0.5, 0.5], [2.0, 1.0, 0.5]),
}
"""

OURS = """
import numpy as np
from abm.calibration import Independent, Problem, ScaledEuclidean, Simulations, Targets
from abm.calibration import scalar, uniform
from abm.calibration.smc import smc
def fit(name, seed, n):
    function, bounds, data, tolerances = PROBLEMS[name]
    def simulate(parameters, seed, fidelity):
        found = function(parameters, np.random.default_rng(seed))
        return {f"s{k}": float(v) for k, v in enumerate(found)}
    targets = Targets([scalar(f"s{k}", v) for k, v in enumerate(data)])
    prior = Independent({k: uniform(*b) for k, b in bounds.items()})
    problem = Problem(simulate, prior, targets, ScaledEuclidean("none"), seed=seed)
    post = smc(Simulations(problem), n_particles=n, tolerances=tolerances)
    return post.draws, post.weights
"""

THEIRS = """
import logging, tempfile
import pyabc
logging.disable(logging.CRITICAL)
def fit(name, seed, n):
    function, bounds, data, tolerances = PROBLEMS[name]
    rng = np.random.default_rng(seed)
    np.random.seed(seed)
    def simulate(parameters):
        return {f"s{k}": float(v) for k, v in enumerate(function(parameters, rng))}
    prior = pyabc.Distribution(**{k: pyabc.RV("uniform", a, b - a) for k, (a, b) in bounds.items()})
    abc = pyabc.ABCSMC(simulate, prior, pyabc.PNormDistance(p=2), population_size=n,
                       eps=pyabc.ListEpsilon(tolerances), sampler=pyabc.sampler.SingleCoreSampler(),
                       transitions=pyabc.MultivariateNormalTransition(scaling=2.0,
                                                                      bandwidth_selector=one))
    with tempfile.TemporaryDirectory() as folder:
        abc.new("sqlite:///" + folder + "/h.db", {f"s{k}": v for k, v in enumerate(data)})
        history = abc.run(max_nr_populations=len(tolerances))
        frame, weights = history.get_distribution()
    return frame[list(bounds)].to_numpy(), np.asarray(weights)
def one(n, d):
    return 1.0
"""

RUN = """
import json, sys
repeats, n = int(sys.argv[1]), int(sys.argv[2])
found = {}
for name in PROBLEMS:
    rows = []
    for seed in range(repeats):
        draws, w = fit(name, seed + 1, n)
        w = w / w.sum()
        mean = w @ draws
        rows.append([mean.tolist(), np.sqrt(w @ (draws - mean) ** 2).tolist()])
    found[name] = rows
print(json.dumps(found))
"""


def side(python: str, code: str, repeats: int, particles: int) -> dict[str, np.ndarray]:
    """Posterior means and standard deviations of one side, shape (repeats, 2, d) per problem."""
    done = subprocess.run(
        [python, "-c", COMMON + code + RUN, str(repeats), str(particles)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{python} failed:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return {name: np.array(rows) for name, rows in found.items()}


def interval(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Welch 90 % interval of mean(a) - mean(b)."""
    found = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.9)
    return float(found.low), float(found.high)


def main() -> None:
    parser = argparse.ArgumentParser(description="ABC-SMC against pyABC")
    parser.add_argument("--peer", required=True, help="python of an environment with pyABC")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--particles", type=int, default=300)
    given = parser.parse_args()
    ours = side(sys.executable, OURS, given.repeats, given.particles)
    theirs = side(given.peer, THEIRS, given.repeats, given.particles)
    equivalent = True
    for name in ours:
        a, b = ours[name], theirs[name]
        for k in range(a.shape[2]):
            sd = float(np.sqrt(np.mean(np.concatenate([a[:, 1, k], b[:, 1, k]]) ** 2)))
            mean = interval(a[:, 0, k] / sd, b[:, 0, k] / sd)
            log = interval(np.log(a[:, 1, k]), np.log(b[:, 1, k]))
            good = all(-MARGIN < v < MARGIN for v in (*mean, *log))
            equivalent &= good
            print(
                f"{name}, parameter {k}: mean [{mean[0]:+.3f}, {mean[1]:+.3f}] sd, log sd "
                f"[{log[0]:+.3f}, {log[1]:+.3f}]: {'equivalent' if good else 'NOT shown'}"
            )
    print(f"{given.repeats} repeats, {given.particles} particles, margin {MARGIN}: ", end="")
    print("equivalent" if equivalent else "NOT shown equivalent")


if __name__ == "__main__":
    main()
