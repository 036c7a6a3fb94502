"""Bringing tracks in, moving them through their states, leaving them out."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files import File
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet, Sum
from django.urls import reverse
from django.utils.translation import gettext as _

from datasets.errors import DiskFull, PolicyRefused, SourceRefused, TrackExists, WrongState
from datasets.methods import addresses, audio, schemes, youtube
from datasets.models import AudioFile, Dataset, Duplicate, Job, Track
from datasets.services import queue
from datasets.services.audit import change_state, record
from datasets.services.labels import set_labels
from datasets.signals import job_failed, job_retried, track_ready

CONVERT = "datasets.tasks.convert_track"
FETCH = "datasets.tasks.fetch_track"
DEFAULT_DATASET = "Main"


@transaction.atomic
def create_dataset(*, name: str, description: str = "", synthetic: bool = False) -> Dataset:
    dataset = Dataset.objects.create(name=name, description=description, synthetic=synthetic)
    set_labels(dataset, schemes.PAPER)
    return dataset


def default_dataset() -> Dataset:
    """The dataset that is meant when none is named: the first that holds real music."""
    return Dataset.objects.filter(synthetic=False).order_by("id").first() or create_dataset(name=DEFAULT_DATASET)


def add_file(
    *, dataset: Dataset, file: File[bytes], filename: str, title: str = "", artist: str = "", licence: str = "", genre: str = "",
    country: str = "", external_id: str = "", start_s: float | None = None, end_s: float | None = None, source_url: str = "", source: str = Track.Source.FILE, by: User | None = None, wake_worker: bool = True,
) -> Job:  # fmt: skip
    """Keep an uploaded or local file as a new track's original and queue its conversion.

    Raises SourceRefused for an empty or oversized file, TrackExists for one that is already in the dataset.
    """
    guard_size(filename, file.size)
    sha256 = audio.sha256_of(file)
    if (twin := dataset.tracks.filter(sha256=sha256).first()) is not None:
        if twin.state == Track.State.FAILED and not twin.files.exists():
            return _give_file(twin, file, filename, by=by, wake_worker=wake_worker)
        raise _exists(dataset, filename, twin)
    track = Track(
        dataset=dataset,
        title=(title or Path(filename).stem or _("Untitled"))[:300],
        artist=artist[:300],
        licence=licence[:100],
        genre=genre[:100],
        country=country[:100],
        start_s=start_s,
        end_s=end_s,
        source=source,
        source_url=source_url[:500],
        external_id=external_id[:100],
        sha256=sha256,
    )
    try:
        name = put_file(track, AudioFile.Kind.ORIGINAL, file, audio.safe_suffix(filename))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise DiskFull(
            _("%(filename)s was not taken: the disk of the studio is full. Tell an admin; nothing else was lost.")
            % {"filename": filename}
        ) from None
    try:
        with transaction.atomic():
            track.save()
            record_file(track, AudioFile.Kind.ORIGINAL, name, size=file.size, sha256=sha256)
            record(track, to=Track.State.WAITING, actor=by, reason=f"Brought in from {filename}")
            return queue.enqueue(CONVERT, track, title=f"Convert “{track.title}”", url=_url(track), by=by, wake_worker=wake_worker)
    except IntegrityError:
        AudioFile._meta.get_field("file").storage.delete(name)
        raise _exists(dataset, filename, _twin(dataset, sha256=sha256, external_id=track.external_id)) from None


def _give_file(track: Track, file: File[bytes], filename: str, *, by: User | None, wake_worker: bool) -> Job:
    """The file that a track of another studio's release waits for."""
    name = put_file(track, AudioFile.Kind.ORIGINAL, file, audio.safe_suffix(filename))
    with transaction.atomic():
        change_state(track, to=Track.State.WAITING, allowed=(Track.State.FAILED,), actor=by, reason=f"Its file came: {filename}")
        Track.objects.filter(pk=track.pk).update(reason="")
        record_file(track, AudioFile.Kind.ORIGINAL, name, size=file.size, sha256=track.sha256)
        return queue.enqueue(CONVERT, track, title=f"Convert “{track.title}”", url=_url(track), by=by, wake_worker=wake_worker)


