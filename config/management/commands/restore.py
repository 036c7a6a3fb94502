from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandParser

from config import keeping
from datasets.management.command import StudioCommand


class Command(StudioCommand):
    help = "Put a backup back into an empty studio, bring its tables up to date, and compare the rows with what the backup counted."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path, help="A tar that `backup` wrote.")

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        manifest = keeping.put_back(options["path"], self.progress)
        self.progress("")
        call_command("migrate", verbosity=0)
        keeping.guard_whole(options["path"], manifest)
        n = sum(manifest["counts"].values())
        text = f"{n} rows and {len(manifest['sha256'])} files are back, as of {manifest['made_at']}: each table has the rows that were counted."
        if manifest["missing"]:
            text += f"\n{len(manifest['missing'])} files were gone when the backup was made, such as {manifest['missing'][0]}."
        if manifest.get("other_key"):
            text += (
                "\nThe SECRET_KEY of the environment is another than the backup's: put that of secret_key in DATA_DIR into the environment,"
                " or every invitation and way back is void."
            )
        found = {name: manifest.get(name, False) for name in ("counts", "made_at", "other_key")}
        return found, text, True
