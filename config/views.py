from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from annotate.models import Consensus, Rating
from datasets.models import Job, Release, Track
from datasets.selectors import can_curate
from mer.models import Run


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """What the studio is, for a visitor; where to start, for a rater; how far the study is, for a curator."""
    if not can_curate(request.user):
        return render(request, "config/home.html")
    active = Job.objects.filter(state__in=["queued", "running"])
    ctx = {"steps": _steps(), "active": list(active.filter(task__startswith="mer.tasks.train")[:4]) or list(active[:3])}
    return render(request, "config/home.html", ctx)


def _steps() -> list[dict[str, object]]:
    ready = Track.objects.filter(state=Track.State.READY).count()
    agreed = Consensus.objects.filter(state=Consensus.State.AGREED).count()
    done = Run.objects.filter(job__state=Job.State.DONE).count()
    return [
        {
            "name": "Tracks",
            "n": Track.objects.count(),
            "text": f"{ready} converted and rateable",
            "url": reverse("datasets:track_list"),
        },
        {
            "name": "Ratings",
            "n": Rating.objects.count(),
            "text": "one word a rater and track, blind",
            "url": reverse("annotate:agreement_list"),
        },
        {
            "name": "Agreed labels",
            "n": agreed,
            "text": "above the threshold, all ratings in",
            "url": reverse("annotate:agreement_list"),
        },
        {
            "name": "Releases",
            "n": Release.objects.count(),
            "text": "frozen, split, checksummed",
            "url": reverse("datasets:release_list"),
        },
        {"name": "Runs", "n": Run.objects.count(), "text": f"{done} trained to the end", "url": reverse("mer:run_list")},
    ]
