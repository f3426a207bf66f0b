#!/usr/bin/env bash
# Make a virtual environment that has pip, on machines without ensurepip too.
#   make_venv.sh PYTHON FOLDER LOWEST HIGHEST     e.g. make_venv.sh python3 .venv 3.10 3.13
# An environment that works and has the right version is kept.
set -euo pipefail
python=$1 folder=$2 lowest=$3 highest=$4

fail() {
    printf 'zoolib: %s\n' "$@" >&2
    exit 1
}

version() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

supported() { # LOWEST <= version of $1 <= HIGHEST
    "$1" - "$lowest" "$highest" 2>/dev/null <<'PY'
import sys
bounds = [tuple(int(part) for part in text.split(".")) for text in sys.argv[1:]]
sys.exit(0 if bounds[0] <= sys.version_info[:2] <= bounds[1] else 1)
PY
}

others() { # supported interpreters on this machine
    local minor
    for minor in $(seq "${highest#3.}" -1 "${lowest#3.}"); do
        if supported "python3.$minor"; then printf ' PYTHON=python3.%s' "$minor"; fi
    done
}

if ! supported "$python"; then
    found=$(version "$python") || found="no Python that runs"
    hints=$(others)
    fail "expected Python $lowest to $highest, but \`$python\` is $found." \
        "Name another one: make PYTHON=python3.12 …   (found here:${hints:- none})" \
        "Python 3.9 is for the Ascend stack with its own TensorFlow 2.6.5: make test-ascend-stack"
fi

if [ -x "$folder/bin/python" ] && supported "$folder/bin/python" \
    && "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi

echo "zoolib: making $folder with $("$python" --version 2>&1)"
rm -rf "$folder"
if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    "$python" -m venv "$folder"
elif "$python" -m pip --python "$python" --version >/dev/null 2>&1; then
    "$python" -m venv --without-pip "$folder" # Debian keeps ensurepip in a package of its own
    "$python" -m pip --python "$folder/bin/python" install --quiet pip
elif "$python" -m virtualenv --version >/dev/null 2>&1; then
    "$python" -m virtualenv --quiet "$folder"
else
    fail "\`$python\` can make no virtual environment with pip: ensurepip is missing." \
        "On Debian and Ubuntu: apt-get install python3-venv"
fi
