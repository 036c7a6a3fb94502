"""The numbers of the request or the job that is being worked on, for the logs."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[dict[str, str]] = ContextVar("tracing", default={})  # noqa: B039  (never changed in place)


@contextmanager
def tracing(**ids: str) -> Iterator[None]:
    token = _current.set(_current.get() | ids)
    try:
        yield
    finally:
        _current.reset(token)


class Trace(logging.Filter):
    """Puts them on every record: request and job, empty where there is none."""

    def filter(self, record: logging.LogRecord) -> bool:
        ids = _current.get()
        record.request, record.job = ids.get("request", ""), ids.get("job", "")
        return True
