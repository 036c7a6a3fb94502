"""Celery's doors to the jobs: an id in, a named queue (settings), a time limit. The row decides what happens."""

import logging
from datetime import timedelta

from axes.models import AccessAttempt
from celery import shared_task
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from datasets import jobs
from datasets.services import arrivals, duplicates, links, queue, releases, uploads

logger = logging.getLogger(__name__)


@shared_task(time_limit=30 * 60)
def fetch_track(job_id: int) -> None:
    queue.run_job(job_id, jobs.fetch_track)


@shared_task(time_limit=30 * 60)
def convert_track(job_id: int) -> None:
    queue.run_job(job_id, jobs.convert_track)


@shared_task(time_limit=30 * 60)
def read_import(job_id: int) -> None:
    queue.run_job(job_id, jobs.read_import)


@shared_task(time_limit=30 * 60)
def run_import(job_id: int) -> None:
    queue.run_job(job_id, jobs.run_import)


@shared_task(time_limit=2 * 60 * 60)
def write_export(job_id: int) -> None:
    queue.run_job(job_id, jobs.write_export)


@shared_task(time_limit=2 * 60 * 60)
def bring_in_release(job_id: int) -> None:
    queue.run_job(job_id, jobs.bring_in_release)


@shared_task(time_limit=2 * 60 * 60)
def check_sources(job_id: int) -> None:
    queue.run_job(job_id, jobs.check_sources)


@shared_task(time_limit=10 * 60)
def fingerprint_track(job_id: int) -> None:
    queue.run_job(job_id, jobs.fingerprint_track)


@shared_task(time_limit=60)
def tidy() -> None:
    for step in (
        links.queue_checks, duplicates.queue_missing, uploads.forget_old, arrivals.forget_old, releases.forget_old, jobs.sweep_folders,
        queue.forget_old, SessionStore.clear_expired, _forget_wrong_passwords,
    ):  # fmt: skip
        try:
            step()
        except Exception:  # what keeps one from being done keeps none of the others
            logger.exception("Tidying: %s.%s broke", step.__module__, step.__name__)


def _forget_wrong_passwords() -> None:
    AccessAttempt.objects.filter(attempt_time__lt=timezone.now() - timedelta(days=30)).delete()


@shared_task(time_limit=60)
def sweep() -> None:
    queue.sweep()
