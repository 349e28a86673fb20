"""Analysis of run records and surveys: tables and arrays in, estimates and figures out.

Every measure can be taken from here, and is imported when it is first used. Four are named like
their modules and are taken from there: `abm.analysis.convergence.convergence`, and likewise
`drift`, `equivalence` and `provenance`.
"""

if __name__ != "abm.analysis":
    raise ImportError(
        "this folder is the package abm.analysis: install Agora (`pip install -e .`) and write "
        "`import abm.analysis` instead of `import analysis`"
    )

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME = {
    "ALTERNATIVES": "tail_alternatives",
    "ASI_GROUPS": "stability",
    "ASI_WEIGHTS": "stability",
    "Adaptation": "socialisation",
    "Clusters": "opinions",
    "Controversy": "controversy",
    "ConvergenceGap": "convergence",
    "CorePeriphery": "roles",
    "Cox": "hazards",
    "DefaultDrift": "convergence",
    "Dip": "modality",
    "Effect": "paired",
    "Equivalence": "equivalence",
    "Estimate": "intervals",
    "FriendshipParadox": "paradox",
    "HawkesFit": "hawkes",
    "InfluencePersistence": "socialisation",
    "Knowledge": "provenance",
    "NullComparison": "nulls",
    "Reciprocity": "directed",
    "ResidualTest": "hawkes",
    "RoleClusters": "roles",
    "SHIFTS": "opinions",
    "Snapshot": "snapshots",
    "TailFit": "tails",
    "TransferEntropy": "influence",
    "WarningTrend": "dynamics",
    "adaptation": "socialisation",
    "added_by_model": "added",
    "adjusted": "comparisons",
    "adjusted_rand": "roles",
    "adoption_curve": "exposure",
    "against_null": "nulls",
    "agreement": "scales",
    "answer_error": "sampled",
    "assortativity": "networks",
    "batch_interval": "batches",
    "bimodality_coefficient": "opinions",
    "bootstrap": "intervals",
    "bootstrap_counts": "intervals",
    "bootstrap_two": "intervals",
    "cascade_table": "cascades",
    "clusters": "opinions",
    "collective_consensus": "socialisation",
    "compare_tails": "tail_alternatives",
    "consensus_time": "dynamics",
    "convergence_gap": "convergence",
    "core_periphery": "roles",
    "counts": "scales",
    "coverage": "opinions",
    "cox_regression": "hazards",
    "cutoff_ccdf": "tail_cutoff",
    "default_drift": "convergence",
    "density": "densities",
    "density_table": "densities",
    "depths": "cascades",
    "detectable_effect": "planning",
    "detrended": "dynamics",
    "difference_in_effects": "heterogeneity",
    "dip_test": "modality",
    "directed_assortativity": "directed",
    "directed_correlation": "directed",
    "disagreement": "networks",
    "dispersion": "opinions",
    "distribution_stability": "stability",
    "dose_curvature": "doses",
    "dose_effects": "doses",
    "dose_slope": "doses",
    "draw_tail": "tails",
    "early_warning": "dynamics",
    "early_warning_trend": "dynamics",
    "effective_channels": "diversity",
    "effective_number": "scales",
    "effects_table": "comparisons",
    "ei_index": "networks",
    "entropy": "scales",
    "equivalence_power": "planning",
    "esteban_ray": "scales",
    "exponential_ccdf": "tail_alternatives",
    "exposure_spells": "exposure",
    "fit_hawkes": "hawkes",
    "fit_tail": "tails",
    "flip_rate": "dynamics",
    "flow_table": "opinions",
    "followed_mean": "directed",
    "follower_paradoxes": "directed",
    "fracture": "opinions",
    "friendship_paradox": "paradox",
    "half_life": "cascades",
    "hd_d": "text",
    "homogenisation": "diversity",
    "homogenisation_interval": "diversity",
    "homophily_slope": "networks",
    "influence_persistence": "socialisation",
    "inverse_simpson": "scales",
    "knowledge": "provenance",
    "lexical_turnover": "socialisation",
    "lognormal_ccdf": "tail_alternatives",
    "mattr": "text",
    "mean_cosine": "diversity",
    "mean_interval": "intervals",
    "means_table": "comparisons",
    "mixing_matrix": "networks",
    "modularity": "networks",
    "neighbour_correlation": "networks",
    "neighbour_mean": "networks",
    "opinion_measures": "opinion_table",
    "output_stability": "stability",
    "paired_effect": "paired",
    "power": "planning",
    "power_law_ccdf": "tail_alternatives",
    "provenance_cascades": "provenance",
    "random_walk_controversy": "controversy",
    "reciprocity": "directed",
    "replications_for_equivalence": "planning",
    "replications_for_power": "planning",
    "replications_needed": "planning",
    "rescaled_gaps": "hawkes",
    "residual_test": "hawkes",
    "rewired": "nulls",
    "role_clusters": "roles",
    "roots": "cascades",
    "semantic_stabilisation": "socialisation",
    "sequence_stability": "stability",
    "shift_shares": "opinions",
    "shifts": "opinions",
    "simulate_hawkes": "hawkes",
    "snapshot": "snapshots",
    "spread": "opinions",
    "stability_index": "stability",
    "stability_items": "stability",
    "structural_virality": "cascades",
    "subtree_sizes": "cascades",
    "survival": "dynamics",
    "symbols": "influence",
    "tail_bootstrap": "tails",
    "tail_ccdf": "tails",
    "tail_table": "tail_tables",
    "tail_test": "tails",
    "transfer_entropy": "influence",
    "turnover": "text",
    "unpaired_effect": "paired",
    "variance_components": "components",
    "variance_over_maximum": "opinions",
    "variance_shares": "heterogeneity",
    "wilson_interval": "intervals",
    "with_answer_error": "sampled",
    "with_redraws": "redraws",
    "words": "text",
    "yules_k": "text",
}

