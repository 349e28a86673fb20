"""Textbook processes to calibrate: an epidemic and a self-exciting stream, with known truth.

They are simulators, not societies: plain functions of parameters and a seed. Their calibrations are
studies of this folder, `abm calibrate textbook/sir_planted` for one.
"""
