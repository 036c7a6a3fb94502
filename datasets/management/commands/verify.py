from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets.management.command import StudioCommand
from datasets.methods import bundles
from datasets.methods.formats import record
from datasets.services import arrivals


class Command(StudioCommand):
    help = "Check a bundle: every listed file is there, unchanged, and nothing else is; verbatim tables have the content hash that they state."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path)

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        path: Path = options["path"]
        if not path.is_file():
            raise CommandError(f"There is no file {path}.")
        problems = bundles.verify(path, lambda done, total: self.progress(f"{done} of {total}"))
        said: dict[str, Any] = {}
        if not problems:
            bundle = bundles.BundleReader(path)
            try:
                if record.NAME in bundle.names:
                    found = record.read(bundle)
                    said = found["release"]
                    arrivals.check_tables(bundle, found)
            except bundles.BundleRefused as fact:
                problems = [str(fact)]
            finally:
                bundle.close()
        self.progress("")
        text = "\n".join(problems) if problems else f"{path} is whole: every file has the checksum that the bundle lists."
        if said and not problems:
            text += (
                f" Its tables have the content hash {said['content_hash']}: compare it with that on the page of “{said['name']}”."
            )
        result = {"path": str(path), "ok": not problems, "problems": problems, "content_hash": said.get("content_hash")}
        return result, text, not problems
