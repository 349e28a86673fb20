"""Analysis of run records and surveys: tables and arrays in, estimates and figures out."""

if __name__ != "abm.analysis":
    raise ImportError(
        "this folder is the package abm.analysis: install Agora (`pip install -e .`) and write "
        "`import abm.analysis` instead of `import analysis`"
    )
