from __future__ import annotations

from contextlib import suppress

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage


class WholeFiles(FileSystemStorage):
    """Django's folder of files, which leaves no half of one behind where the disk is full."""

    def _save(self, name: str, content: File[bytes]) -> str:
        is_new = not self.exists(name)
        try:
            return str(super()._save(name, content))  # type: ignore[misc]
        except OSError:
            if is_new:
                with suppress(OSError):
                    self.delete(name)
            raise
