"""Files that browsers send piece by piece. Pieces lie in the storage, so that any web process, on any machine, takes the next one."""

from __future__ import annotations

import tempfile
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files import File
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from datasets.errors import SourceRefused, TrackExists, ValueRefused, WrongState
from datasets.models import Dataset, Track, Upload, UploadPart
from datasets.services import tracks

PART_BYTES = 4 * 1024**2
KEPT = timedelta(days=2)  # of an upload that nobody goes on with, and of the memory of one that is done
JOINED_WITHIN = timedelta(minutes=15)  # after that, whoever joined it has died
FOLDER = "uploads"


def begin(*, dataset: Dataset, filename: str, size: int, mark: str, artist: str = "", licence: str = "", by: User) -> Upload:
    """Open an upload, or find the one that the same person began with the same file. Raises SourceRefused by size.

    mark : what the browser reckoned of the file's bytes; another file of the same name and size has another.
    """
    tracks.guard_size(filename, size)
    known = {"dataset": dataset, "filename": filename[:300], "size": size, "mark": mark, "created_by": by}
    texts = {"artist": artist[:300], "licence": licence[:100]}
    going_on = Upload.objects.filter(**known).exclude(state=Upload.State.DONE).order_by("-id").first()
    upload = going_on or Upload.objects.create(**known, **texts)
    Upload.objects.filter(pk=upload.pk).update(**texts)
    return upload


def received(upload: Upload) -> int:
    """Bytes from the beginning on that are there without a gap."""
    end = 0
    for start, size in upload.parts.values_list("start", "size"):
        if start != end:
            break
        end += size
    return end


def take_part(upload: Upload, start: int, content: File[bytes]) -> int:
    """Keep one piece and return where the next begins. A piece that is there already is not stored again."""
    here = received(upload)
    size = content.size
    if start < here:
        return here
    if start != here or not 0 < size <= PART_BYTES or start + size > upload.size or upload.state != Upload.State.OPEN:
        raise ValueRefused(
            _("The piece of %(size)d bytes at %(start)d does not fit: the next begins at %(here)d of %(total)d.")
            % {"size": size, "start": start, "here": here, "total": upload.size}
        )
    part = UploadPart(upload=upload, start=start, size=size)
    part.file.save("part", content, save=False)
    try:
        with transaction.atomic():
            part.save()
    except IntegrityError:  # the same piece, sent twice at once
        part.file.storage.delete(str(part.file.name))
    return received(upload)


def finish(upload: Upload, *, by: User) -> Track:
    """All pieces are there: one file of them becomes a track. Asked again, it answers with the same track.

    What is refused for good is forgotten with its pieces; after anything that may pass, all pieces are still there.
    """
    if upload.track_id and upload.state == Upload.State.DONE:
        return Track.objects.get(pk=upload.track_id)
    if (here := received(upload)) != upload.size:
        raise ValueRefused(
            _("%(filename)s is not complete: %(here)d of %(size)d bytes are here.")
            % {"filename": upload.filename, "here": here, "size": upload.size}
        )
    _claim(upload)
    try:
        track = _join(upload, by)
    except (TrackExists, SourceRefused):
        discard(upload)
        raise
    except BaseException:
        Upload.objects.filter(pk=upload.pk).update(state=Upload.State.OPEN, joining_since=None)
        raise
    Upload.objects.filter(pk=upload.pk).update(state=Upload.State.DONE, track=track)
    upload.parts.all().delete()
    _remove_pieces(upload.token)
    return track


def _claim(upload: Upload) -> None:
    """One joins it at a time; one that has died gives it back after a while."""
    now = timezone.now()
    free = Q(state=Upload.State.OPEN) | Q(state=Upload.State.JOINING, joining_since__lt=now - JOINED_WITHIN)
    if not Upload.objects.filter(free, pk=upload.pk).update(state=Upload.State.JOINING, joining_since=now):
        raise WrongState(_("%(filename)s is being put together already.") % {"filename": upload.filename})


def _join(upload: Upload, by: User) -> Track:
    with tempfile.TemporaryFile(dir=settings.WORK_DIR) as whole:
        for part in upload.parts.all():
            with part.file.open("rb") as piece:
                for block in piece.chunks():
                    whole.write(block)
        if whole.tell() != upload.size:
            raise WrongState(_("%(filename)s has changed meanwhile. Choose it again.") % {"filename": upload.filename})
        file = File(whole, name=upload.filename)
        file.size = upload.size
        job = tracks.add_file(
            dataset=upload.dataset, file=file, filename=upload.filename, artist=upload.artist, licence=upload.licence, by=by
        )
    return Track.objects.get(pk=job.subject_id)


def discard(upload: Upload) -> None:
    """Forget an upload, then its pieces: whatever is interrupted in between is removed by `forget_old`."""
    token = upload.token
    upload.delete()
    _remove_pieces(token)


def _remove_pieces(token: str) -> None:
    storage = UploadPart._meta.get_field("file").storage
    try:
        _folders, files = storage.listdir(f"{FOLDER}/{token}")
    except FileNotFoundError:
        return
    for name in files:
        storage.delete(f"{FOLDER}/{token}/{name}")
    storage.delete(f"{FOLDER}/{token}")


def forget_old() -> None:
    """Uploads that nobody goes on with, and pieces whose upload is gone or done."""
    for upload in Upload.objects.filter(created_at__lt=timezone.now() - KEPT):
        discard(upload)
    try:
        folders, _files = UploadPart._meta.get_field("file").storage.listdir(FOLDER)
    except FileNotFoundError:
        return
    alive = set(Upload.objects.exclude(state=Upload.State.DONE).values_list("token", flat=True))
    for token in set(folders) - alive:
        _remove_pieces(token)
