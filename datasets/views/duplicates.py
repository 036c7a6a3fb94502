"""Pairs of tracks that hold the same recording, side by side."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from datasets import selectors
from datasets.access import curator_action, reader_required, user_of
from datasets.errors import MERError
from datasets.models import Duplicate
from datasets.services import duplicates


@require_safe
@reader_required
def duplicate_list(request: HttpRequest) -> HttpResponse:
    state = request.GET.get("state", "")
    state = state if state in Duplicate.State.values else Duplicate.State.OPEN.value
    page = Paginator(selectors.duplicates(state), 10).get_page(request.GET.get("page"))
    sounds = selectors.sounds_of([track for pair in page for track in (pair.track, pair.other)])
    originals = selectors.originals_of([track for pair in page for track in (pair.track, pair.other)])
    pairs = [
        (pair, [(track, sounds.get(track.pk), originals.get(track.pk)) for track in (pair.other, pair.track)]) for pair in page
    ]
    return render(
        request, "datasets/duplicate_list.html", {"page": page, "pairs": pairs, "state": state, "states": Duplicate.State}
    )


@curator_action
def duplicate_rule(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep one of a pair, keep both, or look again at one that was ruled on."""
    pair = get_object_or_404(Duplicate.objects.select_related("track", "other"), pk=pk)
    ruling, by = request.POST.get("ruling", ""), user_of(request)
    try:
        if ruling == "both":
            duplicates.keep_both(pair, by=by)
            messages.success(request, _("Both are kept; a split keeps them in one part."))
        elif ruling == "again":
            duplicates.look_again(pair, by=by)
            messages.success(request, _("The pair is open again."))
        else:
            left = duplicates.merge(pair, keep=int(ruling) if ruling.isdecimal() and len(ruling) < 19 else 0, by=by)
            messages.success(request, _("“%(title)s” (track %(pk)s) is left out.") % {"title": left.title, "pk": left.pk})
    except MERError as fact:
        messages.error(request, str(fact))
    return redirect("datasets:duplicate_list")