def take_over(track: Track, recording: File[bytes] | None, *, by: User | None) -> None:
    """Save a track that another studio released, with its recording where that came along, and queue what makes it ready."""
    name = ""
    if recording:
        name = put_file(track, AudioFile.Kind.ORIGINAL, recording, audio.safe_suffix(str(recording.name)))
    is_video = track.source == Track.Source.YOUTUBE
    if not recording and not is_video:
        track.state, track.reason = (
            Track.State.FAILED,
            _("Its recording did not come along: add the file, and it takes its place here."),
        )
    with transaction.atomic():
        track.save()
        record(track, to=track.state, actor=by, reason="Brought in with another studio's release")
        if recording:
            record_file(track, AudioFile.Kind.ORIGINAL, name, size=recording.size, sha256=track.sha256)
            queue.enqueue(CONVERT, track, title=f"Convert “{track.title}”", url=_url(track), by=by)
        elif is_video:
            queue.enqueue(FETCH, track, title=f"Fetch {track.source_url}", url=_url(track), by=by)


def add_youtube(
    *,
    dataset: Dataset,
    address: str,
    title: str = "",
    artist: str = "",
    licence: str = "",
    genre: str = "",
    country: str = "",
    reference: str = "",
    start_s: float | None = None,
    end_s: float | None = None,
    by: User | None = None,
    wake_worker: bool = True,
) -> Job:
    """Queue one video. Raises AddressRefused, or TrackExists for a video that is already in the dataset."""
    found = addresses.parse(address)
    if found.kind != "video":
        raise SourceRefused(
            _("“%(address)s” is a %(kind)s. Bring it in as a list: then its videos are shown before anything is fetched.")
            % {"address": address, "kind": found.kind}
        )
    identifier, url = found.identifier, found.url
    try:
        with transaction.atomic():
            track = Track.objects.create(
                dataset=dataset,
                title=title or url,
                artist=artist,
                licence=licence,
                genre=genre,
                country=country,
                reference=reference,
                source=Track.Source.YOUTUBE,
                source_url=url,
                external_id=identifier,
                start_s=start_s,
                end_s=end_s,
            )
            record(track, to=Track.State.WAITING, actor=by, reason=f"Brought in from {url}")
            return queue.enqueue(FETCH, track, title=f"Fetch {url}", url=_url(track), by=by, wake_worker=wake_worker)
    except IntegrityError:
        raise _exists(dataset, url, _twin(dataset, external_id=identifier)) from None


def guard_size(filename: str, size: int) -> None:
    """Raises SourceRefused for an empty or oversized file."""
    if size == 0:
        raise SourceRefused(_("%(filename)s is empty (0 bytes). Choose the recording itself.") % {"filename": filename})
    if size > settings.UPLOAD_MAX_MB * 1024**2:
        megabytes = size / 1024**2
        raise SourceRefused(
            _("%(filename)s has %(megabytes)s MB; at most %(UPLOAD_MAX_MB)s MB are taken (the setting UPLOAD_MAX_MB).")
            % {"filename": filename, "megabytes": f"{megabytes:,.0f}", "UPLOAD_MAX_MB": settings.UPLOAD_MAX_MB}
        )
    if settings.MEDIA_QUOTA_GB:
        used = AudioFile.objects.aggregate(n=Sum("size"))["n"] or 0
        if used + size > settings.MEDIA_QUOTA_GB * 1024**3:
            raise SourceRefused(
                _(
                    "%(filename)s does not fit: recordings take %(used)s of %(quota)s GB (the setting MEDIA_QUOTA_GB). Remove some, or ask an admin."
                )
                % {"filename": filename, "used": f"{used / 1024**3:.2f}", "quota": f"{settings.MEDIA_QUOTA_GB:g}"}
            )


def _twin(dataset: Dataset, *, sha256: str = "", external_id: str = "") -> Track | None:
    """The track that a new one would repeat."""
    same_file = dataset.tracks.filter(sha256=sha256).first() if sha256 else None
    return same_file or (dataset.tracks.filter(external_id=external_id).first() if external_id else None)


