"""Headers of every answer, the number by which a request is found again in the logs, and who has tried too often."""

import re
import uuid
from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any

from axes.utils import reset
from csp.middleware import CSPMiddleware
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_login_failed
from django.core.cache import cache
from django.core.checks import Tags, Warning, register
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from rest_framework.request import Request
from rest_framework.throttling import AnonRateThrottle

from datasets.tracing import tracing

PERMISSIONS = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
GIVEN = re.compile(r"[A-Za-z0-9-]{8,64}\Z")


class ContentSecurityPolicy(CSPMiddleware):
    """No inline script and no eval; the admin panel's Alpine evaluates its attributes."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if request.path_info.startswith("/admin/"):
            response._csp_update = {"script-src": ["'unsafe-eval'"]}  # type: ignore[attr-defined]
        answer: HttpResponseBase = super().process_response(request, response)
        answer.headers.setdefault("Permissions-Policy", PERMISSIONS)
        return answer


# Wrong passwords and unknown tokens of one address in a quarter of an hour, in each web process. Many, because a classroom has one address;
# axes closes single names long before.
MOST_TRIES = 100
TRIES_S = 15 * 60
LOGINS = ("/login/", "/admin/login/")


def address_of(request: HttpRequest) -> str:
    """Of whoever asks: what the outermost of our own proxies saw, as Django REST framework reckons; what stands before that may be made up."""
    return _network(_address(request))


def _network(address: str) -> str:
    """Whoever has one address of IPv6 has a whole /64."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    return str(found.ipv4_mapped or IPv6Network((found, 64), strict=False).network_address)


def _address(request: HttpRequest) -> str:
    seen = [address.strip() for address in request.headers.get("X-Forwarded-For", "").split(",") if address.strip()]
    if settings.PROXY_COUNT and seen:
        return str(seen[-min(settings.PROXY_COUNT, len(seen))])
    return str(request.META.get("REMOTE_ADDR", ""))


def _place(request: HttpRequest, what: str) -> str:
    return f"tries-{what}-{address_of(request)}"


def _count(place: str) -> int:
    cache.add(place, 0, TRIES_S)
    try:
        return int(cache.incr(place))
    except ValueError:  # it has run out this moment
        return 1


@receiver(user_login_failed)
def count_wrong_password(sender: object, request: HttpRequest | None = None, **values: object) -> None:
    if request is not None:
        _count(_place(request, "login"))


@receiver(post_save, sender=User)
def open_again(sender: object, instance: User, **values: object) -> None:
    """A new password opens a name that was closed for wrong ones."""
    if instance._password is not None:  # type: ignore[attr-defined]
        reset(username=instance.get_username())


def _locked(request: HttpRequest, ctx: dict[str, Any]) -> HttpResponse:
    response = render(request, "registration/locked.html", ctx, status=429)
    response.headers["Retry-After"] = str(TRIES_S)
    return response


def locked_out(request: HttpRequest, response: HttpResponse | None, credentials: dict[str, Any]) -> HttpResponse:
    """One name was tried too often from one address."""
    return _locked(request, {})


def doors(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """One address that tries passwords over many names is not listened to for a while; one that tries tokens is told to wait."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.method == "POST" and request.path_info in LOGINS and cache.get(_place(request, "login"), 0) >= MOST_TRIES:
            return _locked(request, {"is_address": True})
        response = get_response(request)
        if request.path_info.startswith("/api/") and response.status_code == 401 and _count(_place(request, "api")) > MOST_TRIES:
            detail = {"detail": "Too many requests without a valid token from this address. Wait a quarter of an hour."}
            return JsonResponse(detail, status=429, headers={"Retry-After": str(TRIES_S)})
        return response

    return middleware


def request_id(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """The proxy's number if it gave one, else a new one; in every line that is logged meanwhile, and in the answer."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "")
        number = given if GIVEN.match(given) else uuid.uuid4().hex
        with tracing(request=number):
            response = get_response(request)
        response.headers["X-Request-ID"] = number
        return response

    return middleware


class AnonThrottle(AnonRateThrottle):
    def get_ident(self, request: Request) -> str:
        return address_of(request)


@register(Tags.security)
def check_proxy(app_configs: object, **options: object) -> list[Warning]:
    """Behind a proxy that is not counted everybody has the proxy's address, and one stranger's wrong passwords close the login for all."""
    if not settings.HTTPS or settings.PROXY_COUNT:
        return []
    hint = "Set PROXY_COUNT to the number of proxies in front of the studio: 1 for the nginx of compose.yml."
    return [Warning("HTTPS is on, and no proxy is counted (PROXY_COUNT=0).", hint=hint, id="mer.W001")]
