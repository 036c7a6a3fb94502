"""Lists of tracks: read, looked at, confirmed, brought in row by row, kept as the record of what came of each."""

from collections.abc import Sequence

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from datasets.errors import DatasetsError, WrongState
from datasets.methods import addresses, network
from datasets.methods.lists import Line, as_clock
from datasets.methods.youtube import Access, Entry
from datasets.models import Dataset, Import, ImportRow, Job, Track
from datasets.services import queue, tracks
from datasets.services.audit import change_state, record
from datasets.signals import job_failed

READ = "datasets.tasks.read_import"
RUN = "datasets.tasks.run_import"


def access() -> Access:
    """How the site is reached, from the settings."""
    return Access(
        cookies_file=settings.FETCH_COOKIES_FILE,
        proxy=settings.FETCH_PROXY,
        rate_limit=settings.FETCH_RATE_LIMIT,
        sleep_s=settings.FETCH_SLEEP_S,
        hosts=(*network.YOUTUBE_HOSTS, *settings.FETCH_HOSTS),
        api_key=settings.YOUTUBE_API_KEY,
    )


@transaction.atomic
def create_import(
    *, dataset: Dataset, name: str, lines: Sequence[Line], artist: str = "", licence: str = "", by: User | None = None
) -> Import:
    """Keep a list with what is to become of each row; nothing is fetched but the contents of playlists and channels."""
    owner = Import.objects.create(dataset=dataset, name=name[:300], created_by=by)
    rows = [_row(owner, line, artist=artist, licence=licence) for line in lines]
    _mark_repeats(owner, rows)
    _mark_names(owner, rows)
    ImportRow.objects.bulk_create(rows, batch_size=500)
    record(owner, to=Import.State.PREVIEW, actor=by, reason=f"{len(rows)} rows")
    if rows_to_read(owner).exists():
        change_state(owner, to=Import.State.READING, allowed=(Import.State.PREVIEW,), actor=by)
        queue.enqueue(READ, owner, title=f"Read the playlists of “{owner.name}”", url=owner.get_absolute_url(), by=by)
    return owner


def _row(owner: Import, line: Line, *, artist: str, licence: str) -> ImportRow:
    row = ImportRow(
        owner=owner, number=line.number, address=line.address, title=line.title, artist=line.artist or artist,
        licence=line.licence or licence, genre=line.genre, country=line.country, reference=line.external_id, start_s=line.start_s, end_s=line.end_s, refusal=line.problem[:500],
    )  # fmt: skip
    if not row.refusal:
        try:
            found = addresses.parse(line.address)
            row.kind, row.identifier = found.kind, found.identifier[:120]
            row.refusal = _outside(owner.dataset, row)
        except DatasetsError as fact:
            row.refusal = str(fact)[:500]
    return row


def _outside(dataset: Dataset, row: ImportRow) -> str:
    """Why a row's stretch is not within the range that its dataset takes; empty where it is."""
    if row.start_s is None and row.end_s is None:
        return ""
    if (row.start_s or 0) >= settings.TRACK_MAX_MINUTES * 60:
        most = settings.TRACK_MAX_MINUTES
        return f"It begins at {as_clock(row.start_s or 0)}: later than a recording that is taken can end ({most} minutes)."
    if row.end_s is not None:
        duration_s = row.end_s - (row.start_s or 0)
        if duration_s < dataset.shortest_s:
            return (
                f"Its stretch is {duration_s:g} seconds long; “{dataset}” takes none shorter than {dataset.shortest_s:g} seconds."
            )
        if duration_s > dataset.longest:
            return f"Its stretch is {as_clock(duration_s)} long; none longer than {as_clock(dataset.longest)} is taken."
    first, last = dataset.range_start_s or 0, dataset.range_end_s
    if (row.start_s or 0) >= first and (last is None or (row.end_s is not None and row.end_s <= last)):
        return ""
    taken = f"{as_clock(first)} to {'the end' if last is None else as_clock(last)}"
    return f"Its stretch is not within the range that “{dataset}” takes: {taken}."


def _mark_repeats(owner: Import, rows: Sequence[ImportRow]) -> None:
    """A video that stands in the list before, or is in the dataset already, is not brought in again."""
    videos = [row for row in rows if row.kind == "video" and not row.refusal]
    known = dict(owner.dataset.tracks.filter(external_id__in={row.identifier for row in videos}).values_list("external_id", "pk"))
    first: dict[str, int] = dict(
        owner.rows.filter(kind="video", refusal="")
        .exclude(pk__in=[row.pk for row in rows if row.pk])
        .values_list("identifier", "number")
    )
    for row in videos:
        if row.identifier in known:
            row.refusal = f"This video is in “{owner.dataset}” already, as track {known[row.identifier]}."
        elif row.identifier in first:
            row.refusal = f"The same video as in line {first[row.identifier]}."
        else:
            first[row.identifier] = row.number


def rows_to_read(owner: Import) -> QuerySet[ImportRow]:
    return owner.rows.filter(kind__in=["playlist", "channel"], refusal="")


