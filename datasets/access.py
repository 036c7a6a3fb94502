"""Who may do what: raters rate, curators do the rest, admins also reach the admin panel."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django_htmx.middleware import HtmxDetails
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from datasets.selectors import can_curate


class HtmxHttpRequest(HttpRequest):
    """A request as the middleware leaves it: it knows whether htmx sent it."""

    htmx: HtmxDetails


def panel_base(request: HtmxHttpRequest) -> str:
    """What a panel's template extends: nothing inside its page, the whole frame when its link is opened by itself."""
    return "partials/fragment.html" if request.htmx else "base.html"


P = ParamSpec("P")
CURATORS = "curators"  # the group that carries the permission


R = TypeVar("R", bound=HttpRequest)


def user_of(request: HttpRequest) -> User:
    """The logged-in user, behind a view that lets nobody else in."""
    assert isinstance(request.user, User)
    return request.user


def curator_required(view: Callable[Concatenate[R, P], HttpResponseBase]) -> Callable[Concatenate[R, P], HttpResponseBase]:
    """Send the unknown to the login page, refuse raters, let curators and admins in."""

    @wraps(view)
    def guarded(request: R, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not can_curate(request.user):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return login_required(guarded)  # type: ignore[return-value]


def curator_action(view: Callable[Concatenate[R, P], HttpResponseBase]) -> Callable[Concatenate[R, P], HttpResponseBase]:
    """A curator's button. Opened as an address (after a login, say) it changes nothing and leads back."""

    guarded = curator_required(view)

    @wraps(view)
    def posted(request: R, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if request.method != "POST" and can_curate(request.user):
            messages.warning(request, "Nothing was changed. Press the button again.")
            return redirect("home")
        return guarded(request, *args, **kwargs)

    return cast(Callable[Concatenate[R, P], HttpResponseBase], posted)


class IsCurator(BasePermission):
    message = "Only curators and admins may do this."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return can_curate(request.user)
