"""mesa-frames: Boltzmann wealth as its documentation writes it (synchronous)."""

from __future__ import annotations

from importlib.metadata import version

import mesa_frames as mf
import numpy as np
import polars as pl
from measure import main


def gini(wealth):
    x = np.sort(wealth)
    n = len(x)
    return float(1 + 1 / n - 2 * (x * np.arange(n, 0, -1)).sum() / (n * x.sum()))


class Purses(mf.AgentSetPolars):
    def __init__(self, n, model):
        super().__init__(model)
        ids = pl.arange(n, eager=True)
        self += pl.DataFrame({"unique_id": ids, "wealth": pl.ones(n, dtype=pl.Int64, eager=True)})

    def step(self):
        self.select(self.wealth > 0)
        others = self.agents.sample(n=len(self.active_agents), with_replacement=True)
        self["active", "wealth"] -= 1
        got = others.group_by("unique_id").len()
        self[got, "wealth"] += got["len"]


class Market(mf.ModelDF):
    def __init__(self, n):
        super().__init__(seed=1)
        self.agents += Purses(n, self)

    def step(self):
        self.agents.do("step")


def boltzmann(n):
    model = Market(n)

    def step(count):
        for _ in range(max(1, count // n)):
            model.step()
        return max(1, count // n) * n

    return step, "agent-steps", {"version": version("mesa-frames")}


if __name__ == "__main__":
    main("mesa-frames", {"boltzmann": boltzmann})