def rows_to_bring_in(owner: Import) -> QuerySet[ImportRow]:
    return owner.rows.filter(kind="video", refusal="", track=None)


def refuse(row: ImportRow, reason: str) -> None:
    ImportRow.objects.filter(pk=row.pk).update(refusal=reason[:500])


@transaction.atomic
def unfold(row: ImportRow, title: str, entries: Sequence[Entry]) -> None:
    """Put the videos of a playlist or a channel in the place of its row."""
    if not entries:
        return refuse(row, f"The {row.kind} “{title}” has no videos that can be seen.")
    videos = [
        ImportRow(
            owner=row.owner, number=row.number, address=addresses.video(entry.identifier).url, kind="video", identifier=entry.identifier,
            title=entry.title[:300], artist=row.artist, licence=row.licence, genre=row.genre, country=row.country,
            start_s=row.start_s, end_s=row.end_s,
        )
        for entry in entries
    ]  # fmt: skip
    _mark_repeats(row.owner, videos)
    ImportRow.objects.bulk_create(videos, batch_size=500)
    row.delete()
    return None


def _mark_names(owner: Import, rows: Sequence[ImportRow]) -> None:
    """An external id names one track: ratings that come later could not tell two apart."""
    named = [row for row in rows if row.reference and not row.refusal]
    known = set(owner.dataset.tracks.filter(reference__in={row.reference for row in named}).values_list("reference", flat=True))
    first: dict[str, int] = {}
    for row in named:
        if row.reference in known:
            row.refusal = f"The external id “{row.reference}” names another track of “{owner.dataset}” already."
        elif row.reference in first:
            row.refusal = f"The same external id as in line {first[row.reference]}: “{row.reference}”."
        else:
            first[row.reference] = row.number


def rows_to_read_again(owner: Import) -> QuerySet[ImportRow]:
    """Playlists and channels that were not reached."""
    return owner.rows.filter(kind__in=["playlist", "channel"], refusal__startswith=ImportRow.NOT_REACHED)


@transaction.atomic
def read_again(owner: Import, *, by: User) -> Job:
    """Try the playlists and channels once more that were not reached; then the preview shows their videos."""
    if not rows_to_read_again(owner).exists():
        raise WrongState(_("Every playlist of this list was read."))
    change_state(owner, to=Import.State.READING, allowed=(Import.State.PREVIEW, Import.State.DONE), actor=by)
    rows_to_read_again(owner).update(refusal="")
    return queue.enqueue(READ, owner, title=f"Read the playlists of “{owner.name}”", url=owner.get_absolute_url(), by=by)


def ready_for_preview(owner: Import) -> None:
    change_state(owner, to=Import.State.PREVIEW, allowed=(Import.State.READING,))


@transaction.atomic
def confirm(owner: Import, *, by: User) -> Job:
    """Bring in what the preview shows."""
    if not rows_to_bring_in(owner).exists():
        raise WrongState(_("No row of this list can be brought in: each says why."))
    change_state(owner, to=Import.State.RUNNING, allowed=(Import.State.PREVIEW,), actor=by)
    return queue.enqueue(RUN, owner, title=f"Bring in “{owner.name}”", url=owner.get_absolute_url(), by=by)


@transaction.atomic
def discard(owner: Import, *, by: User) -> None:
    """Throw a list away before anything came of it."""
    change_state(owner, to="discarded", allowed=(Import.State.PREVIEW,), actor=by)
    owner.delete()


def bring_in(owner: Import, row: ImportRow) -> None:
    """One row and its track, in one step."""
    try:
        with transaction.atomic():
            job = tracks.add_youtube(
                dataset=owner.dataset, address=row.address, title=row.title, artist=row.artist, licence=row.licence,
                genre=row.genre, country=row.country, reference=row.reference, start_s=row.start_s, end_s=row.end_s, by=owner.created_by,
            )  # fmt: skip
            ImportRow.objects.filter(pk=row.pk).update(track=job.subject_id)
    except DatasetsError as fact:
        refuse(row, str(fact))


def finish(owner: Import) -> None:
    change_state(owner, to=Import.State.DONE, allowed=(Import.State.RUNNING,))


def retry_failed(owner: Import, *, by: User) -> int:
    """Try again the tracks of this list that failed."""
    n = 0
    for track in Track.objects.filter(pk__in=owner.rows.values("track"), state=Track.State.FAILED):
        try:
            tracks.retry_track(track, by=by)
            n += 1
        except WrongState:
            continue  # somebody has tried it again meanwhile
    return n


def _job_failed(sender: object, job: Job, **kwargs: object) -> None:
    """A list whose reading or running ended badly goes back to its preview, from where it can be confirmed again."""
    if job.task not in (READ, RUN):
        return
    owner = Import.objects.filter(pk=job.subject_id, state__in=[Import.State.READING, Import.State.RUNNING]).first()
    if owner:
        change_state(owner, to=Import.State.PREVIEW, allowed=(owner.state,), reason=job.reason)


def connect() -> None:
    job_failed.connect(_job_failed, dispatch_uid="datasets.imports")
