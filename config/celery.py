"""The queue: named queues (fetch, audio, train, sweep); tasks name theirs in CELERY_TASK_ROUTES."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("mer_studio")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

PATIENCE_S = 2


@signals.worker_shutting_down.connect
def tell_children(how: str, **kwargs: object) -> None:
    """Docker tells only the first process of a container to stop. Those that work are told as well, so that they give their jobs back;
    where the whole group was told, as a terminal does, none is left by then.
    """

    def tell() -> None:
        time.sleep(PATIENCE_S)
        for pid in list(_descendants(os.getpid())):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    threading.Thread(target=tell, daemon=True).start()


def _descendants(pid: int) -> Iterator[int]:
    """Where there is no /proc, none: then the worker waits for its jobs."""
    with suppress(OSError):
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            yield child
            yield from _descendants(child)
