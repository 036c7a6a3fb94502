"""The learning curve of a release."""

from __future__ import annotations

from dataclasses import asdict

from django.contrib.auth.models import User
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from datasets.models import Release
from datasets.services import queue
from mer.methods.curves import Curve
from mer.models import LearningCurve

DRAW_CURVE = "mer.tasks.learning_curve"


@transaction.atomic
def ask_for_curve(release: Release, *, by: User | None = None) -> LearningCurve:
    """Queue it; asked for again, it is made anew."""
    curve, _made = LearningCurve.objects.get_or_create(release=release)
    url = reverse("mer:learning_curve", args=[release.name])
    curve.job = queue.enqueue(DRAW_CURVE, curve, title=f"Learning curve on {release.name}", url=url, by=by)
    curve.save(update_fields=["job"])
    return curve


def store_curve(row: LearningCurve, found: Curve) -> None:
    LearningCurve.objects.filter(pk=row.pk).update(
        points=[asdict(point) for point in found.points], gain=asdict(found.gain), n_test=found.n, made_at=timezone.now()
    )
