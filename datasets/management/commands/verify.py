from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets.management.command import StudioCommand
from datasets.methods import bundles


class Command(StudioCommand):
    help = "Check a bundle: every listed file is there, unchanged, and nothing else is."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path)

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        path: Path = options["path"]
        if not path.is_file():
            raise CommandError(f"There is no file {path}.")
        problems = bundles.verify(path, lambda done, total: self.progress(f"{done} of {total}"))
        self.progress("")
        text = "\n".join(problems) if problems else f"{path} is whole: every file has the checksum that the bundle lists."
        return {"path": str(path), "ok": not problems, "problems": problems}, text, not problems
