"""Is this container well? web: /readyz answers. worker: its own Celery worker answers a ping. beat: it wrote its schedule a while ago."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


def _queues() -> str:
    """By which queues entrypoint.sh called the worker of this container, its first process."""
    line = Path(os.environ.get("FIRST_PROCESS", "/proc/1/cmdline")).read_text().rstrip("\0").split("\0")
    if "--hostname" in line:  # Celery itself
        return line[line.index("--hostname") + 1].partition("@")[0]
    after = line[line.index("worker") + 1 :]  # the init of Docker, which was told what to start
    return after[0].replace(",", "-") if after else "fetch-audio-train-sweep"


def main(what: str) -> int:
    if what == "web":
        address = f"http://127.0.0.1:{os.environ.get('PORT', '8000')}/readyz"
        request = urllib.request.Request(address, headers={"Host": os.environ.get("ALLOWED_HOSTS", "127.0.0.1").split(",")[0]})
        with urllib.request.urlopen(request, timeout=4) as answer:  # noqa: S310
            return 0 if answer.status == 200 else 1
    if what == "beat":  # which it does every three minutes
        written = [path.stat().st_mtime for path in Path(os.environ.get("DATA_DIR", "data")).glob("celerybeat*")]
        return 0 if time.time() - max(written, default=0) < 600 else 1
    name = f"{_queues()}@{socket.gethostname()}"
    found = subprocess.run(
        [sys.executable, "-m", "celery", "--quiet", "--app", "config", "inspect", "ping", "--destination", name, "--timeout", "10"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return 0 if name in found.stdout else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
