"""Who may do what: raters rate, guests look, curators do the rest, admins also reach the admin panel."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _
from django_htmx.middleware import HtmxDetails
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from datasets.selectors import can_curate, can_inspect


class HtmxHttpRequest(HttpRequest):
    """A request as the middleware leaves it: it knows whether htmx sent it."""

    htmx: HtmxDetails


def roles(request: HttpRequest) -> dict[str, object]:
    """For every template: whether whoever looks runs the studio."""
    return {"is_admin": is_admin(request.user) if hasattr(request, "user") else False}


def panel_base(request: HtmxHttpRequest) -> str:
    """What a panel's template extends: nothing inside its page, the whole frame when its link is opened by itself."""
    return "partials/fragment.html" if request.htmx else "base.html"


P = ParamSpec("P")
CURATORS, GUESTS = "curators", "guests"  # the groups that carry the permissions


def curators() -> Group:
    return _group(CURATORS, "curate", "inspect")


def guests() -> Group:
    return _group(GUESTS, "inspect")


def _group(name: str, *permissions: str) -> Group:
    group, _ = Group.objects.get_or_create(name=name)
    group.permissions.set(Permission.objects.filter(codename__in=permissions, content_type__app_label="datasets"))
    return group


R = TypeVar("R", bound=HttpRequest)


def user_of(request: HttpRequest) -> User:
    """The logged-in user, behind a view that lets nobody else in."""
    assert isinstance(request.user, User)
    return request.user


V = Callable[Concatenate[R, P], HttpResponseBase]


def _guarded(view: V[R, P], may: Callable[[AbstractBaseUser | AnonymousUser], bool]) -> V[R, P]:
    """Send the unknown to the login page, refuse those who may not, let the others in."""

    @wraps(view)
    def guarded(request: R, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if not may(request.user):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return login_required(guarded)  # type: ignore[return-value]


def _button(view: V[R, P], may: Callable[[AbstractBaseUser | AnonymousUser], bool]) -> V[R, P]:
    """Something that changes rows. Opened as an address (after a login, say) it changes nothing and leads back."""

    guarded = _guarded(view, may)

    @wraps(view)
    def posted(request: R, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if request.method != "POST" and may(request.user):
            messages.warning(request, _("Nothing was changed. Press the button again."))
            return redirect("home")
        return guarded(request, *args, **kwargs)

    return cast(V[R, P], posted)


def is_admin(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Admins see who raters are, invite them and set them aside; raters are pseudonyms for everybody else."""
    return isinstance(user, User) and user.is_active and user.is_staff and user.is_superuser


def reader_required(view: V[R, P]) -> V[R, P]:
    """Pages that only show."""
    return _guarded(view, can_inspect)


def reader_action(view: V[R, P]) -> V[R, P]:
    """What who may read may say, without changing anything that is there."""
    return _button(view, can_inspect)


def curator_required(view: V[R, P]) -> V[R, P]:
    return _guarded(view, can_curate)


def curator_action(view: V[R, P]) -> V[R, P]:
    return _button(view, can_curate)


def admin_required(view: V[R, P]) -> V[R, P]:
    return _guarded(view, is_admin)


def admin_action(view: V[R, P]) -> V[R, P]:
    return _button(view, is_admin)


class IsCurator(BasePermission):
    """Guests may read."""

    message = _("Only curators and admins may do this.")

    def has_permission(self, request: Request, view: APIView) -> bool:
        return can_inspect(request.user) if request.method in SAFE_METHODS else can_curate(request.user)


class IsReader(BasePermission):
    message = _("Only curators, guests and admins may do this.")

    def has_permission(self, request: Request, view: APIView) -> bool:
        return can_inspect(request.user)


class IsAdmin(BasePermission):
    message = _("Only admins may do this.")

    def has_permission(self, request: Request, view: APIView) -> bool:
        return is_admin(request.user)
