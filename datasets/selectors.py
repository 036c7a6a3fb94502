"""Reading questions asked of the ground floor."""

import json
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from importlib import metadata
from operator import itemgetter
from pathlib import Path
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db import connection
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from datasets.methods.audio import playback_gain
from datasets.models import (
    AudioFile,
    Dataset,
    Duplicate,
    Event,
    Fault,
    Import,
    ImportRow,
    Job,
    Label,
    QueuePause,
    Release,
    ReleaseItem,
    Split,
    SplitMember,
    Sweep,
    Track,
)


def can_curate(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Curators and admins: they bring in tracks, see ratings, freeze, export and train."""
    return isinstance(user, User) and user.has_perm("datasets.curate")


def can_inspect(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Whoever may see what curators see: they, and guests such as the reviewers of a paper, who change nothing."""
    return can_curate(user) or (isinstance(user, User) and user.has_perm("datasets.inspect"))


def is_guest(user: AbstractBaseUser | AnonymousUser) -> bool:
    return can_inspect(user) and not can_curate(user)


SORTS = {
    "-id": _("Newest first"),
    "id": _("Oldest first"),
    "title": _("By title"),
    "agreement": _("Least agreement first"),
    "-agreement": _("Most agreement first"),
    "-duration_s": _("Longest first"),
    "duration_s": _("Shortest first"),
}
AGREEMENTS = {  # name: (words, least, most)
    "all": (_("Unanimous"), 1.0, 1.0),
    "most": (_("Above 50%"), 0.500001, 0.999999),
    "half": (_("50% and below"), 0.0, 0.5),
}


def tracks_of(
    *, search: str = "", state: str = "", dataset: str = "", source: str = "", label: str = "", agreement: str = "", reason: str = "",
    mark: str = "",
) -> QuerySet[Track]:  # fmt: skip
    """Tracks by what they are filtered by; an agreement or a mark that is none of the choices filters nothing."""
    tracks = Track.objects.select_related("dataset")
    if search:
        # SQLite knows small and capital letters of English alone; its regular expressions are Python's.
        known = search.isascii() or connection.vendor != "sqlite"
        how, what = ("icontains", search) if known else ("iregex", re.escape(search))
        named = (
            Q(**{f"title__{how}": what})
            | Q(**{f"artist__{how}": what})
            | Q(external_id__iexact=search)
            | Q(reference__iexact=search)
        )
        if search.isascii() and search.isdecimal() and len(search) < 19:
            named |= Q(pk=int(search))
        tracks = tracks.filter(named)
    if reason:
        tracks = tracks.filter(reason__icontains=reason)
    if agreement in AGREEMENTS:
        _words, least, most = AGREEMENTS[agreement]
        tracks = tracks.filter(agreement__gte=least, agreement__lte=most)
    if mark == "duplicate":
        pairs = Duplicate.objects.filter(Q(track=OuterRef("pk")) | Q(other=OuterRef("pk")), state=Duplicate.State.OPEN)
        tracks = tracks.filter(Exists(pairs))
    if mark == "gone":
        tracks = tracks.exclude(source_gone="")
    exact = {"state": state, "source": source, "label": label, "dataset__name": dataset}
    return tracks.filter(**{name: value for name, value in exact.items() if value})


COUNTED = 1000  # more are shown as “1,000+”: counting a hundred thousand takes longer than showing fifty


def state_counts(filters: dict[str, str]) -> list[dict[str, Any]]:
    """How many tracks are in each state under the other filters, counted up to a thousand."""
    others = filters | {"state": ""}
    rows = []
    for state in Track.State:
        n = tracks_of(**others | {"state": state.value}).order_by()[: COUNTED + 1].count()
        rows.append({"value": state.value, "label": state.label, "n": n, "text": as_counted(n)})
    return rows


def as_counted(n: int) -> str:
    return f"{COUNTED:,}+" if n > COUNTED else str(n)


def labels_in_use() -> list[tuple[str, str]]:
    """(key, name) of every label of every dataset, each key once."""
    return list({label.key: (label.key, str(label)) for label in Label.objects.order_by("dataset_id", "order")}.values())


# P. Tol's muted scheme, which the colour-blind tell apart, without its pale ones; for labels that nobody gave a colour.
PALETTE = (
    "#332288",
    "#117733",
    "#882255",
    "#999933",
    "#44aa99",
    "#aa4499",
    "#88ccee",
    "#cc6677",
    "#ddcc77",
    "#665500",
    "#004488",
    "#994455",
)
IN_BASE_CSS = ("positive", "neutral", "negative")


def label_colours() -> list[tuple[str, str]]:
    """(key, colour) of the labels that have one, given or by their order; of two datasets' labels with one key the older one's."""
    rows = Label.objects.order_by("-dataset_id", "order").values_list("key", "colour", "order")
    found = {key: colour or ("" if key in IN_BASE_CSS else PALETTE[order % len(PALETTE)]) for key, colour, order in rows}
    return [(key, colour) for key, colour in found.items() if colour]


def duplicates(state: str = Duplicate.State.OPEN) -> QuerySet[Duplicate]:
    return Duplicate.objects.filter(state=state).select_related("track__dataset", "other__dataset")


def twins_of(track: Track) -> list[Track]:
    """Tracks that may hold the same recording, as far as nobody has ruled on it."""
    pairs = duplicates().filter(Q(track=track) | Q(other=track))
    return [pair.other if pair.track_id == track.pk else pair.track for pair in pairs]


def sources_left(release: Release) -> dict[str, Any] | None:
    """How much of a release's YouTube tracks can still be fetched; None when it has none."""
    tracks = Track.objects.filter(pk__in=release.items.values("track"), source=Track.Source.YOUTUBE)
    counts: dict[str, Any] = tracks.aggregate(
        n=Count("pk"),
        checked=Count("source_checked_at"),
        gone=Count("pk", filter=~Q(source_gone="")),
        last=Max("source_checked_at"),
    )
    if not counts["n"]:
        return None
    return counts | {"left": counts["checked"] - counts["gone"]}


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


def originals_of(tracks: Iterable[Track]) -> dict[int, AudioFile]:
    rows = AudioFile.objects.filter(kind=AudioFile.Kind.ORIGINAL, track__in=[track.pk for track in tracks])
    return {row.track_id: row for row in rows}


def sounds_of(tracks: Iterable[Track]) -> dict[int, AudioFile]:
    """The converted file of each track that has one, for players and thumbnails on pages of several."""
    rows = AudioFile.objects.filter(track__in=[track.pk for track in tracks], kind=AudioFile.Kind.WAV)
    return {row.track_id: row for row in rows}


@dataclass(frozen=True)
class PartTable:
    """Tracks per part and label of a split, for the release page."""

    labels: list[str]
    rows: list[tuple[str, list[int], int]]


def pieces(release: Release, size: int = 1000) -> Iterator[tuple[int, int]]:
    """The numbers of its tracks as ranges (first, last), each of so many tracks: what is read so leaves no cursor open.

    A cursor that stays open while others write keeps its own writes out on SQLite, such as those of a job's progress.
    """
    numbers = list(release.items.order_by("number").values_list("number", flat=True))
    for start in range(0, len(numbers), size):
        yield numbers[start], numbers[min(start + size, len(numbers)) - 1]


def items_in_order(release: Release) -> Iterator[ReleaseItem]:
    for piece in pieces(release):
        yield from release.items.filter(number__range=piece).order_by("number")


def ratings_in_order(release: Release) -> Iterator[dict[str, Any]]:
    """A release's ratings by track and pseudonym, alike whatever order the database gives to text."""
    columns = ("number", "pseudonym", "word", "label", "valence", "arousal", "confidence", "known", "vocals", "rated_at")
    for piece in pieces(release):
        rows = list(release.ratings.filter(number__range=piece).values(*columns))
        yield from sorted(rows, key=itemgetter("number", "pseudonym"))


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


def parts_without(split: Split) -> list[tuple[str, list[str]]]:
    """Parts or folds of a split in which labels of its release do not occur, and which: (name, labels)."""
    found: dict[str, set[str]] = {}
    for part, label in split.members.values_list("part", "item__label").distinct():
        found.setdefault(part, set()).add(label)
    names = {part.value: str(part.label) for part in SplitMember.Part}
    missing = {part: [label for label in split.release.labels if label not in here] for part, here in sorted(found.items())}
    return [(names.get(part, part), labels) for part, labels in missing.items() if labels]


@dataclass(frozen=True)
class Difference:
    """What a release holds that the one before it did not, and the other way round; relabelled: (track, label before, label now)."""

    added: list[int]
    removed: list[int]
    relabelled: list[tuple[int, str, str]]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.relabelled)


