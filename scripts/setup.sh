#!/bin/sh
# Create VENV (default .venv) once, with everything that the demo and the tests need.
# The only slow part is llama-cpp-python, which is compiled from source the first time on a machine
# (about five minutes on two cores). The wheel is kept in a cache and never compiled twice for the
# same version, processor and CMAKE_ARGS.
set -eu
cd "$(dirname "$0")/.."
VENV="${VENV:-.venv}"

find_python() {
    for name in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "No Python 3.11, 3.12 or 3.13 found. Install one, or name it: make test PYTHON=/path/to/python3.12" >&2
    exit 1
}

python=$(find_python)
minor=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
constraints="constraints/$minor.txt"
stamp="$VENV/.agora-$(cat pyproject.toml setup.py "$constraints" scripts/setup.sh | cksum | tr ' ' '-')"
[ -e "$stamp" ] && exit 0

for tool in c++ make; do
    command -v "$tool" >/dev/null || {
        echo "$tool is needed to compile llama.cpp. On Debian or Ubuntu: apt-get install build-essential" >&2
        exit 1
    }
done

# One whose making was interrupted has a Python and no pip.
"$VENV/bin/python" -m pip --version >/dev/null 2>&1 || {
    echo "== Creating $VENV with Python $minor"
    "$python" -m venv "$VENV"
}
pip="$VENV/bin/python -m pip --disable-pip-version-check"
$pip install -qq --upgrade pip

llama=$(sed -n 's/^llama[-_]cpp[-_]python==//p' "$constraints")
build=$(printf '%s %s %s' "$(uname -m)" "$(grep -m1 -E '^(flags|Features)' /proc/cpuinfo 2>/dev/null || true)" "${CMAKE_ARGS:-}" | cksum | cut -d' ' -f1)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/agora/wheels/$build"
wheel=$(ls "$cache"/llama_cpp_python-"$llama"-*.whl 2>/dev/null | head -n 1 || true)
if [ -z "$wheel" ]; then
    echo "== Compiling llama.cpp (llama-cpp-python $llama): once, about five minutes on two cores"
    mkdir -p "$cache"
    log="$cache/build.log"
    rm -f "$log.failed"
    { $pip wheel -v --no-deps --wheel-dir "$cache/partial" "llama-cpp-python==$llama" 2>&1 || touch "$log.failed"; } |
        tee "$log" | sed -un 's/^ *\[\([0-9]*\/[0-9]*\)\].*/\1/p' |
        while read -r done; do printf '\r   %s files compiled   ' "$done"; done
    echo
    if [ -e "$log.failed" ]; then
        tail -n 30 "$log" >&2
        echo "llama.cpp could not be compiled; the whole output is in $log" >&2
        exit 1
    fi
    mv "$cache/partial"/llama_cpp_python-*.whl "$cache/"
    wheel=$(ls "$cache"/llama_cpp_python-"$llama"-*.whl | head -n 1)
fi

echo "== Installing Agora and its dependencies"
$pip install -qq "$wheel" -c "$constraints"
$pip install -qq -e '.[llama,analysis,calibration,remote,dev]' -c "$constraints"
rm -f "$VENV"/.agora-*
touch "$stamp"
echo "== Ready: . $VENV/bin/activate && abm --help"
