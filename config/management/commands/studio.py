import fcntl
import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from config import demo
from config.management.commands import doctor
from datasets.services import queue


class Command(BaseCommand):
    help = "Set the database up, load the demo into an empty one, and start web, workers and broker. Ctrl-C stops all of them."

    def handle(self, *args: Any, **options: Any) -> None:
        demo.refuse_public_demo()
        if problem := doctor.port_problem():
            raise CommandError(problem)
        try:
            doctor.disk()
        except doctor.Problem as problem:
            raise CommandError(f"The disk is too full: {problem}") from None
        self._lock()
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
        path = settings.EMBEDDED_BROKER_SOCKET.parent / "lock"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CommandError(
                f"A studio is running on {settings.DATA_DIR} already. Stop it first, or set DATA_DIR to another folder."
            ) from None
        os.set_inheritable(descriptor, True)  # the supervisor keeps it while it lives

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
            # Of glibc: else each thread keeps an arena of its own, and what was freed stays with the process.
            "MALLOC_ARENA_MAX": "2",
            "MALLOC_TRIM_THRESHOLD_": "131072",
        }
        broker = 0 if settings.REDIS_URL else 1
        arguments = ["honcho", "--app-root", str(settings.BASE_DIR), "--env", os.devnull, "start"]
        arguments += ["--port", str(settings.PORT), "--concurrency", f"broker={broker}"]
        os.execve(folder / "honcho", arguments, environment)
