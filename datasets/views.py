from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.core.paginator import Paginator
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from datasets import selectors
from datasets.access import HtmxHttpRequest, curator_action, curator_required, user_of
from datasets.errors import MERError
from datasets.forms import AddTracksForm, ReasonForm
from datasets.models import Export, Job, Release, Track
from datasets.responses import audio_response
from datasets.services import queue, releases, tracks


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
    wav = get_object_or_404(Track, pk=pk).files.filter(kind="wav").first()
    return audio_response(request, wav.file) if wav else HttpResponse(_("The track has no converted file yet."), status=404)


@curator_action
def track_exclude(request: HttpRequest, pk: int) -> HttpResponse:
    track = get_object_or_404(Track, pk=pk)
    form = ReasonForm(request.POST)
    if form.is_valid():
        _attempt(
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
    _attempt(request, lambda: tracks.restore_track(track, by=user_of(request)), _("The track is back."))
    return redirect("datasets:track", pk)


def _attempt(request: HttpRequest, action: Callable[[], object], done: str) -> None:
    try:
        action()
    except MERError as fact:
        messages.error(request, str(fact))
    else:
        messages.success(request, done)


@require_safe
@curator_required
def job_list(request: HttpRequest) -> HttpResponse:
    jobs = Job.objects.select_related("created_by")
    state = request.GET.get("state", "")
    page = Paginator(jobs.filter(state=state) if state in Job.State.values else jobs, 50).get_page(request.GET.get("page"))
    return render(
        request,
        "datasets/job_list.html",
        {"page": page, "state": state, "states": Job.State, "moving": any(job.is_active for job in page)},
    )


@require_safe
@curator_required
def job_panel(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """The progress of one job; it reloads itself while the job moves, and tells the page when it ends."""
    job = get_object_or_404(Job, pk=pk)
    response = render(request, "datasets/job_panel.html", {"job": job})
    if request.htmx and not job.is_active:
        response["HX-Refresh"] = "true"
    return response


@curator_action
def job_retry(request: HttpRequest, pk: int) -> HttpResponse:
    job = get_object_or_404(Job, pk=pk)
    _attempt(request, lambda: queue.retry(job, by=user_of(request)), _("“%(title)s” is queued again.") % {"title": job.title})
    return redirect(job.url or "datasets:job_list")


@curator_action
def job_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    job = get_object_or_404(Job, pk=pk)
    _attempt(request, lambda: queue.cancel(job, by=user_of(request)), _("“%(title)s” is being cancelled.") % {"title": job.title})
    return redirect(job.url or "datasets:job_list")


@require_safe
@curator_required
def release_list(request: HttpRequest) -> HttpResponse:
    rows = Release.objects.select_related("dataset", "frozen_by")
    return render(request, "datasets/release_list.html", {"releases": rows})


@require_safe
@curator_required
def release_page(request: HttpRequest, name: str) -> HttpResponse:
    release = get_object_or_404(Release.objects.select_related("dataset"), name=name)
    split = release.splits.order_by("id").first()
    ctx = {
        "release": release,
        "split": split,
        "table": selectors.part_table(split) if split else None,
        "items": Paginator(release.items.all(), 50).get_page(request.GET.get("page")),
        "exports": release.exports.select_related("job"),
        "formats": Export.Format,
    }
    return render(request, "datasets/release.html", ctx)


@curator_action
def release_export(request: HttpRequest, name: str) -> HttpResponse:
    release = get_object_or_404(Release, name=name)
    format = request.POST.get("format", Export.Format.CSV)
    if format not in Export.Format.values:
        messages.error(
            request,
            _("“%(format)s” is no export format; choose one of %(list)s.")
            % {"format": format, "list": ", ".join(Export.Format.values)},
        )
    else:
        _attempt(
            request, lambda: releases.request_export(release, format=format, by=user_of(request)), _("The bundle is being written.")
        )
    return redirect("datasets:release", name)


@require_safe
@curator_required
def export_download(request: HttpRequest, pk: int) -> HttpResponseBase:
    export = get_object_or_404(Export.objects.select_related("release"), pk=pk)
    if not export.file:
        return HttpResponse(_("The bundle is not written yet."), status=404)
    return FileResponse(export.file.open("rb"), as_attachment=True, filename=f"{export.release.name}-{export.format}.zip")