def difference(before: dict[int, str], now: dict[int, str]) -> Difference:
    """Both by track: its label."""
    return Difference(
        added=sorted(now.keys() - before.keys()),
        removed=sorted(before.keys() - now.keys()),
        relabelled=[
            (track, before[track], now[track]) for track in sorted(now.keys() & before.keys()) if before[track] != now[track]
        ],
    )


def labels_of(release: Release) -> dict[int, str]:
    return dict(release.items.values_list("track_id", "label"))


def releases_of(dataset: Dataset) -> QuerySet[Release]:
    """Newest first."""
    return dataset.releases.order_by("-id")


def release_before(release: Release) -> Release | None:
    return releases_of(release.dataset).filter(pk__lt=release.pk).first()


def n_unconverted(release: Release) -> int:
    """Recordings that wait for a worker, or for their video."""
    on_the_way = [Track.State.WAITING, Track.State.FETCHING, Track.State.CONVERTING]
    return Track.objects.filter(pk__in=release.items.values("track"), state__in=on_the_way).count()


def splits_of(release: Release) -> dict[str, dict[str, int]]:
    """How many tracks each part of each split has."""
    rows = SplitMember.objects.filter(split__release=release).order_by().values_list("split__name", "part")
    found: dict[str, dict[str, int]] = {}
    for name, part, n in sorted(
        rows.annotate(n=Count("pk")), key=lambda row: (row[0], len(row[1]), row[1])
    ):  # fold 10 after fold 9
        found.setdefault(name, {})[part] = n
    return found


