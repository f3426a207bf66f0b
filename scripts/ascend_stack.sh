#!/usr/bin/env bash
# Set up the world of the Ascend NPU: Python 3.9, TensorFlow 2.6.5, pinned packages.
#   ascend_stack.sh [FOLDER]     build it (default .venv-ascend), zoolib included
#   ascend_stack.sh --find       print a Python 3.9 that works; exit 1 where there is none
# PYTHON39 names the interpreter to use; otherwise PATH and pyenv are searched.
#
# TensorFlow 2.6.5 asks for versions no resolver can join with a present-day Jupyter, so nothing is
# resolved: constraints-ascend.txt is the complete list and is installed as it stands. On x86_64
# TensorFlow is the CPU wheel; on other machines build 2.6.5 and install it into FOLDER. The vendor's
# adapter (npu_device) is installed into FOLDER the same way.
set -euo pipefail
cd "$(dirname "$0")/.."

works() {
    "$1" -c 'import sys, venv; sys.exit(sys.version_info[:2] != (3, 9))' >/dev/null 2>&1
}

find_python() {
    # A pyenv shim may bear the name and yet refuse to run: try each, believe none.
    local candidate root
    root=$(pyenv root 2>/dev/null || echo "${PYENV_ROOT:-$HOME/.pyenv}")
    for candidate in ${PYTHON39:+"$PYTHON39"} python3.9 "$root"/versions/3.9*/bin/python python3 python; do
        if works "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

if ! python=$(find_python); then
    [ "${1:-}" = --find ] && exit 1
    echo "zoolib: expected a working Python 3.9, found none on PATH or in pyenv." >&2
    echo "Install one, or name it: make test-ascend-stack PYTHON39=…/bin/python3.9" >&2
    exit 1
fi
if [ "${1:-}" = --find ]; then
    echo "$python"
    exit
fi

folder=${1:-.venv-ascend}
scripts/make_venv.sh "$python" "$folder" 3.9 3.9
install() {
    "$folder/bin/python" -m pip install --quiet --no-deps --disable-pip-version-check "$@"
}
echo "zoolib: installing TensorFlow 2.6.5 and what goes with it into $folder (a few minutes)"
install "$(grep '^pip==' constraints-ascend.txt)"
install --only-binary :all: -r constraints-ascend.txt
install --no-build-isolation -e .
if ! "$folder/bin/python" -c 'import tensorflow' >/dev/null 2>&1; then
    echo "zoolib: TensorFlow does not import in $folder; on $(uname -m) install your build of 2.6.5 there" >&2
    exit 1
fi