def _exists(dataset: Dataset, what: str, twin: Track | None) -> TrackExists:
    name = f"“{twin.title}” (track {twin.pk})" if twin else "a track that came in at the same moment"
    words = _("%(what)s is already in “%(dataset)s” as %(name)s.") % {"what": what, "dataset": dataset, "name": name}
    if twin and twin.state in (Track.State.FAILED, Track.State.EXCLUDED):
        words += " " + _("That track is not in use (%(state)s: %(reason)s): mend it on its page and try it again.") % {
            "state": twin.get_state_display(), "reason": twin.reason,
        }  # fmt: skip
    return TrackExists(words, twin.pk if twin else None)


def _url(track: Track) -> str:
    return reverse("datasets:track", args=[track.pk])


def put_file(track: Track, kind: str, file: File[bytes], suffix: str) -> str:
    """Write a file into the storage and return its name, replacing what an interrupted attempt left there.

    Outside any transaction: copying takes time, and on SQLite a transaction keeps everybody else from writing.
    """
    field = AudioFile._meta.get_field("file")
    name = field.generate_filename(AudioFile(track=track, kind=kind), suffix)
    field.storage.delete(name)
    return field.storage.save(name, file)


def record_file(track: Track, kind: str, name: str, **facts: object) -> None:
    AudioFile.objects.update_or_create(track=track, kind=kind, defaults={"file": name, **facts})


def wait_for_another_try(track: Track, reason: str) -> None:
    """Fetching met something that may pass: the track waits, and says for what."""
    reason = reason + " " + _("It is tried again by itself.")
    change_state(track, to=Track.State.WAITING, allowed=(Track.State.FETCHING,), reason=reason)
    Track.objects.filter(pk=track.pk).update(reason=reason)


def start_step(track: Track, state: str) -> None:
    """Fetching or converting begins (or begins again after a dead worker or a retry)."""
    allowed = (Track.State.WAITING, Track.State.FETCHING, Track.State.CONVERTING, Track.State.FAILED)
    change_state(track, to=state, allowed=allowed)
    Track.objects.filter(pk=track.pk).update(reason="", problem="")


def finish_fetch(track: Track, fetched: youtube.Fetched, original: File[bytes], sha256: str) -> None:
    """Store what was fetched, then record it and queue the conversion in one step."""
    twin = track.dataset.tracks.filter(sha256=sha256).exclude(pk=track.pk).first()
    if twin:
        raise _exists(track.dataset, "The same recording", twin)
    guard_size(fetched.title[:100], original.size)
    name = put_file(track, AudioFile.Kind.ORIGINAL, original, audio.safe_suffix(fetched.path.name))
    with transaction.atomic():
        record_file(track, AudioFile.Kind.ORIGINAL, name, size=original.size, sha256=sha256)
        change_state(
            track,
            to=Track.State.CONVERTING,
            allowed=(Track.State.FETCHING,),
            sha256=sha256,
            title=fetched.title[:300] if track.title == track.source_url else track.title,
            artist=track.artist or fetched.artist[:300],
            licence=track.licence or fetched.licence[:100],
            channel=fetched.channel[:100],
        )
        queue.enqueue(CONVERT, track, title=f"Convert “{track.title}”", url=_url(track))


def refuse_by_policy(track: Track, duration_s: float) -> None:
    """Raises PolicyRefused when the dataset does not take such a recording."""
    dataset = track.dataset
    if duration_s < dataset.shortest_s:
        raise PolicyRefused(
            _("The recording is %(duration).1f seconds long; “%(dataset)s” takes none shorter than %(limit).1f seconds.")
            % {"duration": duration_s, "dataset": dataset, "limit": dataset.shortest_s}
        )
    if dataset.longest_s is not None and duration_s > dataset.longest_s:
        raise PolicyRefused(
            _("The recording is %(duration).1f seconds long; “%(dataset)s” takes none longer than %(limit).1f seconds.")
            % {"duration": duration_s, "dataset": dataset, "limit": dataset.longest_s}
        )
    if dataset.licence_required and not track.licence:
        raise PolicyRefused(_("No licence is known, and “%(dataset)s” takes no recording without one.") % {"dataset": dataset})


NOBODY = {"", "unknown", "unknown artist", "<unknown>", "various", "various artists", "va", "n/a", "none", "-", "artist"}


