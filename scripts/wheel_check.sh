#!/bin/sh
# Build the wheel, install it into an empty environment without the extra `llama`, and use it from another folder.
set -eu
cd "$(dirname "$0")/.."
VENV="${VENV:-.venv}"
minor=$("$VENV/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
constraints="$PWD/constraints/$minor.txt"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$VENV/bin/python" -m pip wheel -qq --no-deps --wheel-dir "$work/dist" .
rm -rf build
"$VENV/bin/python" -m venv "$work/empty"
"$work/empty/bin/python" -m pip install -qq --disable-pip-version-check -c "$constraints" "$work"/dist/agora_abm-*.whl
cp models/opinion_network/studies/preset_small.toml "$work/"
cd "$work"
empty/bin/abm models
empty/bin/abm study preset_small.toml --out runs --replications 1
run=$(find runs -path '*/r000/manifest.json' | head -n 1)
empty/bin/abm replay "$(dirname "$run")"
echo "The wheel works from an empty environment."
