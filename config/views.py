import sys

from django.db import DataError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe
from django.views.defaults import page_not_found

from annotate.models import Consensus, Rating
from datasets.access import is_admin
from datasets.errors import is_of_storage
from datasets.models import Job, Release, Track
from datasets.selectors import can_inspect, fetch_alarms
from mer.models import Run

API = "/api/"  # where programs ask, which are answered in JSON


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """What the studio is, for a visitor; where to start, for a rater; how far the study is, for a curator."""
    if not can_inspect(request.user):
        return render(request, "config/home.html")
    active = Job.objects.filter(state__in=["queued", "running"])
    alarms = fetch_alarms() if is_admin(request.user) else []
    ctx = {
        "steps": _steps(),
        "alarms": alarms,
        "active": list(active.filter(task__startswith="mer.tasks.train")[:4]) or list(active[:3]),
    }
    return render(request, "config/home.html", ctx)


@require_safe
def offline(request: HttpRequest) -> HttpResponse:
    """What a phone shows when there is no connection; kept on the phone by the service worker."""
    return render(request, "config/offline.html")


@require_safe
def service_worker(request: HttpRequest) -> HttpResponse:
    """Served from the root, because a service worker reaches only what lies beside it."""
    return render(request, "config/sw.js", content_type="text/javascript")


def _steps() -> list[dict[str, object]]:
    ready = Track.objects.filter(state=Track.State.READY).count()
    agreed = Consensus.objects.filter(state=Consensus.State.AGREED).count()
    done = Run.objects.filter(job__state=Job.State.DONE).count()
    return [
        {
            "name": _("Tracks"),
            "n": Track.objects.count(),
            "text": ngettext("%(n)d converted and rateable", "%(n)d converted and rateable", ready) % {"n": ready},
            "url": reverse("datasets:track_list"),
        },
        {
            "name": _("Ratings"),
            "n": Rating.objects.count(),
            "text": _("one word a rater and track, blind"),
            "url": reverse("annotate:agreement_list"),
        },
        {
            "name": _("Agreed labels"),
            "n": agreed,
            "text": _("above the threshold, all ratings in"),
            "url": reverse("annotate:agreement_list"),
        },
        {
            "name": _("Releases"),
            "n": Release.objects.count(),
            "text": _("frozen, split, checksummed"),
            "url": reverse("datasets:release_list"),
        },
        {
            "name": _("Runs"),
            "n": Run.objects.count(),
            "text": ngettext("%(n)d trained to the end", "%(n)d trained to the end", done) % {"n": done},
            "url": reverse("mer:run_list"),
        },
    ]


def server_error(request: HttpRequest) -> HttpResponse:
    """A database or a storage that does not answer is 503: it passes, and whoever asked may ask again. A value that no database column
    takes is the request's fault; anything else is our own.
    """
    error = sys.exc_info()[1]
    odd_id = request.path_info.startswith("/admin/") and isinstance(
        error, ValueError | OverflowError
    )  # Django's panel asks for what is sent
    if isinstance(error, DataError) or odd_id:
        return _told(request, 400, "The request holds a value that cannot be stored.")
    away = isinstance(error, OperationalError | InterfaceError)
    if away or is_of_storage(error):
        what = "database" if away else "storage"
        detail = f"The studio's {what} did not answer. Nothing was lost: try again in a minute."
        return _told(request, 503, detail, {"is_storage": not away}, **{"Retry-After": "10"})
    return _told(request, 500, "The studio made a mistake. Its log has the details, under the number in X-Request-ID.")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _told(request, 400, "The request cannot be read: it is too large, holds too many fields, or names another host.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not request.path_info.startswith(API):
        return page_not_found(request, exception)  # with the head of a page
    return _told(request, 404, f"There is nothing at {request.path}; the schema at {reverse('schema')} lists all addresses.")


def _told(request: HttpRequest, status: int, detail: str, context: dict[str, object] | None = None, **headers: str) -> HttpResponse:
    """JSON for a program, a page for a person; without the request, for a page's head would ask the database."""
    if request.path_info.startswith(API):
        return JsonResponse({"detail": detail}, status=status, headers=headers)
    return HttpResponse(render_to_string(f"{status}.html", context), status=status, headers=headers)