__all__ = [
    "ALTERNATIVES",
    "ASI_GROUPS",
    "ASI_WEIGHTS",
    "SHIFTS",
    "Adaptation",
    "Clusters",
    "Controversy",
    "ConvergenceGap",
    "CorePeriphery",
    "Cox",
    "DefaultDrift",
    "Dip",
    "Effect",
    "Equivalence",
    "Estimate",
    "FriendshipParadox",
    "HawkesFit",
    "InfluencePersistence",
    "Knowledge",
    "NullComparison",
    "Reciprocity",
    "ResidualTest",
    "RoleClusters",
    "Snapshot",
    "TailFit",
    "TransferEntropy",
    "WarningTrend",
    "adaptation",
    "added_by_model",
    "adjusted",
    "adjusted_rand",
    "adoption_curve",
    "against_null",
    "agreement",
    "answer_error",
    "assortativity",
    "batch_interval",
    "bimodality_coefficient",
    "bootstrap",
    "bootstrap_counts",
    "bootstrap_two",
    "cascade_table",
    "clusters",
    "collective_consensus",
    "compare_tails",
    "consensus_time",
    "convergence_gap",
    "core_periphery",
    "counts",
    "coverage",
    "cox_regression",
    "cutoff_ccdf",
    "default_drift",
    "density",
    "density_table",
    "depths",
    "detectable_effect",
    "detrended",
    "difference_in_effects",
    "dip_test",
    "directed_assortativity",
    "directed_correlation",
    "disagreement",
    "dispersion",
    "distribution_stability",
    "dose_curvature",
    "dose_effects",
    "dose_slope",
    "draw_tail",
    "early_warning",
    "early_warning_trend",
    "effective_channels",
    "effective_number",
    "effects_table",
    "ei_index",
    "entropy",
    "equivalence_power",
    "esteban_ray",
    "exponential_ccdf",
    "exposure_spells",
    "fit_hawkes",
    "fit_tail",
    "flip_rate",
    "flow_table",
    "followed_mean",
    "follower_paradoxes",
    "fracture",
    "friendship_paradox",
    "half_life",
    "hd_d",
    "homogenisation",
    "homogenisation_interval",
    "homophily_slope",
    "influence_persistence",
    "inverse_simpson",
    "knowledge",
    "lexical_turnover",
    "lognormal_ccdf",
    "mattr",
    "mean_cosine",
    "mean_interval",
    "means_table",
    "mixing_matrix",
    "modularity",
    "neighbour_correlation",
    "neighbour_mean",
    "opinion_measures",
    "output_stability",
    "paired_effect",
    "power",
    "power_law_ccdf",
    "provenance_cascades",
    "random_walk_controversy",
    "reciprocity",
    "replications_for_equivalence",
    "replications_for_power",
    "replications_needed",
    "rescaled_gaps",
    "residual_test",
    "rewired",
    "role_clusters",
    "roots",
    "semantic_stabilisation",
    "sequence_stability",
    "shift_shares",
    "shifts",
    "simulate_hawkes",
    "snapshot",
    "spread",
    "stability_index",
    "stability_items",
    "structural_virality",
    "subtree_sizes",
    "survival",
    "symbols",
    "tail_bootstrap",
    "tail_ccdf",
    "tail_table",
    "tail_test",
    "transfer_entropy",
    "turnover",
    "unpaired_effect",
    "variance_components",
    "variance_over_maximum",
    "variance_shares",
    "wilson_interval",
    "with_answer_error",
    "with_redraws",
    "words",
    "yules_k",
]

