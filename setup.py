"""Maps the three root folders under the one import root `abm` and finds their subpackages."""

from setuptools import find_packages, setup

ROOTS = {"abm": "abm", "abm.models": "models", "abm.calibration": "calibration", "abm.analysis": "analysis"}


def packages() -> list[str]:
    found = []
    for name, folder in ROOTS.items():
        found.append(name)
        found += [f"{name}.{sub}" for sub in find_packages(folder)]
    return sorted(set(found))


setup(packages=packages(), package_dir=ROOTS)
