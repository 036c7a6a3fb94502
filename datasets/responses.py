"""Answers that several pages give: stored files (players seek with HTTP Range, which Django's FileResponse does not answer), and what
came of a button."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from django.contrib import messages
from django.db.models import Model
from django.db.models.fields.files import FieldFile
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from datasets.errors import MERError
from datasets.models import AudioFile, Export

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")
BLOCK = 1 << 16
TYPES = {"mp3": ("mp3", "audio/mpeg"), "aac": ("m4a", "audio/mp4"), "flac": ("flac", "audio/flac")}  # by codec; else wav
LONGEST = 1 << 20  # players ask for the rest; a paused one must not hold a thread of the server


def audio_response(request: HttpRequest, played: AudioFile) -> HttpResponseBase:
    """The bytes that were asked for; the file's name tells nothing of the track, and its type is one of ours."""
    suffix, kind = TYPES.get(played.codec, ("wav", "audio/wav"))
    response = _part(request.headers.get("Range", ""), played.file, kind, longest=LONGEST)
    response["Content-Disposition"] = f'inline; filename="track.{suffix}"'
    response["Cache-Control"] = "private, max-age=3600"
    return response


def bundle_response(request: HttpRequest, export: Export) -> HttpResponseBase:
    name = f"{export.release.name}-{export.format}.zip"
    return download_response(request, export.file, filename=name, etag=export.sha256)


def download_response(request: HttpRequest, stored: FieldFile, *, filename: str, etag: str) -> HttpResponseBase:
    """A large file that can be gone on with after a broken connection, as long as it is still the same file."""
    same = request.headers.get("If-Range", f'"{etag}"') == f'"{etag}"'
    response = _part(request.headers.get("Range", "") if same else "", stored, "application/zip")
    response["Content-Disposition"] = f'attachment; filename="{filename}"'
    response["ETag"] = f'"{etag}"'
    return response


def _part(asked: str, stored: FieldFile, content_type: str, *, longest: int | None = None) -> HttpResponseBase:
    """The range of bytes that is asked for (RFC 9110, section 14), at most `longest` of them, else the whole file."""
    size = stored.size
    match = RANGE.match(asked)
    response: HttpResponseBase
    if not match or match.groups() == ("", "") or _backwards(*match.groups()):
        response = FileResponse(stored.open("rb"), content_type=content_type)
    else:
        first, last = match.groups()
        start = int(first) if first else max(0, size - int(last))
        stop = min(int(last) if first and last else size - 1, size - 1)
        stop = stop if longest is None else min(stop, start + longest - 1)
        if start >= size or not size:
            return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
        response = StreamingHttpResponse(_read(stored.open("rb"), start, stop + 1 - start), status=206, content_type=content_type)
        response["Content-Range"] = f"bytes {start}-{stop}/{size}"
        response["Content-Length"] = str(stop + 1 - start)
    response["Accept-Ranges"] = "bytes"
    return response


def _backwards(first: str, last: str) -> bool:
    """bytes=5-2 is no range: the whole file is the answer."""
    return bool(first and last) and int(last) < int(first)


def _read(file: IO[bytes], start: int, length: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        while length > 0 and (block := file.read(min(BLOCK, length))):
            length -= len(block)
            yield block


def attempt(request: HttpRequest, action: Callable[[], object], done: str) -> None:
    try:
        action()
    except MERError as fact:
        messages.error(request, str(fact))
    else:
        messages.success(request, done)


def attempt_each(request: HttpRequest, rows: Sequence[Model], action: Callable[[Any], object]) -> None:
    """Do it with each row, and say how many it was done with and what was refused, with the reasons."""
    done, refused = 0, Counter[str]()
    for row in rows:
        try:
            action(row)
            done += 1
        except MERError as fact:
            refused[str(fact)] += 1
    if not rows:
        messages.warning(request, _("Nothing was changed: tick the tracks first."))
    if done:
        messages.success(request, ngettext("Done with %(n)d track.", "Done with %(n)d tracks.", done) % {"n": done})
    for reason, times in list(refused.items())[:10]:
        messages.error(request, reason if times == 1 else f"{reason} ({times} ×)")
    if len(refused) > 10:
        messages.error(request, ngettext("and %(n)d more", "and %(n)d more", len(refused) - 10) % {"n": len(refused) - 10})


def posted(request: HttpRequest, name: str) -> str:
    """The text of a field that needs no form of its own, without the NUL that no database keeps."""
    return request.POST.get(name, "").replace("\r\n", "\n").replace("\0", "")
