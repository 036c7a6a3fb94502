"""Celery's doors to the jobs: an id in, a named queue (settings), a time limit. The row decides what happens."""

from celery import shared_task

from datasets.services import queue
from mer import jobs
from mer.services import inferences


@shared_task(time_limit=10 * 60)
def draw_spectrograms(job_id: int) -> None:
    queue.run_job(job_id, jobs.draw_spectrograms)


@shared_task(time_limit=12 * 60 * 60)
def train_run(job_id: int) -> None:
    queue.run_job(job_id, jobs.train_run)


@shared_task(time_limit=12 * 60 * 60)
def train_fold(job_id: int) -> None:
    queue.run_job(job_id, jobs.train_fold)


@shared_task(time_limit=30 * 60)
def infer(job_id: int) -> None:
    queue.run_job(job_id, jobs.infer)


@shared_task(time_limit=12 * 60 * 60)
def hear_unrated(job_id: int) -> None:
    queue.run_job(job_id, jobs.hear_unrated)


@shared_task(time_limit=2 * 60 * 60)
def learning_curve(job_id: int) -> None:
    queue.run_job(job_id, jobs.learning_curve)


@shared_task(time_limit=60)
def hear_what_came_in() -> None:
    inferences.hear_what_came_in()


@shared_task(time_limit=10 * 60)
def tidy() -> None:
    inferences.forget_old()
