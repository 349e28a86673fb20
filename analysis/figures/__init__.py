"""Figures: functions from tidy tables to Matplotlib figures in one style.

No simulation, no file reading, no seeds inside. `save` writes the figure as PDF and PNG beside the
table it draws and a JSON with its caption facts and provenance.
"""

from abm.analysis.figures.cascades import cascade_ccdf
from abm.analysis.figures.distributions import before_after, ridgelines
from abm.analysis.figures.doses import dose_response
from abm.analysis.figures.effects import effect_forest
from abm.analysis.figures.fidelity import cost_against_fidelity
from abm.analysis.figures.flows import opinion_flows
from abm.analysis.figures.inspect import crowded_text
from abm.analysis.figures.maps import echo_chambers, space_time
from abm.analysis.figures.network import network_snapshot
from abm.analysis.figures.phases import bifurcation_diagram, phase_diagram
from abm.analysis.figures.posterior import posterior_densities
from abm.analysis.figures.predictive import predictive_intervals
from abm.analysis.figures.save import Saved, save
from abm.analysis.figures.shares import stacked_shares
from abm.analysis.figures.style import COLOURS, INSTRUMENT_CHECK, WIDTHS, figure_style
from abm.analysis.figures.trajectories import trajectories

__all__ = [
    "COLOURS",
    "INSTRUMENT_CHECK",
    "WIDTHS",
    "Saved",
    "before_after",
    "bifurcation_diagram",
    "cascade_ccdf",
    "cost_against_fidelity",
    "crowded_text",
    "dose_response",
    "echo_chambers",
    "effect_forest",
    "figure_style",
    "network_snapshot",
    "opinion_flows",
    "phase_diagram",
    "posterior_densities",
    "predictive_intervals",
    "ridgelines",
    "save",
    "space_time",
    "stacked_shares",
    "trajectories",
]