def make_ready(track: Track, wav: Path, stream: Path | None, converted: audio.Converted, measured: audio.Measured) -> None:
    """Store the wav and the copy for players, then record them with what was measured and announce the track in one step.

    Without such a copy, players get the original.
    """
    loudness = converted.loudness
    facts: dict[str, object] = {"codec": "pcm_s16le", "sample_rate": audio.SAMPLE_RATE, "channels": 1, "peaks": measured.peaks}
    facts |= {"loudness_lufs": loudness.integrated_lufs, "peak_db": loudness.peak_db}
    facts |= {"silence_share": measured.silence_share, "clipped_share": converted.clipped_share}
    made = {AudioFile.Kind.WAV: (wav, facts)}
    if stream:
        made[AudioFile.Kind.STREAM] = (stream, {"codec": audio.CODECS[stream.suffix[1:]], "plays": True})
    stored: list[tuple[str, str, dict[str, Any]]] = []
    for kind, (path, values) in made.items():
        with path.open("rb") as file:
            name = put_file(track, kind, File(file), path.suffix[1:])
            stored.append((kind, name, {"size": path.stat().st_size, "sha256": audio.sha256_of(file), **values}))
    try:
        _record_ready(track, stored, converted, is_original_played=stream is None)
    except WrongState:  # it was left out meanwhile
        for _kind, name, _values in stored:
            AudioFile._meta.get_field("file").storage.delete(name)
        raise


@transaction.atomic
def _record_ready(
    track: Track, stored: list[tuple[str, str, dict[str, Any]]], converted: audio.Converted, *, is_original_played: bool
) -> None:
    source, duration_s = converted.probe, converted.duration_s
    for kind, name, values in stored:
        record_file(track, kind, name, duration_s=duration_s, **values)
    AudioFile.objects.filter(track=track, kind=AudioFile.Kind.ORIGINAL).update(
        codec=source.codec,
        sample_rate=source.sample_rate,
        channels=source.channels,
        plays=is_original_played,
        duration_s=duration_s if track.stretch == (None, None) else source.claimed_s,
    )
    change_state(track, to=Track.State.READY, allowed=(Track.State.CONVERTING,), duration_s=duration_s)
    # Who plays matters for the splits, and a file often says it. Nothing that a person wrote meanwhile is written over.
    artist = converted.tags.get("artist", "")[:300]
    is_name = artist.casefold() not in NOBODY and "\ufffd" not in artist
    if is_name and Track.objects.filter(pk=track.pk, artist="").update(artist=artist):
        record(track, to="described", before=Track.State.READY, reason=f"artist: “” → “{artist}” (from the file's tags)")
    track_ready.send(Track, track=track)


def note_consensus(track_id: int, *, label: str, agreement: float | None) -> None:
    """What the floor above settled on a track, kept beside it for lists and filters."""
    Track.objects.filter(pk=track_id).update(label=label, agreement=agreement)


@transaction.atomic
def describe_track(track: Track, fields: Sequence[str], *, by: User) -> None:
    """Write down the changed fields of a track; frozen releases keep what they were frozen with."""
    if not fields:
        raise WrongState(_("Nothing was changed."))
    before = Track.objects.filter(pk=track.pk).values(*fields).get()
    Track.objects.filter(pk=track.pk).update(**{field: getattr(track, field) for field in fields})
    changes = "; ".join(f"{field}: “{before[field]}” → “{getattr(track, field)}”" for field in fields)
    record(track, to="described", before=track.state, actor=by, reason=changes[:500])


MOVING = (Track.State.WAITING, Track.State.FETCHING, Track.State.CONVERTING)


@transaction.atomic
def exclude_track(track: Track, *, reason: str, by: User) -> None:
    """Leave a track out; the work on one that is still coming in is cancelled."""
    if not reason.strip():
        raise WrongState(_("Say why the track is left out: the reason is shown with every release."))
    allowed = (Track.State.READY, Track.State.FAILED, *MOVING)
    change_state(track, to=Track.State.EXCLUDED, allowed=allowed, actor=by, reason=reason.strip())
    Track.objects.filter(pk=track.pk).update(reason=reason.strip())
    for job in _work_on(track).filter(state__in=[Job.State.QUEUED, Job.State.RUNNING]):
        queue.cancel(job, by=by)


