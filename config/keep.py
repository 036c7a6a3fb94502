"""`python -m config.keep COMMAND...`: start a worker again when it dies, so that one crash does not stop the studio.

The supervisor signals the whole process group, so that the worker hears of a stop by itself. When the supervisor is gone (a terminal
that was closed, `kill -9`), what it started ends too. A worker that dies within seconds of each start is given up.
"""

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

PDEATHSIG = 1  # prctl(2)
SOON_S = 10
MAX_SOON = 5


def _die_with_me() -> None:
    """A child that nobody looks after any more ends its work and goes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGTERM)


def _hold_alive() -> None:
    """A shared lock, for as long as this process lives: the next studio on the data folder waits until all of the last one are gone."""
    if alive := os.environ.get("STUDIO_ALIVE"):
        fcntl.flock(os.open(Path(alive), os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_SH)


def main() -> int:
    stopping: list[bool] = []  # no Event: a signal may come while its lock is held
    worker: subprocess.Popen[bytes] | None = None

    def stop(number: int, frame: object) -> None:
        stopping.append(True)

    def end_with(supervisor: int) -> None:
        with suppress(ProcessLookupError):
            while True:
                os.kill(supervisor, 0)
                time.sleep(1)
        stopping.append(True)
        if worker is not None:
            worker.terminate()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    _hold_alive()
    if supervisor := os.environ.get("STUDIO_PID"):
        threading.Thread(target=end_with, args=(int(supervisor),), daemon=True).start()
    soon = 0
    while True:
        began = time.monotonic()
        worker = subprocess.Popen(sys.argv[1:], preexec_fn=_die_with_me)
        code = worker.wait()
        if stopping or code == 0:
            return code
        soon = soon + 1 if time.monotonic() - began < SOON_S else 0
        if soon >= MAX_SOON:
            print(f"It died {soon} times at once (code {code}) and is given up. `manage.py doctor` may say why.", flush=True)
            return 1
        print(f"It died (code {code}) and is started again; its work goes back to the queue.", flush=True)
        time.sleep(1)
        if stopping:  # told meanwhile, when there was nobody to hear it
            return code


if __name__ == "__main__":
    sys.exit(main())
