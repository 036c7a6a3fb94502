"""The rule laboratory: what another rule would make of the ratings; its threshold can be applied."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from annotate import laboratory as trials
from annotate.forms import RuleForm
from annotate.models import Questionnaire
from annotate.services import questionnaires
from datasets.access import HtmxHttpRequest, curator_action, curator_required, user_of
from datasets.errors import MERError


@require_safe
@curator_required
def laboratory(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    questionnaire = get_object_or_404(Questionnaire.objects.select_related("dataset"), pk=pk)
    now = {
        "raters": questionnaire.raters_per_track,
        "fewest": questionnaire.raters_per_track,
        "threshold": round(100 * questionnaire.threshold),
        "aside": "",
    }
    form = RuleForm(now | request.GET.dict(), names=trials.rater_names(questionnaire))
    ctx = {"questionnaire": questionnaire, "form": form, "now": now}
    if form.is_valid():
        rule = form.cleaned_data
        ctx["rule"] = rule
        ctx["trial"] = trials.try_rule(questionnaire, **rule | {"threshold": rule["threshold"] / 100})
        ctx["applies"] = rule["threshold"] != now["threshold"]
    # The sliders stay where they are while the answer is replaced.
    return render(request, "annotate/laboratory_trial.html" if request.htmx else "annotate/laboratory.html", ctx)


@curator_action
def threshold_change(request: HttpRequest, pk: int) -> HttpResponse:
    questionnaire = get_object_or_404(Questionnaire.objects.select_related("dataset"), pk=pk)
    asked = request.POST.get("threshold", "")
    try:
        percent = int(asked) if asked.isdecimal() and len(asked) < 4 else -1
        n = questionnaires.change_threshold(questionnaire, threshold=percent / 100, by=user_of(request))
    except MERError as fact:
        messages.error(request, str(fact))
        return redirect("annotate:laboratory", pk)
    text = ngettext(
        "The threshold is %(percent)d%% now; %(n)d track changed.", "The threshold is %(percent)d%% now; %(n)d tracks changed.", n
    )
    messages.success(request, text % {"percent": percent, "n": n})
    return redirect("annotate:agreement", pk)
