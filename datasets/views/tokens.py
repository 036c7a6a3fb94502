"""One's own keys to the API."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from datasets.access import user_of
from datasets.errors import MERError
from datasets.forms import TokenForm
from datasets.models import ApiToken
from datasets.responses import attempt
from datasets.services import tokens


@login_required
def token_list(request: HttpRequest) -> HttpResponse:
    """Make one, see which there are. The secret is on the answer to the form and never again."""
    user = user_of(request)
    form = TokenForm(request.POST if request.method == "POST" else None)
    secret = ""
    if request.method == "POST" and form.is_valid():
        try:
            _row, secret = tokens.issue_token(user, **form.cleaned_data)
        except MERError as fact:
            form.add_error(None, str(fact))
        else:
            form = TokenForm()
    response = render(
        request, "datasets/token_list.html", {"form": form, "secret": secret, "tokens": ApiToken.objects.filter(user=user)}
    )
    response["Cache-Control"] = "no-store"
    return response


@login_required
def token_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    if request.method == "POST":
        token = get_object_or_404(ApiToken, pk=pk, user=user_of(request))
        attempt(request, lambda: tokens.revoke_token(token, by=user_of(request)), _("The token opens nothing any more."))
    return redirect("datasets:token_list")
