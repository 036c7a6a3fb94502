"""Who may do what: raters rate, curators do the rest, admins also reach the admin panel."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from datasets.selectors import can_curate

P = ParamSpec("P")
CURATORS = "curators"  # the group that carries the permission


def curator_required(
    view: Callable[Concatenate[HttpRequest, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Send the unknown to the login page, refuse raters, let curators and admins in."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not can_curate(request.user):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return login_required(guarded)  # type: ignore[return-value]


class IsCurator(BasePermission):
    message = "Only curators and admins may do this."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return can_curate(request.user)
