"""Whether the sources of tracks can still be fetched: videos are taken down, and a release should say how much of it is left."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from datasets.errors import WrongState
from datasets.models import Dataset, Job, Track
from datasets.services import queue

CHECK = "datasets.tasks.check_sources"
EVERY = timedelta(days=30)
AT_ONCE = 200  # videos a run, so that a large dataset does not use up what YouTube lets a guest ask


def due(dataset: Dataset) -> list[Track]:
    """Tracks from YouTube that were fetched and not asked after for a month, the longest unchecked first."""
    tracks = dataset.tracks.filter(source=Track.Source.YOUTUBE, state__in=[Track.State.READY, Track.State.EXCLUDED])
    old = Q(source_checked_at=None) | Q(source_checked_at__lt=timezone.now() - EVERY)
    return list(tracks.filter(old).order_by(F("source_checked_at").asc(nulls_first=True), "id")[:AT_ONCE])


def note(track: Track, *, gone: str) -> None:
    Track.objects.filter(pk=track.pk).update(source_checked_at=timezone.now(), source_gone=gone[:300])


def queue_checks() -> int:
    """One job for each dataset with something to check; a second call while it runs adds nothing."""
    queued = 0
    for dataset in Dataset.objects.filter(tracks__source=Track.Source.YOUTUBE).distinct():
        if due(dataset):
            try:
                with transaction.atomic():
                    request_check(dataset)
                queued += 1
            except WrongState:
                continue
    return queued


def request_check(dataset: Dataset) -> Job:
    return queue.enqueue(CHECK, dataset, title=_("Check the sources of “%(dataset)s”") % {"dataset": dataset}, url="/jobs/health/")
