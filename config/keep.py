"""`python -m config.keep COMMAND...`: start a worker again when it dies, so that one crash does not stop the studio.

The supervisor signals the whole process group, so that the worker hears of a stop by itself. A worker that dies within
seconds of each start is given up.
"""

import ctypes
import signal
import subprocess
import sys
import time

PDEATHSIG = 1  # prctl(2)
SOON_S = 10
MAX_SOON = 5


def _die_with_me() -> None:
    """A child that nobody looks after any more ends its work and goes."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGTERM)


def main() -> int:
    stopping = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    soon = 0
    while True:
        began = time.monotonic()
        code = subprocess.Popen(sys.argv[1:], preexec_fn=_die_with_me).wait()
        if stopping or code == 0:
            return code
        soon = soon + 1 if time.monotonic() - began < SOON_S else 0
        if soon >= MAX_SOON:
            print(f"It died {soon} times at once (code {code}) and is given up. `manage.py doctor` may say why.", flush=True)
            return 1
        print(f"It died (code {code}) and is started again; its work goes back to the queue.", flush=True)
        time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
