import shutil
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets import jobs
from datasets.errors import WrongState
from datasets.management.command import StudioCommand, find_release, finish
from datasets.models import Export, Job
from datasets.services import releases


class Command(StudioCommand):
    help = "Write a release as a checksummed bundle: tables, audio where a licence is recorded, spectrograms."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("release")
        parser.add_argument("--format", default=Export.Format.CSV, choices=Export.Format.values)
        parser.add_argument("--out", required=True, type=Path, help="The zip file to write.")

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        release = find_release(options["release"])
        out: Path = options["out"]
        if out.is_dir():
            raise CommandError(f"{out} is a folder: name the zip file to write.")
        if not out.parent.is_dir():
            raise CommandError(f"There is no folder {out.parent} to write into.")
        try:
            export = releases.request_export(release, format=options["format"], wake_worker=False)
        except WrongState:  # it is being written, or was by a process that died
            export = Export.objects.get(release=release, format=options["format"])
        self.progress("Writing the bundle …")
        job = finish(releases.job_of(export).pk, jobs.write_export)
        if job.state != Job.State.DONE:
            raise CommandError(f"The bundle was not written: {job.reason or job.get_state_display()}")
        export.refresh_from_db()
        with export.file.open("rb") as stored, out.open("wb") as target:
            shutil.copyfileobj(stored, target)
        self.progress("")
        size = (export.size or 0) / 1024**2
        return {**export.summary(), "out": str(out)}, f"Wrote {out} ({size:.1f} MB, SHA-256 {export.sha256}).", True
