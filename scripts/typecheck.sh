#!/bin/sh
# Type-check an installed copy: mypy does not see an editable install whose folders are mapped.
set -eu
cd "$(dirname "$0")/.."
VENV="${VENV:-.venv}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$VENV/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --target "$work" .
rm -rf build
MYPYPATH="$work" "$VENV/bin/python" -m mypy --config-file pyproject.toml -p abm
