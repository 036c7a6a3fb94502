"""What curators see of the ratings: agreement, freezing, tracks that could not be rated."""

from collections import Counter

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from annotate import selectors
from annotate.forms import ExclusionsForm, FreezeForm
from annotate.models import Assignment, Questionnaire
from annotate.services import freezing, questionnaires, slots
from datasets.access import HtmxHttpRequest, curator_action, curator_required, panel_base, reader_required, user_of
from datasets.errors import MERError
from datasets.models import Track
from datasets.responses import attempt_each
from datasets.selectors import difference, label_table, labels_of, releases_of
from datasets.views.tracks import back_to_list, chosen_tracks

MOST_ARTISTS = 100  # in the table of the preview


@require_safe
@reader_required
def agreement_list(request: HttpRequest) -> HttpResponse:
    questionnaires = list(Questionnaire.objects.select_related("dataset"))
    if len(questionnaires) == 1:
        return redirect("annotate:agreement", questionnaires[0].pk)
    rows = [(questionnaire, selectors.summarise(questionnaire)) for questionnaire in questionnaires]
    return render(request, "annotate/agreement_list.html", {"rows": rows})


@require_safe
@reader_required
def agreement(request: HttpRequest, pk: int) -> HttpResponse:
    """What the ratings say so far."""
    questionnaire = get_object_or_404(Questionnaire.objects.select_related("dataset"), pk=pk)
    ctx = {"questionnaire": questionnaire, "summary": selectors.summarise(questionnaire)}
    ctx["reports"] = selectors.reports_of(questionnaire)[:100]
    return render(request, "annotate/agreement.html", ctx)


@curator_required
def freeze(request: HttpRequest, pk: int) -> HttpResponse:
    """What a release would hold, and how it differs from the last; posting freezes it."""
    questionnaire = get_object_or_404(Questionnaire.objects.select_related("dataset"), pk=pk)
    form = FreezeForm(request.POST or None, request.FILES or None, dataset_name=questionnaire.dataset.name)
    exclusions = ExclusionsForm(request.POST or request.GET)
    exclusions.is_valid()  # two boxes: nothing in them can be wrong
    if request.method == "POST" and form.is_valid():
        try:
            release = freezing.freeze(
                questionnaire,
                by=user_of(request),
                mark=request.POST.get("mark", ""),
                **form.cleaned_data,
                **exclusions.cleaned_data,
            )
        except MERError as fact:
            form.add_error(None, str(fact))
        else:
            messages.success(request, _("“%(name)s” is frozen.") % {"name": release.name})
            return redirect("datasets:release", release.name)
    prepared = freezing.prepare(questionnaire, **exclusions.cleaned_data)
    last = releases_of(questionnaire.dataset).first()
    labels = [label.key for label in questionnaire.dataset.labels.all()]
    n_artists = len({item.track.artist for item in prepared.items})
    ctx = {
        "questionnaire": questionnaire,
        "summary": prepared.summary,
        "n": len(prepared.items),
        "mark": prepared.mark,
        "funnel": prepared.funnel,
        "per_label": label_table(labels, [(item.label, "") for item in prepared.items]),
        "per_artist": label_table(labels, [(item.label, item.track.artist) for item in prepared.items], most=MOST_ARTISTS),
        "more_artists": max(0, n_artists - MOST_ARTISTS),
        "reasons": Counter(row.reason.partition(":")[0] for row in prepared.left_out).most_common(),
        "last": last,
        "difference": difference(labels_of(last), {item.track.pk: item.label for item in prepared.items}) if last else None,
        "form": form,
        "exclusions": exclusions,
    }
    return render(request, "annotate/freeze.html", ctx)


@require_safe
@reader_required
def track_panel(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """The ratings of a track, for its page."""
    track = get_object_or_404(Track, pk=pk)
    ratings = selectors.ratings_of(track)
    vocals = sum(bool(rating.vocals) for rating in ratings)
    ctx = {
        "track": track,
        "consensus": selectors.consensus_of(track),
        "ratings": ratings,
        "vocals": vocals,
        "vocals_reason": f"Has vocals, say {vocals} of {len(ratings)} raters",
        "reports": selectors.reports_on(track),
        "base": panel_base(request),
    }
    return render(request, "annotate/track_panel.html", ctx)


@curator_action
def report_close(request: HttpRequest, pk: int) -> HttpResponse:
    """A report that a track cannot be rated is dealt with: the track stays as it is (or was left out on its page)."""
    slot = get_object_or_404(Assignment, pk=pk)
    slots.close_report(slot, by=user_of(request))
    return redirect("annotate:agreement", slot.questionnaire_id)


@curator_action
def tracks_send_back(request: HttpRequest) -> HttpResponse:
    """Two more ratings for each of the chosen tracks."""
    by = user_of(request)
    attempt_each(request, chosen_tracks(request), lambda track: questionnaires.ask_for_more(track, by=by))
    return back_to_list(request)
