"""Calibration: a model as a function of parameters, seed and fidelity, with a cost."""

if __name__ != "abm.calibration":
    raise ImportError(
        "this folder is the package abm.calibration: install Agora (`pip install -e .`) and write "
        "`import abm.calibration` instead of `import calibration`"
    )
