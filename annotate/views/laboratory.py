"""The rule laboratory: what another rule would make of the ratings, and applying it."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from annotate import laboratory as trials
from annotate.forms import RuleForm
from annotate.models import Questionnaire
from annotate.services import questionnaires
from datasets.access import HtmxHttpRequest, curator_action, is_admin, reader_required, user_of
from datasets.errors import MERError


@require_safe
@reader_required
def laboratory(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    questionnaire = get_object_or_404(Questionnaire.objects.select_related("dataset"), pk=pk)
    now = {
        "raters": questionnaire.raters_per_track,
        "fewest": questionnaire.fewest,
        "threshold": round(100 * questionnaire.threshold),
        "aside": "",
    }
    form = RuleForm(now | request.GET.dict(), names=trials.rater_names(questionnaire))
    ctx = {"questionnaire": questionnaire, "form": form, "now": now, "was": _mark(questionnaire)}
    if form.is_valid():
        rule = form.cleaned_data
        ctx["rule"] = rule
        ctx["trial"] = trials.try_rule(questionnaire, **rule | {"threshold": rule["threshold"] / 100})
        ctx["applies"] = any(rule[name] != now[name] for name in ("raters", "fewest", "threshold"))
        ctx["aside"] = trials.rater_named(questionnaire, rule["aside"]) if is_admin(request.user) else None
    # The sliders stay where they are while the answer is replaced.
    return render(request, "annotate/laboratory_trial.html" if request.htmx else "annotate/laboratory.html", ctx)


def _mark(questionnaire: Questionnaire) -> str:
    """The rule that a page shows, to notice that it is another one by now."""
    rule = questionnaires.rule_of(questionnaire)
    return f"{rule.raters}-{rule.fewest}-{rule.threshold:g}"


@curator_action
def rule_change(request: HttpRequest, pk: int) -> HttpResponse:
    questionnaire = get_object_or_404(Questionnaire.objects.select_related("dataset"), pk=pk)
    form = RuleForm(request.POST, names=[])
    if not form.is_valid():
        messages.error(request, _("The rule was not applied: %(why)s") % {"why": " ".join(form.errors.as_text().split())})
        return redirect("annotate:laboratory", pk)
    asked = form.cleaned_data
    rule = questionnaires.Rule(asked["raters"], asked["fewest"], asked["threshold"] / 100)
    if request.POST.get("was", _mark(questionnaire)) != _mark(questionnaire):
        messages.error(request, _("Somebody changed the rule meanwhile. Reload the page to see it as it is."))
        return redirect("annotate:laboratory", pk)
    try:
        n = questionnaires.change_rule(questionnaire, rule, by=user_of(request))
    except MERError as fact:
        messages.error(request, str(fact))
        return redirect("annotate:laboratory", pk)
    text = ngettext("The rule is applied; %(n)d track changed.", "The rule is applied; %(n)d tracks changed.", n)
    messages.success(request, text % {"n": n})
    return redirect("annotate:agreement", pk)
