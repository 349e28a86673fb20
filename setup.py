"""Maps the three root folders under the one import root `abm`; finds their subpackages and data."""

from setuptools import find_packages, setup

ROOTS = {
    "abm": "abm",
    "abm.models": "models",
    "abm.calibration": "calibration",
    "abm.analysis": "analysis",
}
DATA = ["toml", "md", "txt", "json", "gguf", "mplstyle", "html", "csv"]


def packages() -> list[str]:
    """Every package of the tree, under its installed name."""
    found = []
    for name, folder in ROOTS.items():
        found.append(name)
        found += [f"{name}.{sub}" for sub in find_packages(folder)]
    return sorted(set(found))


setup(
    packages=packages(),
    package_dir=ROOTS,
    package_data={"": [f"**/*.{ending}" for ending in DATA] + ["py.typed"]},
)
