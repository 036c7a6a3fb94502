"""Django's SQLite with a queue before its write lock.

SQLite lets those who wait for the lock sleep and try again, up to 100 ms at a time, so that under load it stands free while
everybody sleeps. A lock on a file beside the database wakes the next one at once: twenty raters at a time get three times as far.
"""

import fcntl
import os
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.backends.sqlite3 import base, operations


class DatabaseOperations(operations.DatabaseOperations):
    def execute_sql_flush(self, sql_list: Iterable[str]) -> None:
        """Whoever empties all tables means it: the triggers that keep single rows stand aside meanwhile, as they do for TRUNCATE."""
        with transaction.atomic(using=self.connection.alias), self.connection.cursor() as cursor:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            triggers = cursor.fetchall()
            for name, _sql in triggers:
                cursor.execute(f"DROP TRIGGER {self.quote_name(name)}")
            super().execute_sql_flush(sql_list)
            for _name, sql in triggers:
                cursor.execute(sql)


class DatabaseWrapper(base.DatabaseWrapper):
    ops_class = DatabaseOperations
    _queue: int | None = None

    def _start_transaction_under_autocommit(self) -> None:
        if self._queue is None and not self.is_in_memory_db():
            self._queue = os.open(f"{self.settings_dict['NAME']}.queue", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._queue is not None:
            fcntl.flock(self._queue, fcntl.LOCK_EX)
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        if self._queue is not None:
            fcntl.flock(self._queue, fcntl.LOCK_UN)

    def _commit(self) -> Any:
        try:
            return super()._commit()  # type: ignore[misc]
        finally:
            self._leave()

    def _rollback(self) -> Any:
        try:
            return super()._rollback()  # type: ignore[misc]
        finally:
            self._leave()

    def _close(self) -> None:
        super()._close()  # type: ignore[misc]
        if self._queue is not None:
            os.close(self._queue)
            self._queue = None
