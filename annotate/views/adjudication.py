"""The queue of tracks on which the raters do not agree, one on a screen."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from annotate import selectors
from annotate.forms import RulingForm
from annotate.models import Consensus, Questionnaire
from annotate.services import questionnaires
from datasets.access import curator_action, reader_required, user_of
from datasets.responses import attempt
from datasets.selectors import wav_of


@require_safe
@reader_required
def adjudication(request: HttpRequest, pk: int) -> HttpResponse:
    """The next split track, or the one that is asked for."""
    questionnaire = get_object_or_404(Questionnaire.objects.select_related("dataset"), pk=pk)
    asked = request.GET.get("track", "")
    number = int(asked) if asked.isdecimal() and len(asked) < 19 else None
    row, after = selectors.next_split(questionnaire, number)
    ctx: dict[str, Any] = {
        "questionnaire": questionnaire,
        "row": row,
        "next": after,
        "n_split": selectors.split_tracks(questionnaire).count(),
        "rulings": selectors.rulings_of(questionnaire)[:50],
    }
    if row:
        ctx |= {
            "form": RulingForm(dataset=questionnaire.dataset),
            "wav": wav_of(row.track),
            "ratings": selectors.ratings_of(row.track),
            "reports": selectors.reports_on(row.track),
            "history": row.track.rulings.select_related("label", "by"),
        }
    return render(request, "annotate/adjudication.html", ctx)


@curator_action
def rule_on(request: HttpRequest, pk: int, track: int) -> HttpResponse:
    """Settle the track, send it back to the raters, or take a ruling back; then the next one."""
    row = get_object_or_404(
        Consensus.objects.select_related("questionnaire__dataset", "track__dataset"), questionnaire__pk=pk, track__pk=track
    )
    by, action = user_of(request), request.POST.get("action", "")
    form = RulingForm(request.POST, dataset=row.questionnaire.dataset)
    if action == "more":
        attempt(request, lambda: questionnaires.ask_for_more(row.track, by=by), _("Two more raters are asked."))
    elif action == "back":
        attempt(request, lambda: questionnaires.rule_on(row, label=None, reason="", by=by), _("The ruling is taken back."))
    elif form.is_valid():
        attempt(request, lambda: questionnaires.rule_on(row, by=by, **form.cleaned_data), _("The ruling stands beside the votes."))
    else:
        messages.error(request, _("Choose a label, and say why: the reason stands beside the votes."))
        return redirect(f"{reverse('annotate:adjudication', args=[pk])}?track={track}")
    return redirect("annotate:adjudication", pk)
