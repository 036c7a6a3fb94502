"""Reading questions asked of the ground floor."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import connection
from django.db.models import Count, Q, QuerySet

from datasets.methods.audio import playback_gain
from datasets.models import AudioFile, Dataset, Event, Job, Release, Split, SplitMember, Track


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
