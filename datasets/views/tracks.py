"""The tracks: their list, adding some, the page of one."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode

from django.conf import settings
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from datasets import selectors
from datasets.access import curator_action, curator_required, user_of
from datasets.errors import MERError
from datasets.forms import AddTracksForm, ReasonForm
from datasets.keyset import keyset_page
from datasets.models import Track
from datasets.responses import attempt, attempt_each, audio_response
from datasets.services import tracks

FILTERS = ("search", "state", "dataset", "source", "label", "agreement", "reason", "mark")


@require_safe
@curator_required
def track_list(request: HttpRequest) -> HttpResponse:
    filters = _filters(request.GET)
    sort = request.GET.get("sort", "")
    sort = sort if sort in selectors.SORTS else "-id"
    places = {name: request.GET.get(name, "") for name in ("after", "before")}
    page = keyset_page(selectors.tracks_of(**filters), order=sort, size=50, **places)
    sounds = selectors.sounds_of(page.rows)
    states = selectors.state_counts(filters)
    ctx = {
        "page": page,
        "rows": [(track, sounds.get(track.pk)) for track in page.rows],
        "filters": filters,
        "filtered": any(filters.values()),
        "more_filters": any(value for name, value in filters.items() if name not in ("search", "state")),
        "sort": sort,
        "sorts": selectors.SORTS.items(),
        "agreements": [(name, words) for name, (words, *_range) in selectors.AGREEMENTS.items()],
        "states": states,
        "sources": Track.Source.choices,
        "labels": selectors.labels_in_use(),
        "datasets": selectors.datasets(),
        "moving": any(track.state in tracks.MOVING for track in page.rows),
        "fitting": selectors.as_counted(sum(row["n"] for row in states if filters["state"] in ("", row["value"]))),
        "n_duplicates": selectors.duplicates()[:1000].count(),
        "unsorted": sort.removeprefix("-") in ("agreement", "duration_s"),
    }
    return render(request, "datasets/track_list.html", ctx)


@curator_action
def tracks_bulk(request: HttpRequest) -> HttpResponse:
    """One action on all the chosen tracks; what is refused is listed with its reason, the rest is done."""
    chosen, form = chosen_tracks(request), ReasonForm(request.POST)
    action, by = request.POST.get("action", ""), user_of(request)
    reason = form.cleaned_data["reason"] if form.is_valid() else ""
    verbs: dict[str, Callable[[Track], object]] = {
        "retry": lambda track: tracks.retry_track(track, by=by),
        "cancel": lambda track: tracks.cancel_track(track, by=by),
        "exclude": lambda track: tracks.exclude_track(track, reason=reason, by=by),
        "restore": lambda track: tracks.restore_track(track, by=by),
    }
    if action not in verbs:
        messages.error(request, _("“%(action)s” is nothing that can be done with tracks.") % {"action": action[:40]})
    else:
        attempt_each(request, chosen, verbs[action])
    return back_to_list(request)


MOST_AT_ONCE = 1000


def chosen_tracks(request: HttpRequest) -> list[Track]:
    """The tracks whose boxes were ticked, or all that fit the filters; numbers that are none are passed over."""
    if request.POST.get("all"):
        chosen = selectors.tracks_of(**_filters(QueryDict(request.POST.get("query", "")[:2000])))
        if len(rows := list(chosen.order_by("pk")[: MOST_AT_ONCE + 1])) > MOST_AT_ONCE:
            messages.warning(
                request, _("Only the first %(n)d tracks were taken: do it again for the others.") % {"n": MOST_AT_ONCE}
            )
        return rows[:MOST_AT_ONCE]
    numbers = [int(value) for value in request.POST.getlist("track") if value.isdecimal() and len(value) < 19]
    return list(Track.objects.filter(pk__in=numbers[:MOST_AT_ONCE]).select_related("dataset").order_by("pk"))


def _filters(query: QueryDict) -> dict[str, str]:
    return {name: query.get(name, "").replace("\0", "")[:200] for name in FILTERS}


def back_to_list(request: HttpRequest) -> HttpResponse:
    """To the list as it was filtered."""
    query = request.POST.get("query", "")[:2000]
    return redirect(f"{reverse('datasets:track_list')}?{urlencode(parse_qsl(query))}" if query else reverse("datasets:track_list"))


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
        "duplicates": selectors.twins_of(track),
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