if TYPE_CHECKING:
    from abm.analysis.added import (
        added_by_model,
    )
    from abm.analysis.batches import (
        batch_interval,
    )
    from abm.analysis.cascades import (
        cascade_table,
        depths,
        half_life,
        roots,
        structural_virality,
        subtree_sizes,
    )
    from abm.analysis.comparisons import (
        adjusted,
        effects_table,
        means_table,
    )
    from abm.analysis.components import (
        variance_components,
    )
    from abm.analysis.controversy import (
        Controversy,
        random_walk_controversy,
    )
    from abm.analysis.convergence import (
        ConvergenceGap,
        DefaultDrift,
        convergence_gap,
        default_drift,
    )
    from abm.analysis.densities import (
        density,
        density_table,
    )
    from abm.analysis.directed import (
        Reciprocity,
        directed_assortativity,
        directed_correlation,
        followed_mean,
        follower_paradoxes,
        reciprocity,
    )
    from abm.analysis.diversity import (
        effective_channels,
        homogenisation,
        homogenisation_interval,
        mean_cosine,
    )
    from abm.analysis.doses import (
        dose_curvature,
        dose_effects,
        dose_slope,
    )
    from abm.analysis.dynamics import (
        WarningTrend,
        consensus_time,
        detrended,
        early_warning,
        early_warning_trend,
        flip_rate,
        survival,
    )
    from abm.analysis.equivalence import (
        Equivalence,
    )
    from abm.analysis.exposure import (
        adoption_curve,
        exposure_spells,
    )
    from abm.analysis.hawkes import (
        HawkesFit,
        ResidualTest,
        fit_hawkes,
        rescaled_gaps,
        residual_test,
        simulate_hawkes,
    )
    from abm.analysis.hazards import (
        Cox,
        cox_regression,
    )
    from abm.analysis.heterogeneity import (
        difference_in_effects,
        variance_shares,
    )
    from abm.analysis.influence import (
        TransferEntropy,
        symbols,
        transfer_entropy,
    )
    from abm.analysis.intervals import (
        Estimate,
        bootstrap,
        bootstrap_counts,
        bootstrap_two,
        mean_interval,
        wilson_interval,
    )
    from abm.analysis.modality import (
        Dip,
        dip_test,
    )
    from abm.analysis.networks import (
        assortativity,
        disagreement,
        ei_index,
        homophily_slope,
        mixing_matrix,
        modularity,
        neighbour_correlation,
        neighbour_mean,
    )
    from abm.analysis.nulls import (
        NullComparison,
        against_null,
        rewired,
    )
    from abm.analysis.opinion_table import (
        opinion_measures,
    )
    from abm.analysis.opinions import (
        SHIFTS,
        Clusters,
        bimodality_coefficient,
        clusters,
        coverage,
        dispersion,
        flow_table,
        fracture,
        shift_shares,
        shifts,
        spread,
        variance_over_maximum,
    )
    from abm.analysis.paired import (
        Effect,
        paired_effect,
        unpaired_effect,
    )
    from abm.analysis.paradox import (
        FriendshipParadox,
        friendship_paradox,
    )
    from abm.analysis.planning import (
        detectable_effect,
        equivalence_power,
        power,
        replications_for_equivalence,
        replications_for_power,
        replications_needed,
    )
    from abm.analysis.provenance import (
        Knowledge,
        knowledge,
        provenance_cascades,
    )
    from abm.analysis.redraws import (
        with_redraws,
    )
    from abm.analysis.roles import (
        CorePeriphery,
        RoleClusters,
        adjusted_rand,
        core_periphery,
        role_clusters,
    )
    from abm.analysis.sampled import (
        answer_error,
        with_answer_error,
    )
    from abm.analysis.scales import (
        agreement,
        counts,
        effective_number,
        entropy,
        esteban_ray,
        inverse_simpson,
    )
    from abm.analysis.snapshots import (
        Snapshot,
        snapshot,
    )
    from abm.analysis.socialisation import (
        Adaptation,
        InfluencePersistence,
        adaptation,
        collective_consensus,
        influence_persistence,
        lexical_turnover,
        semantic_stabilisation,
    )
    from abm.analysis.stability import (
        ASI_GROUPS,
        ASI_WEIGHTS,
        distribution_stability,
        output_stability,
        sequence_stability,
        stability_index,
        stability_items,
    )
    from abm.analysis.tail_alternatives import (
        ALTERNATIVES,
        compare_tails,
        exponential_ccdf,
        lognormal_ccdf,
        power_law_ccdf,
    )
    from abm.analysis.tail_cutoff import (
        cutoff_ccdf,
    )
    from abm.analysis.tail_tables import (
        tail_table,
    )
    from abm.analysis.tails import (
        TailFit,
        draw_tail,
        fit_tail,
        tail_bootstrap,
        tail_ccdf,
        tail_test,
    )
    from abm.analysis.text import (
        hd_d,
        mattr,
        turnover,
        words,
        yules_k,
    )


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"abm.analysis.{_HOME[name]}"), name)
    raise AttributeError(f"module 'abm.analysis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
