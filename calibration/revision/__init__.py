"""Opinion-revision experiments: load them, and estimate who listens how much to whom.

`load_experiment` reads a CSV, `influence` estimates DeGroot weights, their heterogeneity and the
contrast of a social with a control condition, `synthetic_experiment` makes a file with known truth.
"""

from abm.calibration.revision.data import Experiment, load_experiment, synthetic_experiment
from abm.calibration.revision.weights import Influence, WeightFit, fit_weight, influence

__all__ = [
    "Experiment",
    "Influence",
    "WeightFit",
    "fit_weight",
    "influence",
    "load_experiment",
    "synthetic_experiment",
]
