"""Reading questions asked of the ground floor."""

import json
import os
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import connection
from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from datasets.methods.audio import playback_gain
from datasets.models import AudioFile, Dataset, Event, Import, ImportRow, Job, QueuePause, Release, Split, SplitMember, Track


def can_curate(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Curators and admins: they bring in tracks, see ratings, freeze, export and train."""
    return isinstance(user, User) and user.has_perm("datasets.curate")


def tracks_of(*, search: str = "", state: str = "", dataset: str = "") -> QuerySet[Track]:
    tracks = Track.objects.select_related("dataset")
    if search:
        tracks = tracks.filter(Q(title__icontains=search) | Q(artist__icontains=search) | Q(external_id__iexact=search))
    if state:
        tracks = tracks.filter(state=state)
    if dataset:
        tracks = tracks.filter(dataset__name=dataset)
    return tracks.order_by("-id")


def state_counts(*, search: str = "", dataset: str = "") -> list[dict[str, Any]]:
    counts = dict(tracks_of(search=search, dataset=dataset).order_by().values_list("state").annotate(Count("id")))
    return [{"value": state.value, "label": state.label, "n": counts.get(state.value, 0)} for state in Track.State]


def jobs_of(subject: str, subject_id: int) -> QuerySet[Job]:
    return Job.objects.filter(subject=subject, subject_id=subject_id)


def events_of(subject: str, subject_id: int) -> QuerySet[Event]:
    return Event.objects.filter(subject=subject, subject_id=subject_id).select_related("actor")


def played_file(track: Track) -> AudioFile | None:
    """What players get: the copy made for them, the original where that plays and tells nothing, else the wav."""
    files = {file.kind: file for file in track.files.all()}
    original = files.get(AudioFile.Kind.ORIGINAL)
    playable = original if original and original.plays and AudioFile.Kind.WAV in files else None
    return files.get(AudioFile.Kind.STREAM) or playable or files.get(AudioFile.Kind.WAV)


def wav_of(track: Track) -> AudioFile | None:
    return track.files.filter(kind=AudioFile.Kind.WAV).first()


@dataclass(frozen=True)
class Sound:
    """What a player needs to know of a track."""

    duration_s: float
    gain_db: float
    peaks: list[int]


SOUND = "SELECT duration_s, loudness_lufs, peak_db, peaks FROM datasets_audiofile WHERE track_id = %s AND kind = 'wav'"


def sound_of(track_id: int) -> Sound:
    """The sound of a track that is ready. As SQL, because it runs for every rating."""
    with connection.cursor() as cursor:
        cursor.execute(SOUND, [track_id])
        duration_s, loudness_lufs, peak_db, peaks = cursor.fetchone()
    return Sound(duration_s or 0.0, playback_gain(loudness_lufs, peak_db), json.loads(peaks))


@dataclass(frozen=True)
class PartTable:
    """Tracks per part and label of a split, for the release page."""

    labels: list[str]
    rows: list[tuple[str, list[int], int]]


def part_table(split: Split) -> PartTable:
    counts: Counter[tuple[str, str]] = Counter()
    for part, label in split.members.values_list("part", "item__label"):
        counts[part, label] += 1
    labels = list(split.release.labels)
    rows = []
    for part in SplitMember.Part:
        cells = [counts[part.value, label] for label in labels]
        rows.append((str(part.label), cells, sum(cells)))
    return PartTable(labels, rows)


def vote_shares(release: Release) -> list[dict[str, Any]]:
    """The release's items as the rows of a table, in the order of their track."""
    labels = list(release.labels)
    parts = dict(SplitMember.objects.filter(split__release=release).values_list("item_id", "part"))
    rows = []
    for item in release.items.all():
        row = {
            name: getattr(item, name)
            for name in ("track_id", "title", "artist", "licence", "source_url", "external_id", "sha256", "label", "agreement")
        }
        row["duration_s"] = round(item.duration_s, 3)
        row["part"] = parts.get(item.pk, "")
        row |= {f"votes_{label}": item.votes.get(label, 0) for label in labels}
        rows.append(row)
    return rows


def datasets() -> QuerySet[Dataset]:
    return Dataset.objects.all()


def imports() -> QuerySet[Import]:
    return Import.objects.select_related("dataset", "created_by").annotate(n_rows=Count("rows"))


OUTCOMES = {
    "refused": ~Q(refusal=""),
    "waiting": Q(refusal="", track=None),
    "ready": Q(track__state=Track.State.READY),
    "coming": Q(track__state__in=[Track.State.WAITING, Track.State.FETCHING, Track.State.CONVERTING]),
    "failed": Q(track__state__in=[Track.State.FAILED, Track.State.EXCLUDED]),
}


def import_counts(owner: Import) -> dict[str, int]:
    """Rows by what became of them."""
    counts: dict[str, int] = owner.rows.aggregate(**{name: Count("pk", filter=rows) for name, rows in OUTCOMES.items()})
    return counts


def import_rows(owner: Import, outcome: str = "") -> QuerySet[ImportRow]:
    rows = owner.rows.select_related("track")
    return rows.filter(OUTCOMES[outcome]) if outcome in OUTCOMES else rows


def pause_of(queue: str) -> QueuePause | None:
    now = timezone.now()
    return QueuePause.objects.filter(Q(until=None) | Q(until__gt=now), queue=queue).select_related("by").first()


STALE_DAYS = 60  # yt-dlp breaks with the site every few weeks


@dataclass(frozen=True)
class IngestHealth:
    """Whether tracks can come in from YouTube, and what went wrong lately."""

    version: str
    age_days: int | None
    runtime: str
    pause: QueuePause | None
    queued: int
    running: int
    waiting_to_retry: int
    last_success: datetime | None
    problems: list[tuple[str, int]]

    @property
    def is_stale(self) -> bool:
        return self.age_days is None or self.age_days > STALE_DAYS


def ingest_health() -> IngestHealth:
    """Read without loading yt-dlp: its version is a date."""
    version = metadata.version("yt-dlp")
    try:
        year, month, day = (int(part) for part in version.split(".")[:3])
        age = (timezone.now().date() - date(year, month, day)).days
    except ValueError:
        age = None
    jobs = Job.objects.filter(task="datasets.tasks.fetch_track")
    counts = jobs.aggregate(
        queued=Count("pk", filter=Q(state=Job.State.QUEUED)),
        running=Count("pk", filter=Q(state=Job.State.RUNNING)),
        waiting=Count("pk", filter=Q(state=Job.State.QUEUED, not_before__gt=timezone.now())),
        last=Max("finished_at", filter=Q(state=Job.State.DONE)),
    )
    problems = Track.objects.exclude(problem="").values_list("problem").annotate(n=Count("pk")).order_by("-n")
    return IngestHealth(
        version=version,
        age_days=age,
        runtime=_javascript_runtime(),
        pause=pause_of("fetch"),
        queued=counts["queued"],
        running=counts["running"],
        waiting_to_retry=counts["waiting"],
        last_success=counts["last"],
        problems=[(str(PROBLEMS.get(problem, problem)), n) for problem, n in problems],
    )


PROBLEMS = {
    "gone": _("Gone, private or closed: final"),
    "policy": _("Not what is taken here: final"),
    "network": _("Not reached: tried again"),
    "blocked": _("Blocked as a robot: the queue pauses"),
    "outdated": _("Not understood: is yt-dlp out of date?"),
    "refused": _("Led to a place where downloads may not go"),
}


def _javascript_runtime() -> str:
    """The name of the runtime that yt-dlp solves YouTube's puzzles with; empty when there is none."""
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return next((name for name in ("deno", "node", "bun", "qjs") if shutil.which(name, path=folders)), "")