def faults_of(release: Release | None = None) -> QuerySet[Fault]:
    """Open ones first; of all releases where none is named."""
    faults = Fault.objects.select_related("item__release", "by")
    faults = faults.filter(item__release=release) if release else faults
    return faults.annotate(is_open=Q(state=Fault.State.OPEN)).order_by("-is_open", "-id")


def label_table(labels: Sequence[str], rows: Iterable[tuple[str, str]], *, most: int = 100) -> list[dict[str, Any]]:
    """How many of (label, group) carry each label, a row a group, the largest groups first."""
    groups: dict[str, Counter[str]] = {}
    for label, group in rows:
        groups.setdefault(group, Counter())[label] += 1
    largest = sorted(groups.items(), key=lambda pair: (-pair[1].total(), pair[0]))[:most]
    return [{"name": name, "n": n.total(), "cells": [n[label] for label in labels]} for name, n in largest]


def kept_together(group: Mapping[int, str], *, same: Iterable[tuple[str, str]] = ()) -> list[str]:
    """What no split may tear apart: the tracks of an artist, and those that hold the same recording, joined where they touch.

    Whatever was ruled on a pair, and also through tracks that are not asked about: A and C are joined where both repeat B.
    group : by track its artist's group; the answer is in the same order. same : groups that are one besides, under two names.
    """
    joined: dict[str, str] = {}

    def root(name: str) -> str:
        while name in joined:
            name = joined[name]
        return name

    of = Track.objects.filter(pk__in=list(group)[:1]).values("dataset")
    pairs = Duplicate.objects.filter(track__dataset__in=of).order_by("pk").values_list("track_id", "other_id")
    repeats = [(group.get(one, f"track:{one}"), group.get(other, f"track:{other}")) for one, other in pairs]
    for pair in (*repeats, *same):
        first, second = sorted(map(root, pair))
        if first != second:
            joined[second] = first
    return [root(name) for name in group.values()]


def datasets() -> QuerySet[Dataset]:
    return Dataset.objects.all()


def imports() -> QuerySet[Import]:
    return Import.objects.select_related("dataset", "created_by").annotate(
        n_rows=Count("rows"),
        n_coming=Count(
            "rows", filter=Q(rows__track__state__in=[Track.State.WAITING, Track.State.FETCHING, Track.State.CONVERTING])
        ),
    )


