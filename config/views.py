import sys

from django.db import DataError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from annotate.models import Consensus, Rating
from datasets.access import is_admin
from datasets.errors import is_of_storage
from datasets.models import Job, Release, Track
from datasets.selectors import can_inspect, fetch_alarms
from mer.models import Run


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
    # Without the request: what pages say about their reader would need the database.
    odd_id = request.path_info.startswith("/admin/") and isinstance(
        error, ValueError | OverflowError
    )  # Django's panel asks for what is sent
    if isinstance(error, DataError) or odd_id:
        return HttpResponse(render_to_string("400.html"), status=400)
    away = isinstance(error, OperationalError | InterfaceError)
    if away or is_of_storage(error):
        page = render_to_string("503.html", {"is_storage": not away})
        return HttpResponse(page, status=503, headers={"Retry-After": "10"})
    return HttpResponse(render_to_string("500.html"), status=500)
