#!/bin/sh
# One process of the studio: web, worker QUEUES, beat, or any command of manage.py.
set -eu
what="${1:-web}"
[ "$#" -gt 0 ] && shift
DATA_DIR="${DATA_DIR:-$PWD/data}"
PATH="$PWD/.venv/bin:$PATH" # where it was installed without an image
export DATA_DIR PATH
mkdir -p "$DATA_DIR/tmp"
celery="python -W ignore::RuntimeWarning:celery.platforms -m celery --quiet --app config"
case "$what" in
web)
    python manage.py migrate --noinput --verbosity 0 # a second web waits for it
    python manage.py collectstatic --noinput --verbosity 0
    exec python -m gunicorn --config python:config.gunicorn config.wsgi
    ;;
worker)
    queues="${1:-fetch,audio,train,sweep}"
    exec $celery worker --queues "$queues" --concurrency "${CONCURRENCY:-1}" --hostname "$(echo "$queues" | tr , -)@%h" --loglevel "${LOG_LEVEL:-WARNING}" --without-gossip --without-mingle
    ;;
beat)
    exec $celery beat --schedule "$DATA_DIR/celerybeat" --pidfile= --loglevel "${LOG_LEVEL:-WARNING}"
    ;;
*) exec python manage.py "$what" "$@" ;;
esac