OUTCOMES = {
    "refused": ~Q(refusal="") & ~Q(refusal__startswith=ImportRow.NOT_REACHED),
    "unread": Q(refusal__startswith=ImportRow.NOT_REACHED),
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
    n_sources: int
    n_checked: int
    n_gone: int

    @property
    def is_here(self) -> bool:
        """Whether this machine fetches at all."""
        return bool(self.version)

    @property
    def is_stale(self) -> bool:
        return self.is_here and is_stale(self.age_days)


def is_stale(age_days: int | None) -> bool:
    return age_days is None or age_days > STALE_DAYS


def age_of_ytdlp() -> int | None:
    """In days, read without loading it: its version is a date; None where it is not, or where it is not installed."""
    try:
        year, month, day = (int(part) for part in version_of_ytdlp().split(".")[:3])
        return (timezone.now().date() - date(year, month, day)).days
    except ValueError:
        return None


def version_of_ytdlp() -> str:
    """Empty on a machine that only answers pages: the workers have it."""
    try:
        return metadata.version("yt-dlp")
    except metadata.PackageNotFoundError:
        return ""


def fetch_alarms() -> list[str]:
    """What an admin has to mend before videos can come in; shown on the first pages of studio and panel."""
    found: list[object] = []
    is_here = bool(version_of_ytdlp())  # where only pages are answered, what the workers meet is all that is known
    if is_here and is_stale(age_of_ytdlp()):
        found.append(_("yt-dlp is out of date: YouTube changes every few weeks, and old versions stop working."))
    if is_here and not javascript_runtime():
        found.append(_("There is no JavaScript runtime: most videos of YouTube cannot be fetched."))
    failed = Track.objects.filter(problem="outdated", state=Track.State.FAILED).count()
    if failed:
        found.append(_("YouTube's answer was not understood for %(n)d videos: yt-dlp is likely out of date.") % {"n": failed})
    return [str(words) for words in found]


NOT_SWEPT_S = 60  # it is done every ten seconds


def work_alarms() -> list[str]:
    """Whether anybody looks after the queue: without that, what dies is not found."""
    if Sweep.objects.filter(at__gte=Now() - timedelta(seconds=NOT_SWEPT_S)).exists():
        return []
    if (
        not Sweep.objects.exists()
        and not Job.objects.filter(created_at__lt=timezone.now() - timedelta(seconds=NOT_SWEPT_S)).exists()
    ):
        return []  # it has only begun
    return [
        gettext(
            "Nobody has looked after the queue for more than a minute: work that dies is not found. Are the processes “beat” and “sweeper” running?"
        )
    ]


def ingest_health() -> IngestHealth:
    version, age = version_of_ytdlp(), age_of_ytdlp()
    jobs = Job.objects.filter(task="datasets.tasks.fetch_track")
    counts = jobs.aggregate(
        queued=Count("pk", filter=Q(state=Job.State.QUEUED)),
        running=Count("pk", filter=Q(state=Job.State.RUNNING)),
        waiting=Count("pk", filter=Q(state=Job.State.QUEUED, not_before__gt=timezone.now())),
        last=Max("finished_at", filter=Q(state=Job.State.DONE)),
    )
    videos = Track.objects.filter(source=Track.Source.YOUTUBE, state__in=[Track.State.READY, Track.State.EXCLUDED]).exclude(
        sha256=""
    )
    sources = videos.aggregate(n=Count("pk"), checked=Count("source_checked_at"), gone=Count("pk", filter=~Q(source_gone="")))
    problems = Track.objects.exclude(problem="").values_list("problem").annotate(n=Count("pk")).order_by("-n")
    return IngestHealth(
        version=version,
        age_days=age,
        runtime=javascript_runtime(),
        pause=pause_of("fetch"),
        queued=counts["queued"],
        running=counts["running"],
        waiting_to_retry=counts["waiting"],
        last_success=counts["last"],
        problems=[(str(PROBLEMS.get(problem, problem)), n) for problem, n in problems]
        + [(str(words), n) for words, n in ((UNREAD, _unread_lists()), (UNUSABLE, _unusable_files())) if n],
        n_sources=sources["n"],
        n_checked=sources["checked"],
        n_gone=sources["gone"],
    )


PROBLEMS = {
    "gone": _("Gone, private or closed: final"),
    "policy": _("Not what is taken here: final"),
    "network": _("Not reached: tried again"),
    "blocked": _("Blocked as a robot: the queue pauses"),
    "outdated": _("Not understood: is yt-dlp out of date?"),
    "refused": _("Led to a place where downloads may not go"),
}


UNREAD = _("Playlists and channels that were not reached")


UNUSABLE = _("Recordings that could not be used: each says why")


def _unusable_files() -> int:
    return Track.objects.filter(state=Track.State.FAILED, problem="").count()


def _unread_lists() -> int:
    return ImportRow.objects.filter(refusal__startswith=ImportRow.NOT_REACHED).count()


def javascript_runtime() -> str:
    """The name of the runtime that yt-dlp solves YouTube's puzzles with; empty when there is none."""
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return next((name for name in ("deno", "node", "bun", "qjs") if shutil.which(name, path=folders)), "")
