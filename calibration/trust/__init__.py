"""Can a calibration be trusted: ranks, joint coverage, intervals, recovery, prediction.

Every check is a function of arrays and says in words what it found. `simulation_based_calibration`
and `tarp` test the posterior as a whole, `coverage` its intervals, `recovery` and `contraction`
what the data can teach, `posterior_predictive` whether the fitted model looks like the data, and
`summary_sensitivity` how much the answer hangs on single summaries.
"""

from abm.calibration.trust.check import (
    TrustReport,
    check_method,
    check_table,
    predictive_check,
    trust_report,
)
from abm.calibration.trust.coverage import (
    binomial_band,
    coverage,
    coverage_words,
    interval_coverage,
)
from abm.calibration.trust.draws import equal_weights, even_draws, padded
from abm.calibration.trust.predictive import PredictiveCheck, posterior_predictive
from abm.calibration.trust.ranks import (
    RankCheck,
    rank_table,
    rank_uniforms,
    ranks,
    simulation_based_calibration,
)
from abm.calibration.trust.recovery import (
    contraction,
    contraction_words,
    recovery,
    recovery_words,
)
from abm.calibration.trust.table import (
    fit_table,
    summary_sensitivity,
    through_kernel,
    with_data,
)
from abm.calibration.trust.tarp import TarpCheck, expected_coverage, tarp
from abm.calibration.weights import effective_sample_size, weighted_quantile

__all__ = [
    "PredictiveCheck",
    "RankCheck",
    "TarpCheck",
    "TrustReport",
    "binomial_band",
    "check_method",
    "check_table",
    "contraction",
    "contraction_words",
    "coverage",
    "coverage_words",
    "effective_sample_size",
    "equal_weights",
    "even_draws",
    "expected_coverage",
    "fit_table",
    "interval_coverage",
    "padded",
    "posterior_predictive",
    "predictive_check",
    "rank_table",
    "rank_uniforms",
    "ranks",
    "recovery",
    "recovery_words",
    "simulation_based_calibration",
    "summary_sensitivity",
    "tarp",
    "through_kernel",
    "trust_report",
    "weighted_quantile",
    "with_data",
]
