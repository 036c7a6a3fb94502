"""What the admin panel opens with: how far the study is, what runs, what there is room for."""

import shutil
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count
from django.db.models.functions import TruncDate
from django.http import HttpRequest
from django.utils import timezone

from annotate.models import Questionnaire, Rating
from datasets.models import Dataset, Job, Release, Track
from datasets.selectors import fetch_alarms, work_alarms

DAYS = 30


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Called by unfold for the panel's first page."""
    releases = list(Release.objects.select_related("dataset")[:12])
    active = Job.objects.filter(state__in=[Job.State.QUEUED, Job.State.RUNNING])
    context |= {
        "alarms": fetch_alarms(),
        "work_alarms": work_alarms(),
        "tracks": _tracks(),
        "days": _ratings_a_day(),
        "reliability": _reliability(list(reversed(releases))),
        "queues": _queues(),
        "running": list(active.filter(state=Job.State.RUNNING)[:8]),
        "n_active": active.count(),
        "failed": Job.objects.filter(state=Job.State.FAILED, finished_at__gte=timezone.now() - timedelta(days=7)).count(),
        "disk": _disk(),
        "newest": releases[0] if releases else None,
        "questionnaires": list(Questionnaire.objects.select_related("dataset")[:10]),
        "n_datasets": Dataset.objects.count(),
    }
    return context


def _tracks() -> list[tuple[str, int]]:
    counts = dict(Track.objects.order_by().values_list("state").annotate(Count("pk")))
    return [(str(words), counts.get(state, 0)) for state, words in Track.State.choices]


def _ratings_a_day() -> list[dict[str, Any]]:
    """The last thirty days, today last; height in percent of the busiest."""
    today = timezone.localdate()
    since = today - timedelta(days=DAYS - 1)
    rows = Rating.objects.filter(rated_at__date__gte=since).annotate(day=TruncDate("rated_at")).order_by()
    counts = dict(rows.values_list("day").annotate(Count("pk")))
    days = [since + timedelta(days=number) for number in range(DAYS)]
    most = max([counts.get(day, 0) for day in days] + [1])
    return [{"day": day, "n": counts.get(day, 0), "height": round(100 * counts.get(day, 0) / most)} for day in days]


def _reliability(releases: list[Release]) -> list[dict[str, Any]]:
    """Krippendorff's alpha of each release with its interval, in percent of an axis from -0.2 to 1."""
    rows = []
    for release in releases:
        found = release.reliability
        if isinstance(found.get("alpha"), float):
            values = {name: found.get(name) or found["alpha"] for name in ("alpha", "alpha_low", "alpha_high")}
            places = {f"{name}_at": round(100 * (max(-0.2, value) + 0.2) / 1.2, 1) for name, value in values.items()}
            rows.append({"release": release, "width": places["alpha_high_at"] - places["alpha_low_at"]} | values | places)
    return rows


def _queues() -> list[tuple[str, int]]:
    """How many jobs wait, by queue."""
    waiting: dict[str, int] = {"fetch": 0, "audio": 0, "train": 0}
    for task, n in Job.objects.filter(state=Job.State.QUEUED).order_by().values_list("task").annotate(Count("pk")):
        queue = settings.CELERY_TASK_ROUTES.get(task, settings.CELERY_TASK_ROUTES["*"])["queue"]
        waiting[queue] = waiting.get(queue, 0) + n
    return list(waiting.items())


def _disk() -> dict[str, Any]:
    total, used, free = shutil.disk_usage(settings.DATA_DIR)
    return {"free": free, "total": total, "share": round(100 * used / total)}
