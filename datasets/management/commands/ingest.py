import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.management.base import CommandParser

from datasets import jobs
from datasets.errors import MERError, SourceRefused, TrackExists
from datasets.management.command import StudioCommand
from datasets.methods.lists import Entry, read_list
from datasets.models import Dataset, Job, Track
from datasets.services import queue, tracks

AUDIO = {
    ".mp1",
    ".mp2",
    ".mp3",
    ".wav",
    ".flac",
    ".ogg",
    ".oga",
    ".ogv",
    ".opus",
    ".spx",
    ".m4a",
    ".m4b",
    ".aac",
    ".aif",
    ".aiff",
    ".afc",
    ".au",
    ".wma",
    ".asf",
    ".webm",
    ".mkv",
    ".mp4",
}


class Command(StudioCommand):
    help = "Bring tracks in: a YouTube video, audio files, a folder of them, or a CSV list. Fetches and converts them here, without a worker."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument(
            "source",
            nargs="+",
            help="A YouTube address, an audio file, a folder, or a .csv list (columns file or url, title, artist, licence, external_id).",
        )
        parser.add_argument(
            "--dataset",
            help="The dataset they go to; made with the paper's nine words if it is new. Default: the first that is not synthetic.",
        )
        parser.add_argument("--artist", default="", help="For sources that do not name one.")
        parser.add_argument("--licence", default="", help="For sources that do not name one.")

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        self.skipped: list[str] = []
        entries = [entry for source in options["source"] for entry in self._entries(source)]
        dataset = self._dataset(options["dataset"])
        ready, existing, refused = [], [], []
        for number, entry in enumerate(entries, 1):
            what = entry.url or str(entry.file)
            self.progress(f"{number} of {len(entries)}: {what}")
            try:
                job = self._run(self._add(dataset, entry, options))
            except TrackExists as fact:
                unfinished = self._unfinished(fact.track_id)
                if unfinished is None:
                    existing.append({"source": what, "reason": str(fact)})
                    continue
                job = self._run(unfinished)
            except (MERError, OSError) as fact:
                refused.append({"source": what, "reason": str(fact)})
                continue
            if job.state == Job.State.DONE:
                ready.append(job.subject_id)
            else:
                refused.append({"source": what, "reason": job.reason or job.get_state_display()})
        self.progress("")
        lines = [f"{len(ready)} tracks are ready in “{dataset}”, {len(existing)} were there before, {len(refused)} were refused."]
        lines += [f"  refused: {row['source']}: {row['reason']}" for row in refused]
        lines += [f"  left alone, not an audio file by its name: {name}" for name in self.skipped]
        result = {"dataset": dataset.name, "ready": ready, "existing": existing, "refused": refused, "skipped": self.skipped}
        return result, "\n".join(lines), not refused

    def _unfinished(self, track_id: int | None) -> Job | None:
        """The work that an interrupted or failed ingest left on a track; asking for it again means to finish it."""
        if (
            track_id is None
            or not Track.objects.filter(pk=track_id).exclude(state__in=[Track.State.READY, Track.State.EXCLUDED]).exists()
        ):
            return None
        job = Job.objects.filter(subject="track", subject_id=track_id, task__in=[tracks.FETCH, tracks.CONVERT]).first()
        if job is not None and job.can_retry:
            queue.retry(job)
        return job

    def _dataset(self, name: str | None) -> Dataset:
        if name is None:
            return tracks.default_dataset()
        return Dataset.objects.filter(name=name).first() or tracks.create_dataset(name=name)

    def _entries(self, source: str) -> Iterator[Entry]:
        path = Path(source)
        try:
            is_folder = path.is_dir()
        except (OSError, ValueError) as error:
            raise SourceRefused(f"{source[:80]!r} is no file name ({getattr(error, 'strerror', None) or error}).") from None
        if is_folder:
            for file in sorted(file for file in path.rglob("*") if file.is_file()):
                if file.suffix.lower() in AUDIO:
                    yield Entry(0, file, "", "", "", "", "")
                else:
                    self.skipped.append(str(file))
        elif path.suffix.lower() == ".csv" and path.is_file():
            yield from read_list(path)
        elif path.is_file():
            yield Entry(0, path, "", "", "", "", "")
        elif "/" in source and not path.exists() and ("://" in source or source.startswith(("youtu", "www."))):
            yield Entry(0, None, source, "", "", "", "")
        else:
            raise SourceRefused(f"“{source}” is neither a file, a folder, a .csv list nor a YouTube address.")

    def _add(self, dataset: Dataset, entry: Entry, options: dict[str, Any]) -> Job:
        common: dict[str, Any] = {
            "title": entry.title,
            "artist": entry.artist or options["artist"],
            "licence": entry.licence or options["licence"],
        }
        if entry.file is None:
            return tracks.add_youtube(dataset=dataset, address=entry.url, wake_worker=False, **common)
        with entry.file.open("rb") as file:
            stored = File(file, name=entry.file.name)
            return tracks.add_file(
                dataset=dataset, file=stored, filename=entry.file.name, external_id=entry.external_id, wake_worker=False, **common
            )

    def _run(self, job: Job) -> Job:
        """Do the queued work here, the conversion after a fetch too; where a worker was faster, wait for it."""
        bodies = {tracks.FETCH: jobs.fetch_track, tracks.CONVERT: jobs.convert_track}
        done = queue.run_job(job.pk, bodies[job.task])
        while done is None or done.is_active:
            time.sleep(0.5)
            done = Job.objects.get(pk=job.pk)
        if job.task == tracks.FETCH and done.state == Job.State.DONE:
            following = Job.objects.filter(task=tracks.CONVERT, subject="track", subject_id=job.subject_id).first()
            return self._run(following) if following else done
        return done
