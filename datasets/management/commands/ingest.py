from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.management.base import CommandParser

from datasets import jobs
from datasets.errors import MERError, SourceRefused, TrackExists
from datasets.management.command import StudioCommand, finish
from datasets.methods import addresses, youtube
from datasets.methods.lists import Line, read_list
from datasets.models import Dataset, Job, Track
from datasets.services import imports, queue, tracks

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
    help = "Bring tracks in: a YouTube video, playlist or channel, audio files, a folder of them, or a list. Fetches and converts them here, without a worker."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument(
            "source",
            nargs="+",
            help="A YouTube address or a video's id, an audio file, a folder, or a list (.csv, .tsv or .xlsx; columns file or url, title, artist, licence, genre, country, start, end, external_id).",
        )
        parser.add_argument(
            "--dataset",
            help="The dataset they go to; made with the paper's nine words if it is new. Default: the first that is not synthetic.",
        )
        parser.add_argument("--artist", default="", help="For sources that do not name one.")
        parser.add_argument("--licence", default="", help="For sources that do not name one.")

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        self.skipped: list[str] = []
        entries = [entry for source in options["source"] for line in self._entries(source) for entry in self._unfolded(line)]
        dataset = self._dataset(options["dataset"])
        ready, existing, refused = [], [], []
        for number, entry in enumerate(entries, 1):
            what = entry.address or str(entry.file)
            self.progress(f"{number} of {len(entries)}: {what}")
            if entry.problem:
                refused.append({"source": what, "reason": entry.problem})
                continue
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
                waits = (
                    Track.objects.filter(pk=job.subject_id).values_list("reason", flat=True).first()
                )  # of one that is tried again later
                refused.append({"source": what, "reason": job.reason or waits or job.get_state_display()})
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

    def _entries(self, source: str) -> Iterator[Line]:
        path = Path(source)
        try:
            is_folder = path.is_dir()
        except (OSError, ValueError) as error:
            raise SourceRefused(f"{source[:80]!r} is no file name ({getattr(error, 'strerror', None) or error}).") from None
        if is_folder:
            for file in sorted(file for file in path.rglob("*") if file.is_file()):
                if file.suffix.lower() in AUDIO:
                    yield Line(0, "", file=file)
                else:
                    self.skipped.append(str(file))
        elif path.suffix.lower() in (".csv", ".tsv", ".xlsx") and path.is_file():
            yield from read_list(path)
        elif path.is_file():
            yield Line(0, "", file=path)
        else:
            try:
                yield Line(0, addresses.parse(source).url)
            except addresses.AddressRefused as fact:
                if "://" in source or source.startswith(("youtu", "www.")):
                    yield Line(0, source[:500], problem=str(fact))
                    return
                raise SourceRefused(f"“{source[:200]}” is neither a file, a folder, a list nor an address. {fact}") from None

    def _unfolded(self, line: Line) -> Iterator[Line]:
        """The videos of a playlist or a channel in its place, under what the line says of them all."""
        try:
            found = addresses.parse(line.address) if line.file is None else None
            if found is None or found.kind == "video":
                yield line
                return
            self.progress(f"Reading {found.url}")
            _title, entries = youtube.expand(found, access=imports.access(), most=settings.PLAYLIST_MAX)
        except MERError as fact:
            yield replace(line, problem=str(fact))
            return
        if not entries:
            yield replace(line, problem=f"The {found.kind} has no videos that can be seen.")
        for entry in entries:
            yield replace(line, address=addresses.video(entry.identifier).url, title=entry.title, external_id="")

    def _add(self, dataset: Dataset, entry: Line, options: dict[str, Any]) -> Job:
        common: dict[str, Any] = {
            "title": entry.title,
            "artist": entry.artist or options["artist"],
            "licence": entry.licence or options["licence"],
            "wake_worker": False,
        } | {name: getattr(entry, name) for name in ("genre", "country", "start_s", "end_s")}
        if entry.file is None:
            return tracks.add_youtube(dataset=dataset, address=entry.address, reference=entry.external_id, **common)
        with entry.file.open("rb") as file:
            stored = File(file, name=entry.file.name)
            return tracks.add_file(dataset=dataset, file=stored, filename=entry.file.name, external_id=entry.external_id, **common)

    def _run(self, job: Job) -> Job:
        """Do the queued work here, the conversion after a fetch too."""
        bodies = {tracks.FETCH: jobs.fetch_track, tracks.CONVERT: jobs.convert_track}
        done = finish(job.pk, bodies[job.task])
        if job.task == tracks.FETCH and done.state == Job.State.DONE:
            following = Job.objects.filter(task=tracks.CONVERT, subject="track", subject_id=job.subject_id).first()
            return self._run(following) if following else done
        return done
