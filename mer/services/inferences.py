"""Asking a run about recordings that it has not seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files import File
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from datasets.errors import WrongState
from datasets.models import Dataset, Job, Track
from datasets.services import queue, tracks
from datasets.services.signals import Said, note_sight, note_sight_of, write_signals
from mer import selectors
from mer.errors import PredictionImpossible
from mer.models import Inference, Promotion, Refusal, Run

INFER, HEAR = "mer.tasks.infer", "mer.tasks.hear_unrated"


@transaction.atomic
def ask(
    run: Run, *, track: Track | None = None, file: File[bytes] | None = None, filename: str = "", by: User | None = None
) -> Inference:
    """Queue the question: about a track that is ready, or about a file that is kept until it is heard."""
    guard_model(run)
    made = Inference(run=run, track=track, filename=filename[:300], created_by=by)
    if track is not None and track.state != Track.State.READY:
        raise WrongState(
            _("“%(title)s” is %(state)s; only tracks that are ready can be heard.")
            % {"title": track.title, "state": track.get_state_display().lower()}
        )
    if file is not None:
        tracks.guard_size(filename, file.size)
        made.file.save("sent", file, save=False)
    made.save()
    title = f"{run.name} hears “{made.name}”"
    made.job = queue.enqueue(INFER, made, title=title, url=made.get_absolute_url(), by=by)
    made.save(update_fields=["job"])
    return made


def guard_model(run: Run) -> None:
    """Raises PredictionImpossible for a run that keeps no model."""
    if not run.can_predict:
        why = _("it was tested in folds and keeps no model") if run.in_folds else _("it is not finished")
        raise PredictionImpossible(
            _("%(run)s cannot predict: %(why)s. Train on the hold-out split, and use that run.") % {"run": run.name, "why": why}
        )


def note_seen(shown: Iterable[Inference], *, by: User) -> None:
    """Somebody reads these answers, and is not the one to rule on test tracks afterwards."""
    answered = [asked for asked in shown if asked.label]
    for release in {asked.run.release for asked in answered}:
        note_sight(release, by)
    for track in {asked.track for asked in answered if asked.track}:
        note_sight_of(track, by)


def finish(inference: Inference, answer: Mapping[str, Any], *, peaks: Sequence[int], duration_s: float) -> None:
    """The answer in one step; a file that was sent is not kept."""
    Inference.objects.filter(pk=inference.pk).update(
        label=answer["label"], probabilities=answer["probabilities"], windows=answer["windows"], peaks=list(peaks), duration_s=duration_s,
    )  # fmt: skip
    if inference.file:
        inference.file.delete(save=False)
        Inference.objects.filter(pk=inference.pk).update(file="")


def hear_unrated(run: Run, *, by: User | None = None) -> Job | None:
    """Queue what the run says of the tracks of its dataset that it has not heard; nothing to do is no error."""
    if not selectors.unheard(run).exists():
        return None
    title = f"{run.name} hears tracks outside of {run.release.name}"
    try:
        return queue.enqueue(HEAR, run, title=title, url=run.get_absolute_url(), by=by)
    except WrongState:  # it does so already
        return None


def hear_what_came_in() -> int:
    """Let promoted runs hear the tracks that came in since; returns how many of them do."""
    runs = [selectors.promoted(dataset) for dataset in Dataset.objects.filter(pk__in=Promotion.objects.values("dataset"))]
    return sum(hear_unrated(run) is not None for run in runs if run)


def write_heard(run: Run, answers: Mapping[int, Mapping[str, float]], refused: Mapping[int, str]) -> None:
    """By track: the probabilities, or why there are none."""
    said = [Said(track, "", "", probabilities) for track, probabilities in answers.items()]
    with transaction.atomic():
        rows = [Refusal(run=run, track_id=track, reason=reason[:300]) for track, reason in refused.items()]
        Refusal.objects.bulk_create(rows, ignore_conflicts=True)
        write_signals(run.release, said, run=run.pk, run_name=run.name)


def forget_old() -> None:
    """What was heard on the page of predictions is kept for a while; files that never were go with their rows."""
    old = Inference.objects.filter(created_at__lt=timezone.now() - timedelta(days=settings.JOB_RETENTION_DAYS))
    for row in old.exclude(file=""):
        row.file.delete(save=False)
    old.delete()
