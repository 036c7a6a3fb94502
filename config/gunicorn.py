"""The web server's settings: at home on two cores.

On SQLite, where nothing stands between it and the raters' phones, more threads, because each sends one piece of audio at a time.
"""

import os
import shutil
import socket
import struct
import tempfile
from types import SimpleNamespace

import django
from django.conf import settings
from django.db import connection

wsgi_app = "config.wsgi"
bind = f"[{settings.HOST}]:{settings.PORT}" if ":" in settings.HOST else f"{settings.HOST}:{settings.PORT}"
workers = settings.WEB_CONCURRENCY
threads = 8 if connection.vendor == "sqlite" else 4
preload_app = True
timeout = 60
graceful_timeout = 3
control_socket_disable = True
accesslog = None
loglevel = "warning"
logconfig_dict = settings.LOGGING

# By each web process in a file of its own; /metrics adds them up. In a folder of this server alone: another may stand beside it.
counted = tempfile.mkdtemp(prefix="mer-metrics-")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = counted


def child_exit(server: object, worker: SimpleNamespace) -> None:
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: object) -> None:
    shutil.rmtree(counted, ignore_errors=True)


RECEIVE_S = 30


def when_ready(server: SimpleNamespace) -> None:
    """Who begins a request and falls silent is hung up on: a few phones on a bad line would hold every thread. Connections inherit it."""
    for listener in server.LISTENERS:
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", RECEIVE_S, 0))


def on_starting(server: object) -> None:
    """Refuse a public bind while the demo accounts exist, however the server was started."""
    django.setup()
    from config.demo import refuse_public_demo

    refuse_public_demo()
