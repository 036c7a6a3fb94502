import io
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.db import connection

django_application = get_wsgi_application()
TURN = threading.Lock()
PATIENCE_S = 0.25
SMALL = 64 * 1024  # bytes of a request's body; a rating has 200


def one_after_the_other(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """On SQLite the requests of a process run in turn: threads that alternate at every statement only hold the one write lock for
    longer, and get through a third fewer ratings a second.

    Receiving a request and sending its answer are not part of the turn, so that a slow line holds one thread and no more; uploads go
    without one. Nobody waits for a slow page for longer than a quarter of a second.
    """
    length = environ.get("CONTENT_LENGTH") or "0"
    if environ.get("HTTP_TRANSFER_ENCODING") or not length.isdecimal() or int(length) > SMALL:
        return django_application(environ, start_response)
    environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(int(length)))
    mine = TURN.acquire(timeout=PATIENCE_S)
    try:
        return django_application(environ, start_response)
    finally:
        if mine:
            TURN.release()


application = one_after_the_other if connection.vendor == "sqlite" else django_application
