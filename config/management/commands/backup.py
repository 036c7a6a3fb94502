from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from config import keeping
from datasets.management.command import StudioCommand


class Command(StudioCommand):
    help = "Write everything (database, files, secret key) into one tar with checksums, and read it again. The studio may run meanwhile."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path, help="The tar to write; it holds personal data and the secret key: keep it private.")

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        manifest = keeping.write_backup(options["path"], self.progress)
        self.progress("")
        missing = manifest["missing"]
        lines = [f"{options['path']}: {len(manifest['sha256'])} files, {sum(manifest['counts'].values())} rows, checked."]
        lines += [f"MISSING: a row names {name}, and the storage does not have it." for name in missing]
        return {"path": str(options["path"]), "missing": missing, "counts": manifest["counts"]}, "\n".join(lines), not missing
