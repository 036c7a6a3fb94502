"""What monitors ask: is the process alive, can it work, and how is the study."""

import hmac
import shutil
from collections.abc import Callable, Iterator

from celery import current_app
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from annotate.models import Assignment, Consensus, Rating
from datasets.access import is_admin
from datasets.models import Job, QueuePause, Release, Track
from datasets.selectors import age_of_ytdlp, javascript_runtime
from datasets.services.queue import STALE_S
from mer.models import Run


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
    name = default_storage.save("health/probe", ContentFile(b"ok"))
    default_storage.delete(name)


def _broker() -> None:
    with current_app.connection_for_write(transport_options={"socket_connect_timeout": 1}) as broker:
        broker.ensure_connection(max_retries=1, timeout=1)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus: with METRICS_TOKEN as bearer, or for a logged-in admin. Counted from the rows when it is asked."""
    sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
    allowed = bool(settings.METRICS_TOKEN) and hmac.compare_digest(sent.encode(), settings.METRICS_TOKEN.encode())
    if not allowed and not is_admin(request.user):
        raise Http404
    registry = CollectorRegistry()
    registry.register(Study())
    return HttpResponse(generate_latest(registry), content_type="text/plain; version=0.0.4; charset=utf-8")


class Study:
    """A collector in prometheus_client's sense."""

    def collect(self) -> Iterator[Metric]:
        now = timezone.now()
        yield _counts("mer_tracks", "Tracks by state", "state", Track.objects.values_list("state"), Track.State.values)
        yield _counts("mer_jobs", "Jobs by state", "state", Job.objects.values_list("state"), Job.State.values)
        yield _counts(
            "mer_consensus",
            "Tracks by what their ratings say",
            "state",
            Consensus.objects.values_list("state"),
            Consensus.State.values,
        )
        yield GaugeMetricFamily("mer_ratings", "Ratings", value=Rating.objects.count())
        yield GaugeMetricFamily("mer_releases", "Releases", value=Release.objects.count())
        yield GaugeMetricFamily("mer_runs", "Runs", value=Run.objects.count())
        live = Assignment.objects.filter(state__in=["open", "ahead"], expires_at__gt=now).count()
        yield GaugeMetricFamily("mer_assignments_live", "Reserved slots with a live lease", value=live)
        yield GaugeMetricFamily("mer_queues_paused", "Queues that stand still", value=QueuePause.objects.count())
        oldest = Job.objects.filter(state=Job.State.QUEUED).order_by("created_at").values_list("created_at", flat=True).first()
        age = (now - oldest).total_seconds() if oldest else 0
        yield GaugeMetricFamily("mer_oldest_waiting_job_seconds", "Age of the job that waits longest", value=age)
        beats = Job.objects.filter(state=Job.State.RUNNING).values_list("heartbeat_at", flat=True)
        stale = sum(beat is None or (now - beat).total_seconds() > STALE_S for beat in beats)
        yield GaugeMetricFamily("mer_jobs_stale", "Running jobs without a heartbeat", value=stale)
        days = age_of_ytdlp()
        yield GaugeMetricFamily("mer_ytdlp_age_days", "Age of yt-dlp; -1: unknown", value=-1 if days is None else days)
        yield GaugeMetricFamily("mer_javascript_runtime", "Whether yt-dlp finds one", value=bool(javascript_runtime()))
        yield GaugeMetricFamily("mer_disk_free_bytes", "Free in DATA_DIR", value=shutil.disk_usage(settings.DATA_DIR).free)


def _counts(name: str, words: str, label: str, rows: object, known: list[str]) -> Metric:
    """A gauge with a sample for every known value, also those that do not occur."""
    found = dict(rows.order_by().annotate(Count("pk")))  # type: ignore[attr-defined]
    family = GaugeMetricFamily(name, words, labels=[label])
    for value in known:
        family.add_metric([value], found.get(value, 0))
    return family
