#!/bin/sh
# Makes .venv in the current folder, if it is not there, and installs: `web` what the web process needs, `worker` everything, `gpu` that with
# TensorFlow for NVIDIA cards. Used by the images and, on a bare machine, by `make run` and `make test`.
set -eu
[ -x .venv/bin/python ] || "${PYTHON:-python3}" -m venv .venv
pip() { .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"; }
case "${1:?web, worker or gpu}" in
web) pip -r requirements-web.txt ;;
worker | gpu)
    if [ "$1" = gpu ]; then pip -r requirements-gpu.txt; else pip -r requirements.txt; fi
    pip --no-deps -r requirements-weights.txt
    ;;
*)
    echo "install.sh: “$1” is none of web, worker and gpu" >&2
    exit 2
    ;;
esac
