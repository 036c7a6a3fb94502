import fcntl
import os
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from config import demo
from config.management.commands import doctor
from datasets.services import queue

ENDING_S = 60  # what a worker may take to hand its work back


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:  # somebody else's
        pass
    return True


class Command(BaseCommand):
    help = "Set the database up, load the demo into an empty one, and start web, workers and broker. Ctrl-C stops all of them."

    def handle(self, *args: Any, **options: Any) -> None:
        demo.refuse_public_demo()
        self._lock()
        if problem := doctor.port_problem():
            raise CommandError(problem)
        try:
            doctor.disk()
        except doctor.Problem as problem:
            raise CommandError(f"The disk is too full: {problem}") from None
        self._say("Preparing the database")
        call_command("migrate", verbosity=0)
        queue.remove_work_folders()
        queue.remove_left("", 0)  # no other studio is at work here
        call_command("collectstatic", verbosity=0, interactive=False)
        if demo.is_wanted():
            self._say("Loading the demo (about a minute, once)")
            demo.load(self._say)
        self._welcome()
        self._start()

    def _lock(self) -> None:
        """One studio on a data folder: a second would take the first one's broker away."""
        folder = settings.EMBEDDED_BROKER_SOCKET.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        alive = os.open(self._alive(), os.O_RDWR | os.O_CREAT, 0o600)
        for second in range(ENDING_S):
            if _taken(lock) and _taken(alive):
                os.set_inheritable(lock, True)  # the supervisor keeps it while it lives
                os.ftruncate(lock, 0)
                os.pwrite(lock, str(os.getpid()).encode(), 0)  # the supervisor has the same
                os.close(alive)
                return
            if _lives(pid := os.pread(lock, 20, 0).decode()):
                raise CommandError(
                    f"A studio is running on {settings.DATA_DIR} already (process {pid}). Stop it first (kill -INT {pid}), or set DATA_DIR to another folder."
                )
            if second == 0:
                self._say("Waiting for what the last studio on this folder left running")
            time.sleep(1)
        raise CommandError(
            f"Processes of the last studio on {settings.DATA_DIR} do not end. Look for them with: pgrep -af config.keep"
        )

    def _alive(self) -> Path:
        return Path(settings.EMBEDDED_BROKER_SOCKET.parent, "alive")

    def _say(self, text: str) -> None:
        if text:
            self.stdout.write(text)
            self.stdout.flush()

    def _welcome(self) -> None:
        host = "127.0.0.1" if settings.HOST in ("0.0.0.0", "::") else settings.HOST  # noqa: S104  (only printed)
        host = f"[{host}]" if ":" in host else host
        self._say(f"\n  MER Studio: http://{host}:{settings.PORT}/")
        if demo.password_file().exists():
            self._say(f"  Demo accounts: {', '.join(demo.ACCOUNTS)}; password for each: {demo.password_file().read_text().strip()}")
            self._say("  Remove the demo: .venv/bin/python manage.py demo --remove")
        else:
            self._say("  Make the first account: .venv/bin/python manage.py createsuperuser")
        self._say("  Stop with Ctrl-C.\n")

    def _start(self) -> None:
        """Become the supervisor: one terminal, one Ctrl-C."""
        folder = Path(sys.executable).parent
        environment = os.environ | {
            "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}",
            "DATA_DIR": str(settings.DATA_DIR),
            "PYTHONUNBUFFERED": "1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "STUDIO_PID": str(os.getpid()),
            "STUDIO_ALIVE": str(self._alive()),
            # Of glibc: else each thread keeps an arena of its own, and what was freed stays with the process.
            "MALLOC_ARENA_MAX": "2",
            "MALLOC_TRIM_THRESHOLD_": "131072",
        }
        broker = 0 if settings.REDIS_URL else 1
        arguments = ["honcho", "--app-root", str(settings.BASE_DIR), "--env", os.devnull, "start"]
        arguments += ["--port", str(settings.PORT), "--concurrency", f"broker={broker}"]
        os.execve(folder / "honcho", arguments, environment)
