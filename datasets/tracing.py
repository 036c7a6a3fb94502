"""The numbers of the request or the job that is being worked on, for the logs; and what must not stand there."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.http import UnreadablePostError

SECRET = re.compile(r"(/(?:join|return|audio)/)[^/\s\"'?]+")  # invites, ways back and signed audio: whoever has the link gets in

_current: ContextVar[dict[str, str]] = ContextVar("tracing", default={})  # noqa: B039  (never changed in place)


@contextmanager
def tracing(**ids: str) -> Iterator[None]:
    token = _current.set(_current.get() | ids)
    try:
        yield
    finally:
        _current.reset(token)


class Strangers(logging.Filter):
    """Leaves out what the web server says of requests that are none, with the address of who sent them, and of lines that fell silent."""

    def filter(self, record: logging.LogRecord) -> bool:
        is_silent = bool(record.exc_info and isinstance(record.exc_info[1], (BlockingIOError, UnreadablePostError)))
        return not is_silent and not record.getMessage().startswith("Invalid request from ip=")


class Trace(logging.Filter):
    """Puts them on every record: request and job, empty where there is none; hides links that let their holder in."""

    def filter(self, record: logging.LogRecord) -> bool:
        ids = _current.get()
        record.request, record.job = ids.get("request", ""), ids.get("job", "")
        if (text := record.getMessage()) != (hidden := SECRET.sub(r"\1…", text)):
            record.msg, record.args = hidden, ()
        return True
