"""The folds of a run: each a training of its own, which any worker may do."""

from __future__ import annotations

import io
import platform
from collections.abc import Sequence

import numpy as np
from django.core.files.base import ContentFile
from django.db import transaction
from numpy.typing import NDArray

from datasets.errors import WrongState
from datasets.models import Job
from datasets.services import queue
from datasets.services.queue import Ticket
from datasets.signals import job_failed
from mer.models import Fold, Run

TRAIN = "mer.tasks.train_fold"
ACTIVE = (Job.State.QUEUED, Job.State.RUNNING)


@transaction.atomic
def queue_folds(run: Run, digests: Sequence[str]) -> None:
    """A queued job for each fold that nobody trains yet. What an earlier attempt trained from the same inputs stays."""
    for number, digest in enumerate(digests, 1):
        fold, _ = Fold.objects.select_related("job").get_or_create(run=run, number=number)
        if fold.results and fold.inputs != digest:
            fold.results.delete()
        if fold.results:
            continue
        run.epochs.filter(fold=number).delete()
        if fold.job is None or fold.job.state not in ACTIVE:
            title = f"Fold {number} of {len(digests)}: {run.network} #{run.pk} on {run.release.name}"
            fold.job = queue.enqueue(TRAIN, fold, title=title, url=run.get_absolute_url(), by=run.created_by)
            fold.save(update_fields=["job"])


def begin_fold(fold: Fold) -> None:
    """Where it is trained, for the run's page."""
    Fold.objects.filter(pk=fold.pk, results="").update(facts={"host": platform.node()})


def finish_fold(
    fold: Fold,
    *,
    ticket: Ticket,
    inputs: str,
    facts: dict[str, object],
    probabilities: NDArray[np.float64],
    pictures: dict[int, NDArray[np.uint8]],
) -> None:
    """Keep what a training found until its run is finished."""
    arrays = io.BytesIO()
    numbers = sorted(pictures)
    np.savez_compressed(
        arrays, probabilities=probabilities, owner=np.array(numbers, int), pictures=np.array([pictures[n] for n in numbers])
    )
    name = f"folds/run-{fold.run_id}-{fold.number}.npz"
    with ticket.storing(fold.results, name, ContentFile(arrays.getvalue())):
        fold.inputs, fold.facts = inputs, facts | {"host": platform.node()}
        fold.save(update_fields=["results", "inputs", "facts"])


def found(fold: Fold) -> tuple[NDArray[np.float64], dict[int, NDArray[np.uint8]]]:
    """What `finish_fold` kept: the probabilities of each track, and pictures of some."""
    with fold.results.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return arrays["probabilities"], dict(zip(arrays["owner"].tolist(), arrays["pictures"], strict=True))


def forget_results(run: Run) -> None:
    for fold in run.folds.exclude(results=""):
        fold.results.delete()


def _job_failed(sender: object, job: Job, **kwargs: object) -> None:
    """A run that has ended needs no folds any more."""
    if job.subject != "run":
        return
    for fold in Fold.objects.filter(run=job.subject_id, job__state__in=ACTIVE).select_related("job"):
        try:
            queue.cancel(fold.job, by=job.created_by)  # type: ignore[arg-type]
        except WrongState:
            continue  # it ended meanwhile


def connect() -> None:
    job_failed.connect(_job_failed, dispatch_uid="mer.folds")