@transaction.atomic
def restore_track(track: Track, *, by: User) -> None:
    """Undo an exclusion: back to ready when the track has its wav, else to failed, from where it can be retried.

    Where it was left out as a duplicate, both copies are here again, and the pair is to be looked at again.
    """
    has_wav = track.files.filter(kind=AudioFile.Kind.WAV).exists()
    state = Track.State.READY if has_wav else Track.State.FAILED
    change_state(track, to=state, allowed=(Track.State.EXCLUDED,), actor=by, reason="Restored")
    Track.objects.filter(pk=track.pk).update(reason="" if has_wav else "It is not converted yet: try it again.")
    pairs = Duplicate.objects.filter(Q(track=track) | Q(other=track), state=Duplicate.State.MERGED)
    for pair in pairs.filter(track__state=Track.State.READY, other__state=Track.State.READY):
        change_state(pair, to=Duplicate.State.OPEN, allowed=(Duplicate.State.MERGED,), actor=by, left_out=None)


def _work_on(track: Track) -> QuerySet[Job]:
    return Job.objects.filter(subject="track", subject_id=track.pk, task__in=[FETCH, CONVERT]).order_by("-id")


def cancel_track(track: Track, *, by: User) -> None:
    """Stop fetching or converting a track; from failed it can be tried again or left out."""
    job = _work_on(track).filter(state__in=[Job.State.QUEUED, Job.State.RUNNING]).first()
    if track.state not in MOVING or job is None:
        raise WrongState(_("“%(title)s” is not coming in: there is nothing to cancel.") % {"title": track.title})
    queue.cancel(job, by=by)


def retry_track(track: Track, *, by: User) -> None:
    """Try the work again that a track failed at."""
    job = _work_on(track).first()
    track.refresh_from_db()
    if track.state != Track.State.FAILED:
        raise WrongState(_("“%(title)s” has not failed: there is nothing to try again.") % {"title": track.title})
    if job is not None:
        return queue.retry(job, by=by)
    is_here = track.files.filter(kind=AudioFile.Kind.ORIGINAL).exists()
    if not is_here and track.source != Track.Source.YOUTUBE:
        raise WrongState(_("The file of “%(title)s” is not here: add it, and it takes its place.") % {"title": track.title})
    with transaction.atomic():  # its job was cleared away with other old ones
        change_state(track, to=Track.State.WAITING, allowed=(Track.State.FAILED,), actor=by, reason="Tried again")
        Track.objects.filter(pk=track.pk).update(reason="")
        task, title = (CONVERT, f"Convert “{track.title}”") if is_here else (FETCH, f"Fetch {track.source_url}")
        queue.enqueue(task, track, title=title, url=_url(track), by=by)
    return None


def _job_failed(sender: object, job: Job, **kwargs: object) -> None:
    """A track whose work ended badly says why; the job can be retried from its page."""
    if job.task not in (CONVERT, FETCH):
        return
    track = Track.objects.filter(pk=job.subject_id).first()
    if track and track.state in MOVING:
        change_state(track, to=Track.State.FAILED, allowed=(track.state,), reason=job.reason)
        Track.objects.filter(pk=track.pk).update(reason=job.reason)


def _job_retried(sender: object, job: Job, by: User, **kwargs: object) -> None:
    """Its track is coming in again; one that was left out meanwhile is not."""
    if job.task not in (CONVERT, FETCH):
        return
    track = Track.objects.filter(pk=job.subject_id).first()
    if track and track.state == Track.State.EXCLUDED:
        raise WrongState(_("“%(title)s” was left out: take it back in first.") % {"title": track.title})
    if track and track.state == Track.State.FAILED:
        change_state(track, to=Track.State.WAITING, allowed=(Track.State.FAILED,), actor=by, reason="Tried again")
        Track.objects.filter(pk=track.pk).update(reason="")


def connect() -> None:
    job_failed.connect(_job_failed, dispatch_uid="datasets.tracks")
    job_retried.connect(_job_retried, dispatch_uid="datasets.tracks")
