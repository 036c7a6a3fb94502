"""What admins see of raters: invites, quality, setting aside, personal data."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from annotate import selectors
from annotate.forms import InviteForm, SetAsideForm
from annotate.models import Invite, Questionnaire, Rater
from annotate.services import raters
from datasets.access import admin_action, admin_required, user_of
from datasets.errors import MERError
from datasets.methods import bundles


@require_safe
@admin_required
def rater_list(request: HttpRequest, pk: int) -> HttpResponse:
    """Raters of a questionnaire with the signs of their quality; invites; the check of completion records."""
    questionnaire = get_object_or_404(Questionnaire.objects.select_related("dataset"), pk=pk)
    page = Paginator(selectors.raters_of(questionnaire), 50).get_page(request.GET.get("page"))
    code = request.GET.get("code", "")
    invites = [(row, request.build_absolute_uri(reverse("annotate:join", args=[raters.invite_token(row)]))) for row in
               questionnaire.invites.select_related("created_by")]  # fmt: skip
    ctx = {
        "questionnaire": questionnaire,
        "page": page,
        "rows": selectors.quality_of(questionnaire, list(page)),
        "invites": invites,
        "form": InviteForm(),
        "code": code,
        "vouched": raters.check_code(questionnaire, code) if code else None,
        "now": timezone.now(),
    }
    return render(request, "annotate/rater_list.html", ctx)


@require_safe
@admin_required
def rating_table(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """Every rating with its evidence and answers as a spreadsheet-safe CSV table."""
    questionnaire = get_object_or_404(Questionnaire, pk=pk)
    columns, rows = selectors.rating_table(questionnaire)
    headers = {"Content-Disposition": f'attachment; filename="ratings-{questionnaire.pk}.csv"'}
    return StreamingHttpResponse(bundles.csv_lines(columns, rows), content_type="text/csv; charset=utf-8", headers=headers)


@admin_required
def rater_page(request: HttpRequest, pk: int, rater: int) -> HttpResponse:
    """One rater; with a date, a preview of what setting the rater aside from then on would change."""
    questionnaire, person = _found(pk, rater)
    form = SetAsideForm(request.GET or None)
    since = form.cleaned_data["since"] if request.GET and form.is_valid() else None
    ctx = {
        "questionnaire": questionnaire,
        "rater": person,
        "quality": selectors.quality_of(questionnaire, [person])[0],
        "ratings": selectors.recent_ratings(questionnaire, person),
        "form": form,
        "since": since,
        "changes": raters.preview_set_aside(person, since) if since else None,
    }
    return render(request, "annotate/rater.html", ctx)


def _found(pk: int, rater: int) -> tuple[Questionnaire, Rater]:
    questionnaire = get_object_or_404(Questionnaire.objects.select_related("dataset"), pk=pk)
    return questionnaire, get_object_or_404(Rater.objects.select_related("user"), pk=rater)


@admin_action
def set_aside(request: HttpRequest, pk: int, rater: int) -> HttpResponse:
    _questionnaire, person = _found(pk, rater)
    form = SetAsideForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose the day from which the ratings do not count."))
        return redirect("annotate:rater", pk, rater)
    try:
        changes = raters.set_aside(person, form.cleaned_data["since"], by=user_of(request))
    except MERError as fact:
        messages.error(request, str(fact))
        return redirect("annotate:rater", pk, rater)
    n = len(changes)
    text = ngettext("%(n)d rating does not count any more.", "%(n)d ratings do not count any more.", n) % {"n": n}
    messages.success(request, text)
    return redirect("annotate:rater", pk, rater)


@admin_action
def reinstate(request: HttpRequest, pk: int, rater: int) -> HttpResponse:
    _questionnaire, person = _found(pk, rater)
    n = raters.reinstate(person, by=user_of(request))
    messages.success(request, ngettext("%(n)d rating counts again.", "%(n)d ratings count again.", n) % {"n": n})
    return redirect("annotate:rater", pk, rater)


@admin_action
def erase(request: HttpRequest, pk: int, rater: int) -> HttpResponse:
    _questionnaire, person = _found(pk, rater)
    try:
        raters.erase(person, by=user_of(request))
        messages.success(request, _("The personal data is erased; the ratings stay, anonymous."))
    except MERError as fact:
        messages.error(request, str(fact))
    return redirect("annotate:rater", pk, rater)


@admin_action
def invite_create(request: HttpRequest, pk: int) -> HttpResponse:
    questionnaire = get_object_or_404(Questionnaire, pk=pk)
    form = InviteForm(request.POST)
    if form.is_valid():
        raters.create_invite(questionnaire, by=user_of(request), **form.values())
        messages.success(request, _("The invite is made. Copy its link and send it."))
    else:
        for problems in form.errors.values():
            messages.error(request, " ".join(str(problem) for problem in problems))
    return redirect(reverse("annotate:rater_list", args=[pk]) + "#invites")


@admin_action
def invite_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    invite = get_object_or_404(Invite, pk=pk)
    raters.revoke_invite(invite, by=user_of(request))
    messages.success(request, _("The invite is taken back. Whoever has joined stays."))
    return redirect(reverse("annotate:rater_list", args=[invite.questionnaire_id]) + "#invites")
