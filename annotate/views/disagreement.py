"""Labels of a release that models doubt: the list, one track on a screen, and what a round of review has changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from annotate import disagreement as doubt
from annotate import selectors
from annotate.forms import ReviewForm
from annotate.models import Review
from annotate.services import reviews
from datasets.access import curator_action, reader_required, user_of
from datasets.errors import MERError
from datasets.models import Release
from datasets.selectors import difference, labels_of, release_before, releases_of, wav_of
from datasets.services.signals import note_doubts_seen

PER_PAGE = 50


@dataclass(frozen=True)
class Asked:
    """What the address asks for."""

    order: str
    run: int | None
    all: bool

    @classmethod
    def of(cls, request: HttpRequest) -> Asked:
        order, run = request.GET.get("order", ""), request.GET.get("run", "")
        return cls(
            order if order in doubt.ORDERS else "models",
            int(run) if run.isdecimal() and len(run) < 19 else None,
            request.GET.get("all") == "1",
        )

    @property
    def query(self) -> str:
        return f"order={self.order}" + (f"&run={self.run}" if self.run else "") + ("&all=1" if self.all else "")


def _release(name: str) -> Release:
    return get_object_or_404(Release.objects.select_related("dataset"), name=name)


@require_safe
@reader_required
def disagreement(request: HttpRequest, name: str) -> HttpResponse:
    """Tracks of a release in the order in which models, raters, or both doubt their labels."""
    release, asked = _release(name), Asked.of(request)
    rows = doubt.items_in_doubt(release, order=asked.order, run=asked.run, also_reviewed=asked.all)
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    if page.object_list:
        note_doubts_seen(release, user_of(request))
    ctx = {
        "release": release, "asked": asked, "page": page, "rows": doubt.doubts(release, list(page), run=asked.run),
        "runs": doubt.runs_that_said(release), "newest": releases_of(release.dataset).first(), "done": doubt.rounds_of_review(release), "counts": doubt.counts(release),
        "actions": Review.Action,
    }  # fmt: skip
    return render(request, "annotate/disagreement.html", ctx)


@require_safe
@reader_required
def doubted(request: HttpRequest, name: str, track: int) -> HttpResponse:
    """One track: player, where the network looked, votes, probabilities, and what can be done."""
    release, asked = _release(name), Asked.of(request)
    item = get_object_or_404(release.items.select_related("track__dataset"), track__pk=track)
    signals = doubt.signals_on(release, track)
    if not signals:
        raise Http404(_("No run says anything of this track."))
    note_doubts_seen(release, user_of(request))
    waiting = list(doubt.items_in_doubt(release, order=asked.order, run=asked.run).values_list("track_id", flat=True)[:1000])
    place = waiting.index(track) + 1 if track in waiting else 0
    rest = [number for number in waiting[place:] + waiting[:place] if number != track]
    row = doubt.doubts(release, list(doubt.items_in_doubt(release, also_reviewed=True).filter(track=track)))
    ctx: dict[str, Any] = {
        "release": release, "asked": asked, "item": item, "track": item.track, "doubt": row[0] if row else None,
        "signals": signals, "wav": wav_of(item.track), "consensus": selectors.consensus_of(item.track),
        "ratings": selectors.ratings_of(item.track), "next": rest[0] if rest else None, "n_left": len(waiting),
        "reviews": Review.objects.filter(release=release, track=track).select_related("by"),
        "form": ReviewForm(dataset=release.dataset), "labels": release.labels, "actions": Review.Action,
        "is_test": reviews.is_test(item), "looked": any(signal.picture for signal in signals),
    }  # fmt: skip
    return render(request, "annotate/doubted.html", ctx)


@curator_action
def review(request: HttpRequest, name: str, track: int) -> HttpResponse:
    """Do something about the track, then on to the next."""
    release, asked = _release(name), Asked.of(request)
    item = get_object_or_404(release.items.select_related("track__dataset", "release__dataset"), track__pk=track)
    form = ReviewForm(request.POST, dataset=release.dataset)
    here = redirect("annotate:doubted", name, track)
    here["Location"] += f"?{asked.query}"
    if not form.is_valid():
        messages.error(request, " ".join(str(error) for errors in form.errors.values() for error in errors))
        return here
    shown = request.POST.get("seen", "")
    seen = int(shown) if shown.isascii() and shown.isdecimal() and len(shown) < 9 else None
    try:
        made = reviews.review(item, by=user_of(request), action=request.POST.get("action", ""), seen=seen, **form.cleaned_data)
    except MERError as fact:
        messages.error(request, str(fact))
        return here
    messages.success(request, f"{item.title}: {made.get_action_display()}")
    following = doubt.items_in_doubt(release, order=asked.order, run=asked.run).values_list("track_id", flat=True).first()
    away = redirect("annotate:doubted", name, following) if following else redirect("annotate:disagreement", name)
    away["Location"] += f"?{asked.query}"
    return away


@require_safe
@reader_required
def review_round(request: HttpRequest, name: str) -> HttpResponse:
    """What changed between the release before this one and this one, and how much of it a model prompted."""
    release = _release(name)
    before = release_before(release)
    ctx: dict[str, Any] = {"release": release, "before": before}
    if before:
        now = labels_of(release)
        titles = dict(release.items.values_list("track_id", "title")) | dict(before.items.values_list("track_id", "title"))
        changed = difference(labels_of(before), now)
        prompted = doubt.prompted(before, release)
        ctx |= {
            "difference": changed,
            "relabelled": [(track, titles[track], old, new, track in prompted) for track, old, new in changed.relabelled],
            "after": doubt.after_review(before, release),
            "done": doubt.rounds_of_review(before, until=release),
            "left_out": doubt.left_out_after_sight(before, release),
            "actions": Review.Action,
        }
    return render(request, "annotate/review_round.html", ctx)
