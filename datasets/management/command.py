"""What every command of the studio shares: `--json` for a machine-readable last line, progress on standard error, and an
exit code that tells (0 all done, 1 something was refused or failed)."""

import json
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from datasets.errors import MERError
from datasets.models import Dataset, Job, Release
from datasets.services import queue
from datasets.services.tracks import default_dataset


class StudioCommand(BaseCommand):
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print the result as JSON on the last line.")
        self.add_options(parser)

    def add_options(self, parser: CommandParser) -> None:
        """Add the command's own arguments."""

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            result, text, ok = self.work(**options)
        except MERError as fact:
            raise CommandError(str(fact)) from None
        self.stdout.write(text)
        if options["json"]:
            self.stdout.write(json.dumps(result, default=str))
        if not ok:
            sys.exit(1)

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        """Do it; return the result as data and as text, and whether all went well."""
        raise NotImplementedError

    def progress(self, text: str) -> None:
        """A line that overwrites itself in a terminal, and is left out elsewhere."""
        if self.stderr.isatty():
            self.stderr.write(f"\r\x1b[K{text}", ending="")


def finish(job_id: int, body: Callable[[queue.Ticket], None]) -> Job:
    """Do queued work here. Where another process is at it, wait for that; should it have died, take it over.

    What is to be tried again within half a minute is. A job that comes back queued waits for longer, or its queue is paused.
    """
    while True:
        done = queue.run_job(job_id, body) or Job.objects.get(pk=job_id)
        soon = timezone.now() + timedelta(seconds=30)
        waits = done.state == Job.State.QUEUED and done.not_before is not None and done.not_before < soon
        if done.state != Job.State.RUNNING and not waits:
            return done
        time.sleep(0.5)
        queue.sweep()


def find_release(name: str) -> Release:
    release = Release.objects.filter(name=name).first()
    if release is None:
        known = ", ".join(Release.objects.values_list("name", flat=True)) or "none yet"
        raise CommandError(f"There is no release “{name}”. Releases: {known}.")
    return release


def find_dataset(name: str | None) -> Dataset:
    """The named dataset; without a name the only one, or the first that is not synthetic."""
    if name is None:
        return Dataset.objects.get() if Dataset.objects.count() == 1 else default_dataset()
    dataset = Dataset.objects.filter(name=name).first()
    if dataset is None:
        known = ", ".join(Dataset.objects.values_list("name", flat=True)) or "none yet"
        raise CommandError(f"There is no dataset “{name}”. Datasets: {known}.")
    return dataset
