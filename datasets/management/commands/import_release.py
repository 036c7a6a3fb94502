from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.management.base import CommandError, CommandParser

from datasets import jobs
from datasets.management.command import StudioCommand, find_dataset, finish
from datasets.models import Job
from datasets.services import arrivals


class Command(StudioCommand):
    help = "Bring in a release that another studio froze: the bundle that its `export RELEASE --format studio` wrote."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path)
        parser.add_argument(
            "--dataset", help="Where it goes, for a later version of one that is here. Default: a dataset of its own."
        )

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        path: Path = options["path"]
        if not path.is_file():
            raise CommandError(f"There is no file {path}.")
        dataset = find_dataset(options["dataset"]) if options["dataset"] else None
        with path.open("rb") as file:
            arrival = arrivals.take(
                File(file, name=path.name), path.name, dataset=dataset, by=None, wake_worker=False, any_size=True
            )
        self.progress("Reading the bundle …")
        job = finish(arrivals.job_of(arrival).pk, jobs.bring_in_release)
        self.progress("")
        if job.state != Job.State.DONE:
            raise CommandError(f"{path.name} was not brought in: {job.reason or job.get_state_display()}")
        arrival.refresh_from_db()
        assert arrival.release is not None and arrival.dataset is not None
        n = arrival.release.items.count()
        result = {
            "release": arrival.release.name,
            "dataset": arrival.dataset.name,
            "tracks": n,
            "without_audio": arrival.without_audio,
        }
        text = f"Brought in “{arrival.release.name}”: {n} tracks into “{arrival.dataset.name}”, content hash {arrival.release.content_hash}."
        if arrival.without_audio:
            text += (
                f" {arrival.without_audio} of them came without their recordings: add the files (ingest), and each takes its place."
            )
        return result, text, True
