"""What monitors ask: is the process alive, and can it work."""

from collections.abc import Callable

from celery import current_app
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers. Nothing else is asked: a restart mends no database."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Whether requests can be served; without the broker they can, jobs only wait."""
    checks = {"database": _state(_database), "storage": _state(_storage), "broker": _state(_broker)}
    ready = checks["database"] == "ok" and checks["storage"] == "ok"
    return JsonResponse({"ready": ready, "checks": checks}, status=200 if ready else 503)


def _state(check: Callable[[], None]) -> str:
    """ok, or the kind of the error: its text may hold addresses."""
    try:
        check()
    except Exception as error:  # whatever a driver raises: the answer is that it does not work
        return type(error).__name__
    return "ok"


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _storage() -> None:
    """Asked every few seconds at most: anybody may ask, and in a bucket each file costs."""
    if not cache.get("storage-is-well"):
        _write()
        cache.set("storage-is-well", True, 5)


def _write() -> None:
    name = default_storage.save("health/probe", ContentFile(b"ok"))
    default_storage.delete(name)


def _broker() -> None:
    with current_app.connection_for_write(transport_options={"socket_connect_timeout": 1}) as broker:
        broker.ensure_connection(max_retries=1, timeout=1)
