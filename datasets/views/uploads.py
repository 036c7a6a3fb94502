"""Files that a page sends piece by piece (static/js/upload.js): begin, pieces, finish."""

import logging

from django.core.files.base import ContentFile
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from datasets.access import curator_action, user_of
from datasets.errors import MERError, is_of_storage
from datasets.forms import UploadForm
from datasets.models import Upload
from datasets.services import uploads

logger = logging.getLogger(__name__)
AWAY = _("The studio’s storage did not answer. It goes on by itself; nothing is lost.")


@curator_action
def upload_begin(request: HttpRequest) -> HttpResponse:
    form = UploadForm(request.POST)
    if not form.is_valid():
        problem = "; ".join(f"{name}: {' '.join(map(str, errors))}" for name, errors in form.errors.items())
        return JsonResponse({"reason": problem}, status=400)
    try:
        upload = uploads.begin(by=user_of(request), **form.cleaned_data)
    except MERError as fact:
        return JsonResponse({"reason": str(fact)}, status=400)
    address = reverse("datasets:upload_part", args=[upload.token])
    done = reverse("datasets:upload_finish", args=[upload.token])
    return JsonResponse({"part": address, "finish": done, "received": uploads.received(upload), "part_bytes": uploads.PART_BYTES})


@curator_action
def upload_part(request: HttpRequest, token: str) -> HttpResponse:
    upload = get_object_or_404(Upload, token=token, created_by=user_of(request))
    start, length = request.headers.get("X-Start", ""), request.headers.get("Content-Length", "")
    plain = request.content_type == "application/octet-stream" and length.isdecimal() and start.isdecimal() and len(start) < 16
    if not plain or int(length) > uploads.PART_BYTES:
        return JsonResponse({"reason": "Send a piece as application/octet-stream with X-Start, at most 4 MB."}, status=400)
    try:
        content = request.read(uploads.PART_BYTES + 1)
        return JsonResponse({"received": uploads.take_part(upload, int(start), ContentFile(content))})
    except MERError as fact:
        return JsonResponse({"reason": str(fact), "received": uploads.received(upload)}, status=409)
    except Exception as error:
        if not is_of_storage(error):
            raise
        logger.exception("A piece of upload %s was not stored", upload.pk)
        return JsonResponse({"reason": AWAY}, status=503)


@curator_action
def upload_finish(request: HttpRequest, token: str) -> HttpResponse:
    upload = get_object_or_404(Upload.objects.select_related("dataset"), token=token, created_by=user_of(request))
    try:
        track = uploads.finish(upload, by=user_of(request))
    except MERError as fact:
        return JsonResponse({"reason": str(fact)}, status=409)
    except Exception as error:
        if not is_of_storage(error):
            raise
        logger.exception("Upload %s was not put together", upload.pk)
        return JsonResponse({"reason": AWAY}, status=503)
    about = {
        "track": track.pk,
        "url": reverse("datasets:track", args=[track.pk]),
        "follow": reverse("track-detail", args=[track.pk]),
    }
    return JsonResponse(about, status=201)
