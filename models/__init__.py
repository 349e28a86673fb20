"""Model families: one folder each, from published rules to studies."""

if __name__ != "abm.models":
    raise ImportError(
        "this folder is the package abm.models: install Agora (`pip install -e .`) and write "
        "`import abm.models` instead of `import models`"
    )
