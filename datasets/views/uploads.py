"""Files that a page sends piece by piece (static/js/upload.js): begin, pieces, finish."""

from django.core.files.base import ContentFile
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from datasets.access import curator_action, user_of
from datasets.errors import MERError
from datasets.forms import UploadForm
from datasets.models import Track, Upload
from datasets.services import uploads


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
    start = request.headers.get("X-Start", "")
    try:
        if int(request.headers.get("Content-Length") or 0) > uploads.PART_BYTES or not start.isdecimal() or len(start) > 15:
            return JsonResponse({"reason": "X-Start or the size of the piece is off."}, status=400)
        content = request.read(uploads.PART_BYTES + 1)
        return JsonResponse({"received": uploads.take_part(upload, int(start), ContentFile(content))})
    except (MERError, OSError) as fact:
        return JsonResponse({"reason": str(fact), "received": uploads.received(upload)}, status=409)


@curator_action
def upload_finish(request: HttpRequest, token: str) -> HttpResponse:
    upload = get_object_or_404(Upload.objects.select_related("dataset"), token=token, created_by=user_of(request))
    try:
        job = uploads.finish(upload, by=user_of(request))
    except (MERError, OSError) as fact:
        return JsonResponse({"reason": str(fact)}, status=409)
    track = Track.objects.get(pk=job.subject_id)
    return JsonResponse({"track": track.pk, "url": reverse("datasets:track", args=[track.pk])}, status=201)
