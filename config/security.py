"""Headers of every answer, and the number by which a request is found again in the logs."""

import re
import uuid
from collections.abc import Callable

from csp.middleware import CSPMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase

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
