"""The tracks: their list, adding some, the page of one."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from datasets import selectors
from datasets.access import curator_action, curator_required, user_of
from datasets.errors import MERError
from datasets.forms import AddTracksForm, ReasonForm
from datasets.models import Track
from datasets.responses import attempt, audio_response
from datasets.services import tracks


@require_safe
@curator_required
def track_list(request: HttpRequest) -> HttpResponse:
    filters = {name: request.GET.get(name, "").replace("\0", "") for name in ("search", "state", "dataset")}
    page = Paginator(selectors.tracks_of(**filters), 50).get_page(request.GET.get("page"))
    ctx = {
        "page": page,
        "filters": filters,
        "states": selectors.state_counts(search=filters["search"], dataset=filters["dataset"]),
        "datasets": selectors.datasets(),
        "moving": any(track.state in ("waiting", "fetching", "converting") for track in page),
    }
    return render(request, "datasets/track_list.html", ctx)


@curator_required
def track_add(request: HttpRequest) -> HttpResponse:
    refused: list[str] = getattr(request, "refused_uploads", [])
    if request.method == "POST":
        posted = request.FILES  # reading it runs the upload, which fills the list of refused files
        refused = getattr(request, "refused_uploads", [])
        form = AddTracksForm(request.POST, posted, refused=refused)
        if form.is_valid():
            _take_in(request, form, refused)
            return redirect("datasets:track_list")
    else:
        form = AddTracksForm(initial={"dataset": tracks.default_dataset()})
    return render(request, "datasets/track_add.html", {"form": form, "limit_mb": settings.UPLOAD_MAX_MB})


def _take_in(request: HttpRequest, form: AddTracksForm, refused: list[str]) -> None:
    """Bring in each file and the address; what is refused is listed with its reason, the rest comes in."""
    data = form.cleaned_data
    common = {name: data[name] for name in ("dataset", "artist", "licence")} | {"by": user_of(request)}
    taken = 0
    for name in refused:
        messages.error(
            request,
            _("%(name)s is larger than %(UPLOAD_MAX_MB)s MB and was not taken. Convert it to mp3 or flac first.")
            % {"name": name, "UPLOAD_MAX_MB": settings.UPLOAD_MAX_MB},
        )
    uploads: list[UploadedFile[bytes]] = data["recordings"]
    for upload in uploads:
        try:
            tracks.add_file(file=upload, filename=upload.name or "file", **common)
            taken += 1
        except MERError as fact:
            messages.error(request, str(fact))
    if data["address"]:
        try:
            tracks.add_youtube(address=data["address"], **common)
            taken += 1
        except MERError as fact:
            messages.error(request, str(fact))
    if taken:
        messages.success(
            request,
            ngettext(
                "%(n)d track is coming in; this page shows how far it is.",
                "%(n)d tracks are coming in; this page shows how far they are.",
                taken,
            )
            % {"n": taken},
        )


@require_safe
@curator_required
def track_page(request: HttpRequest, pk: int) -> HttpResponse:
    track = get_object_or_404(Track.objects.select_related("dataset"), pk=pk)
    ctx = {
        "track": track,
        "files": track.files.all(),
        "wav": selectors.wav_of(track),
        "job": selectors.jobs_of("track", track.pk).filter(task__startswith="datasets.").first(),
        "events": selectors.events_of("track", track.pk)[:50],
        "form": ReasonForm(),
    }
    return render(request, "datasets/track.html", ctx)


@require_safe
@curator_required
def track_audio(request: HttpRequest, pk: int) -> HttpResponseBase:
    played = selectors.played_file(get_object_or_404(Track, pk=pk))
    return audio_response(request, played.file) if played else HttpResponse(_("The track has no converted file yet."), status=404)


@curator_action
def track_exclude(request: HttpRequest, pk: int) -> HttpResponse:
    track = get_object_or_404(Track, pk=pk)
    form = ReasonForm(request.POST)
    if form.is_valid():
        attempt(
            request,
            lambda: tracks.exclude_track(track, reason=form.cleaned_data["reason"], by=user_of(request)),
            _("The track is left out."),
        )
    else:
        messages.error(request, _("Say why the track is left out: the reason is shown with every release."))
    return redirect("datasets:track", pk)


@curator_action
def track_restore(request: HttpRequest, pk: int) -> HttpResponse:
    track = get_object_or_404(Track, pk=pk)
    attempt(request, lambda: tracks.restore_track(track, by=user_of(request)), _("The track is back."))
    return redirect("datasets:track", pk)
