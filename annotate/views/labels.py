"""The label scheme of a questionnaire: a preset or one's own, until the first rating."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotate import selectors
from annotate.forms import SchemeForm
from annotate.models import Questionnaire
from annotate.services import questionnaires
from datasets.access import curator_required, user_of
from datasets.errors import MERError
from datasets.methods import schemes

NAMES = {
    "paper": gettext_lazy("The paper’s three labels"),
    "quadrants": gettext_lazy("Four quadrants"),
    "russell": gettext_lazy("Russell’s 28 words"),
    "happy-sad": gettext_lazy("Happy and sad"),
}


@curator_required
def label_scheme(request: HttpRequest, pk: int) -> HttpResponse:
    questionnaire = get_object_or_404(Questionnaire.objects.select_related("dataset"), pk=pk)
    now = selectors.scheme_of(questionnaire)
    preset = schemes.PRESETS.get(request.GET.get("preset", ""))
    form = SchemeForm(request.POST or None, initial={"table": schemes.as_table(preset or now)})
    if request.method == "POST" and form.is_valid():
        try:
            questionnaires.change_labels(questionnaire, form.cleaned_data["table"], by=user_of(request))
        except MERError as fact:
            form.add_error(None, str(fact))
        else:
            messages.success(request, _("Raters choose among these words now."))
            return redirect("annotate:label_scheme", pk)
    ctx: dict[str, Any] = {
        "questionnaire": questionnaire,
        "form": form,
        "presets": NAMES.items(),
        "chosen": request.GET.get("preset", ""),
        "labels": questionnaire.dataset.labels.prefetch_related("words"),
        "is_fixed": questionnaires.labels_in_use(questionnaire),
    }
    return render(request, "annotate/label_scheme.html", ctx)
