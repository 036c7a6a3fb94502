import fcntl
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.commands import migrate
from django.db import connection

LOCK = 7_036_874  # of PostgreSQL's advisory locks; a number of our own


class Command(migrate.Command):
    help = "Bring the tables up to date. Of several that start at once, one does it and the others wait."

    def handle(self, *args: Any, **options: Any) -> None:
        if connection.vendor != "postgresql":
            with (settings.DATA_DIR / "migrate.lock").open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                super().handle(*args, **options)
            if (database := Path(connection.settings_dict["NAME"])).is_file():
                database.chmod(0o600)  # ratings and accounts, in a folder that others may be able to look into
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        try:
            super().handle(*args, **options)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
