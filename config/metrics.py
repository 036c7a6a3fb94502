"""For Prometheus: the state of the study, counted from the rows, and how long requests take."""

import hmac
import os
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from annotate.models import Assignment, Consensus, Rating
from datasets.access import is_admin
from datasets.models import Job, QueuePause, Release, Sweep, Track
from datasets.selectors import age_of_ytdlp, javascript_runtime
from datasets.services.queue import STALE_S, ready_to_be_taken
from mer.models import Run

REQUEST_SECONDS = Histogram(
    "mer_request_seconds", "Requests by route, method and kind of answer", ["route", "method", "code"], registry=None,
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)  # fmt: skip
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def timed(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """How long every request takes, up to the beginning of its answer."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        response = get_response(request)
        route = request.resolver_match.view_name if request.resolver_match else ""  # never what a stranger typed
        method = request.method if request.method in METHODS else "other"
        REQUEST_SECONDS.labels(route, method, f"{response.status_code // 100}xx").observe(time.perf_counter() - began)
        return response

    return middleware


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus: with METRICS_TOKEN as bearer, or for a logged-in admin. Counted from the rows when it is asked."""
    sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
    allowed = bool(settings.METRICS_TOKEN) and hmac.compare_digest(sent.encode(), settings.METRICS_TOKEN.encode())
    if not allowed and not is_admin(request.user):
        raise Http404
    registry = CollectorRegistry()
    registry.register(Study())
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # several web processes, which count in files
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(REQUEST_SECONDS)
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
        oldest = ready_to_be_taken().order_by("created_at").values_list("created_at", flat=True).first()
        age = (now - oldest).total_seconds() if oldest else 0
        yield GaugeMetricFamily("mer_oldest_waiting_job_seconds", "Age of the job that waits longest", value=age)
        swept = (
            Sweep.objects.annotate(age=ExpressionWrapper(Now() - F("at"), DurationField())).values_list("age", flat=True).first()
        )
        yield GaugeMetricFamily(
            "mer_sweep_age_seconds", "Since the queue was looked after; -1: never", value=swept.total_seconds() if swept else -1
        )
        beats = Job.objects.filter(state=Job.State.RUNNING).values_list("heartbeat_at", flat=True)
        stale = sum(beat is None or (now - beat).total_seconds() > STALE_S for beat in beats)
        yield GaugeMetricFamily("mer_jobs_stale", "Running jobs without a heartbeat", value=stale)
        yield from _job_seconds(now)
        days = age_of_ytdlp()
        yield GaugeMetricFamily("mer_ytdlp_age_days", "Age of yt-dlp; -1: unknown", value=-1 if days is None else days)
        yield GaugeMetricFamily("mer_javascript_runtime", "Whether yt-dlp finds one", value=bool(javascript_runtime()))
        yield GaugeMetricFamily("mer_disk_free_bytes", "Free in DATA_DIR", value=shutil.disk_usage(settings.DATA_DIR).free)


def _job_seconds(now: datetime) -> Iterator[Metric]:
    """By kind of work, over the last day: how many jobs were done, and how long they took."""
    done = Job.objects.filter(state=Job.State.DONE, finished_at__gte=now - timedelta(days=1), started_at__isnull=False)
    took = done.order_by().values_list("task").annotate(n=Count("pk"), mean=Avg(F("finished_at") - F("started_at")))
    n = GaugeMetricFamily("mer_jobs_done_last_day", "Jobs that were done in the last 24 hours", labels=["task"])
    mean = GaugeMetricFamily("mer_job_mean_seconds", "What they took from their last start on", labels=["task"])
    for task, times, span in took:
        n.add_metric([task], times)
        mean.add_metric([task], span.total_seconds())
    yield n
    yield mean


def _counts(name: str, words: str, label: str, rows: object, known: list[str]) -> Metric:
    """A gauge with a sample for every known value, also those that do not occur."""
    found = dict(rows.order_by().annotate(Count("pk")))  # type: ignore[attr-defined]
    family = GaugeMetricFamily(name, words, labels=[label])
    for value in known:
        family.add_metric([value], found.get(value, 0))
    return family
