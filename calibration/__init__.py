"""Calibration: a model as a function (parameters, seed, fidelity) -> summary statistics, at a cost."""

if __name__ != "abm.calibration":
    raise ImportError(
        "this folder is the package abm.calibration: install Agora (`pip install -e .`) and write "
        "`import abm.calibration` instead of `import calibration`"
    )
