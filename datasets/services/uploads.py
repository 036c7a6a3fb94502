"""Files that browsers send piece by piece. Pieces lie in the storage, so that any web process, on any machine, takes the next one."""

from __future__ import annotations

import tempfile
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files import File
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from datasets.errors import ValueRefused
from datasets.models import Dataset, Job, Upload, UploadPart
from datasets.services import tracks

PART_BYTES = 4 * 1024**2
KEPT = timedelta(days=2)  # of an upload that nobody goes on with


def begin(*, dataset: Dataset, filename: str, size: int, artist: str = "", licence: str = "", by: User) -> Upload:
    """Open an upload, or find the one that the same person began with the same file. Raises SourceRefused by size."""
    tracks.guard_size(filename, size)
    forget_old()
    known = {"dataset": dataset, "filename": filename[:300], "size": size, "created_by": by}
    texts = {"artist": artist[:300], "licence": licence[:100]}
    upload = Upload.objects.filter(**known).order_by("-id").first() or Upload.objects.create(**known, **texts)
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
    if start != here or not 0 < size <= PART_BYTES or start + size > upload.size:
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


def finish(upload: Upload, *, by: User) -> Job:
    """All pieces are there: one file of them becomes a track. The pieces go, whether it is taken or refused."""
    if (here := received(upload)) != upload.size:
        raise ValueRefused(
            _("%(filename)s is not complete: %(here)d of %(size)d bytes are here.")
            % {"filename": upload.filename, "here": here, "size": upload.size}
        )
    with tempfile.TemporaryFile(dir=settings.WORK_DIR) as whole:
        for part in upload.parts.all():
            with part.file.open("rb") as piece:
                for block in piece.chunks():
                    whole.write(block)
        whole.seek(0)
        file = File(whole, name=upload.filename)
        file.size = upload.size
        try:
            return tracks.add_file(
                dataset=upload.dataset, file=file, filename=upload.filename, artist=upload.artist, licence=upload.licence, by=by
            )
        finally:
            discard(upload)


def discard(upload: Upload) -> None:
    for part in upload.parts.all():
        part.file.storage.delete(str(part.file.name))
    upload.delete()


def forget_old() -> None:
    for upload in Upload.objects.filter(created_at__lt=timezone.now() - KEPT):
        discard(upload)
