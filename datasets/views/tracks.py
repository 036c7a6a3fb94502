"""The tracks: their list, adding some, the page of one."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.core import signing
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from datasets import selectors
from datasets.access import curator_action, curator_required, reader_required, user_of
from datasets.errors import MERError
from datasets.forms import AddTracksForm, DescriptionForm, ReasonForm
from datasets.keyset import keyset_page
from datasets.models import Track
from datasets.responses import attempt, attempt_each, audio_response
from datasets.services import tracks
from datasets.services.tokens import track_of_signature

FILTERS = ("search", "state", "dataset", "source", "label", "agreement", "reason", "mark")


@require_safe
@reader_required
def track_list(request: HttpRequest) -> HttpResponse:
    filters = _filters(request.GET)
    sort = request.GET.get("sort", "")
    sort = sort if sort in selectors.SORTS else "-id"
    places = {name: request.GET.get(name, "") for name in ("after", "before")}
    page = keyset_page(selectors.tracks_of(**filters), order=sort, size=50, **places)
    sounds = selectors.sounds_of(page.rows)
    states = selectors.state_counts(filters)
    is_long = bool(page.next or page.previous)
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
        "fitting": selectors.as_counted(_fitting(filters, sort).order_by()[: selectors.COUNTED + 1].count()) if is_long else "",
        "pause": selectors.pause_of("fetch"),
        "n_duplicates": selectors.duplicates()[:1000].count(),
        "unsorted": sort.removeprefix("-") in ("agreement", "duration_s"),
    }
    return render(request, "datasets/track_list.html", ctx)


@curator_action
def tracks_bulk(request: HttpRequest) -> HttpResponse:
    """One action on all the chosen tracks; what is refused is listed with its reason, the rest is done."""
    form = ReasonForm(request.POST)
    action, by = request.POST.get("action", ""), user_of(request)
    reason = form.cleaned_data["reason"] if form.is_valid() else ""
    moving, failed, ready, excluded = tracks.MOVING, Track.State.FAILED, Track.State.READY, Track.State.EXCLUDED
    verbs: dict[str, tuple[tuple[str, ...], Callable[[Track], object]]] = {
        "retry": ((failed,), lambda track: tracks.retry_track(track, by=by)),
        "cancel": (moving, lambda track: tracks.cancel_track(track, by=by)),
        "exclude": ((ready, failed, *moving), lambda track: tracks.exclude_track(track, reason=reason, by=by)),
        "restore": ((excluded,), lambda track: tracks.restore_track(track, by=by)),
    }
    if action not in verbs:
        messages.error(request, _("“%(action)s” is nothing that can be done with tracks.") % {"action": action[:40]})
    else:
        states, verb = verbs[action]
        attempt_each(request, chosen_tracks(request, states), verb)
    return back_to_list(request)


MOST_AT_ONCE = 1000


def chosen_tracks(request: HttpRequest, states: tuple[str, ...] = ()) -> list[Track]:
    """The tracks whose boxes were ticked, or all of these states that fit the filters; numbers that are none are passed over."""
    if request.POST.get("all"):
        query = QueryDict(request.POST.get("query", ""))
        fitting = _fitting(_filters(query), query.get("sort", ""))
        if states:
            fitting = fitting.filter(state__in=states)  # so that doing it again reaches the others
        if len(rows := list(fitting.order_by("pk")[: MOST_AT_ONCE + 1])) > MOST_AT_ONCE:
            messages.warning(
                request,
                _("Only the first %(n)d tracks were taken: do it again for the others, or narrow the filters.")
                % {"n": MOST_AT_ONCE},
            )
        return rows[:MOST_AT_ONCE]
    numbers = [int(value) for value in request.POST.getlist("track") if value.isdecimal() and len(value) < 19]
    return list(Track.objects.filter(pk__in=numbers[:MOST_AT_ONCE]).select_related("dataset").order_by("pk"))


def _fitting(filters: dict[str, str], sort: str) -> QuerySet[Track]:
    """What the list shows on all its pages: sorted by a value, it leaves out the tracks that have none."""
    found = selectors.tracks_of(**filters)
    field = sort.removeprefix("-")
    return found.exclude(**{field: None}) if sort in selectors.SORTS and Track._meta.get_field(field).null else found


def _filters(query: QueryDict) -> dict[str, str]:
    return {name: query.get(name, "").replace("\0", "")[:200] for name in FILTERS}


def back_to_list(request: HttpRequest) -> HttpResponse:
    """To the list as it was filtered."""
    query = QueryDict(request.POST.get("query", ""))
    kept = {name: value for name, value in {**_filters(query), "sort": query.get("sort", "")[:20]}.items() if value}
    return redirect(f"{reverse('datasets:track_list')}?{urlencode(kept)}" if kept else reverse("datasets:track_list"))


@curator_required
def track_add(request: HttpRequest) -> HttpResponse:
    refused: list[str] = getattr(request, "refused_uploads", [])
    if request.method == "POST":
        posted = request.FILES  # reading it runs the upload, which fills the list of refused files
        refused = getattr(request, "refused_uploads", [])
        form = AddTracksForm(request.POST, posted, refused=refused)
        if form.is_valid() and _take_in(request, form, refused):
            return redirect("datasets:track_list")
    else:
        form = AddTracksForm(initial={"dataset": tracks.default_dataset()})
    datasets = selectors.datasets()
    ctx = {"form": form, "limit_mb": settings.UPLOAD_MAX_MB, "datasets": datasets, "strict": datasets.filter(licence_required=True)}
    return render(request, "datasets/track_add.html", ctx)


def _take_in(request: HttpRequest, form: AddTracksForm, refused: list[str]) -> bool:
    """Bring in each file and the address, and say whether any came in; what is refused is listed with its reason."""
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
    return bool(taken)


@require_safe
@reader_required
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
        "description": DescriptionForm(instance=track),
        "pause": selectors.pause_of("fetch"),
    }
    return render(request, "datasets/track.html", ctx)


@require_safe
def signed_audio(request: HttpRequest, token: str) -> HttpResponseBase:
    """A recording for whoever holds a fresh signature; an old or a wrong one is as if there were nothing."""
    try:
        track = get_object_or_404(Track, pk=track_of_signature(token), state=Track.State.READY)
    except signing.BadSignature:
        raise Http404 from None
    played = selectors.played_file(track)
    if played is None:
        raise Http404
    return audio_response(request, played)


@require_safe
@reader_required
def track_audio(request: HttpRequest, pk: int) -> HttpResponseBase:
    played = selectors.played_file(get_object_or_404(Track, pk=pk))
    return audio_response(request, played) if played else HttpResponse(_("The track has no converted file yet."), status=404)


@curator_action
def track_describe(request: HttpRequest, pk: int) -> HttpResponse:
    """Mend what is known of a track, e.g. give it the licence without which its dataset does not take it."""
    track = get_object_or_404(Track, pk=pk)
    form = DescriptionForm(request.POST, instance=track)
    if form.is_valid():
        attempt(request, lambda: tracks.describe_track(track, form.changed_data, by=user_of(request)), _("It is written down."))
    else:
        messages.error(request, " ".join(str(error) for errors in form.errors.values() for error in errors))
    return redirect("datasets:track", pk)


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
