from typing import Any

from django.core.management.commands import migrate
from django.db import connection

LOCK = 7_036_874  # of PostgreSQL's advisory locks; a number of our own


class Command(migrate.Command):
    help = "Bring the tables up to date. Of several that start at once, one does it and the others wait."

    def handle(self, *args: Any, **options: Any) -> None:
        if connection.vendor != "postgresql":  # SQLite lets in one writer anyway
            super().handle(*args, **options)
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        try:
            super().handle(*args, **options)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
