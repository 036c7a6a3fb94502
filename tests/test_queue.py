"""Jobs: claimed once, ended once, returned when their worker dies."""

import errno
import os
import socket
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from datasets.errors import DatasetsError, JobCancelled, JobInterrupted, TryLater, WrongState
from datasets.models import Event, Job
from datasets.services import queue

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def job(dataset) -> Job:
    return queue.enqueue("datasets.tasks.write_export", dataset, title="Something", wake_worker=False)


def lose_worker(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=5))


def test_it_is_done_once_however_often_the_message_comes(job):
    calls = []
    assert queue.run_job(job.pk, calls.append).state == "done"
    assert queue.run_job(job.pk, calls.append) is None
    assert len(calls) == 1
    assert Event.objects.filter(subject="job", to_state="done").count() == 1


def test_every_step_and_every_attempt_stands_in_its_log(job):
    def work(ticket):
        ticket.progress(0.1, "Half of it", force=True)
        ticket.progress(0.2, "A moment later")
        ticket.log("two\nlines")
        if ticket.job.attempts == 1:
            raise TryLater("The line is broken", wait_s=0)

    queue.run_job(job.pk, work)
    done = queue.run_job(job.pk, work)
    said = [line[9:] for line in done.log.splitlines()]
    once = [f"Taken by process {os.getpid()} on {socket.gethostname()}", "Half of it", "two", "lines"]
    assert said == [*once, "The line is broken", *once, "Done"]
    assert all(line[2] == line[5] == ":" for line in done.log.splitlines()), "each with its time"
    assert done.last_steps.splitlines() == done.log.splitlines()[-6:]


def test_a_log_keeps_its_end(job):
    ticket = queue.claim(job.pk)
    for number in range(30):
        ticket.log(f"{number:02}" + "x" * 1000)
    job.refresh_from_db()
    assert len(job.log) == queue.LOG_LENGTH and job.log.splitlines()[-1][9:11] == "29"


def test_the_same_work_is_not_queued_twice(job, dataset):
    with pytest.raises(WrongState, match="already queued or running"):
        queue.enqueue("datasets.tasks.write_export", dataset, title="Again", wake_worker=False)


def test_a_fact_becomes_the_reason_and_can_be_retried(job):
    def fail(ticket):
        raise DatasetsError("The file is empty.")

    failed = queue.run_job(job.pk, fail)
    assert (failed.state, failed.reason) == ("failed", "The file is empty.")
    queue.retry(failed)
    assert queue.run_job(job.pk, lambda ticket: None).state == "done"


def test_a_bug_is_logged_and_told_without_a_traceback(job, caplog):
    failed = queue.run_job(job.pk, lambda ticket: 1 / 0)
    assert failed.reason.startswith("Unexpected ZeroDivisionError") and "Traceback" not in failed.reason
    assert "ZeroDivisionError" in caplog.text


def test_a_job_of_a_dead_worker_returns_and_the_dead_one_can_write_nothing(job):
    dead = queue.claim(job.pk)
    lose_worker(job)
    assert queue.sweep()["returned"] == 1
    assert queue.run_job(job.pk, lambda ticket: None).state == "done"
    dead.end(Job.State.FAILED, "late")
    job.refresh_from_db()
    assert (job.state, job.reason) == ("done", "")


def test_after_three_deaths_it_fails_with_the_reason(job):
    for _ in range(3):
        assert queue.claim(job.pk)
        lose_worker(job)
        queue.sweep()
    job.refresh_from_db()
    assert job.state == "failed" and "died 3 times" in job.reason and job.can_retry


def test_a_living_job_is_left_alone(job):
    queue.claim(job.pk)
    assert queue.sweep()["returned"] == 0


def test_a_queued_job_is_cancelled_at_once_a_running_one_at_its_next_step(job):
    def body(ticket):
        queue.cancel(Job.objects.get(pk=job.pk))
        ticket.progress(0.5, "Half", force=True)
        pytest.fail("it went on after it was cancelled")

    assert queue.run_job(job.pk, body).state == "cancelled"
    queue.retry(Job.objects.get(pk=job.pk))
    queue.cancel(Job.objects.get(pk=job.pk))
    job.refresh_from_db()
    assert (job.state, job.reason) == ("cancelled", "Cancelled.")
    assert job.log.rstrip().endswith("Cancelled.")


def test_one_dead_worker_after_three_broken_lines_fails_nothing(job):
    for _ in range(3):
        queue.claim(job.pk).wait(TryLater("The storage did not answer.", wait_s=-1))
    for deaths, state in ((1, "queued"), (2, "queued"), (3, "failed")):
        assert queue.claim(job.pk) is not None
        Job.objects.filter(pk=job.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=5))
        queue.sweep()
        job.refresh_from_db()
        assert (job.state, job.deaths, job.attempts) == (state, deaths, 3 if state == "queued" else 4)
    assert "Its worker died 3 times" in job.reason
    queue.retry(job)
    job.refresh_from_db()
    assert (job.deaths, job.attempts) == (0, 0)


def test_a_finished_job_cannot_be_cancelled(job):
    queue.run_job(job.pk, lambda ticket: None)
    with pytest.raises(WrongState, match="is done"):
        queue.cancel(Job.objects.get(pk=job.pk))


def test_a_shut_down_gives_the_job_back(job):
    def stop(ticket):
        raise JobInterrupted("going down")

    assert queue.run_job(job.pk, stop).state == "queued"


def test_without_a_broker_the_row_stays_queued(dataset, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        job = queue.enqueue("datasets.tasks.write_export", dataset, title="Later")
    job.refresh_from_db()
    assert (job.state, job.woken_at) == ("queued", None)
    assert queue.sweep()["woken"] == 0


def test_a_full_disk_is_told_as_such_and_the_work_can_be_tried_again(job):
    def full(ticket):
        raise OSError(errno.ENOSPC, "No space left on device")

    ended = queue.run_job(job.pk, full)
    assert ended.state == "failed" and "The disk of the studio is full" in ended.reason
    queue.retry(ended)
    assert queue.run_job(job.pk, lambda ticket: None).state == "done"


def test_a_clock_that_jumps_back_leaves_work_that_is_found_once_it_has_caught_up(job):
    claimed = queue.claim(job.pk)
    ahead = timezone.now() + timedelta(minutes=5)
    Job.objects.filter(pk=job.pk).update(heartbeat_at=ahead)  # written before the clock was put back
    queue.sweep()
    assert Job.objects.get(pk=job.pk).state == "running"
    Job.objects.filter(pk=job.pk).update(heartbeat_at=timezone.now() - timedelta(seconds=queue.STALE_S + 1))
    queue.sweep()
    assert Job.objects.get(pk=job.pk).state == "queued"
    with pytest.raises(JobCancelled):
        claimed.progress(0.5, "late", force=True)


def test_a_worker_whose_clock_is_wrong_is_not_taken_for_dead(job, monkeypatch):
    right = timezone.now
    with monkeypatch.context() as wrong:
        wrong.setattr(timezone, "now", lambda: right() - timedelta(minutes=10))
        ticket = queue.claim(job.pk)
        ticket.progress(0.5, "half", force=True)
    assert queue.sweep()["returned"] == 0 and Job.objects.get(pk=job.pk).state == "running"


@pytest.mark.parametrize("error", [OperationalError("the connection is lost"), InterfaceError("the connection is closed")])
def test_a_database_that_went_away_sends_the_job_back_and_at_last_fails_it(job, error):
    def lost(ticket):
        raise error

    for _ in range(queue.MAX_TRIES - 1):
        waiting = queue.run_job(job.pk, lost)
        assert waiting.state == "queued" and "The database did not answer" in waiting.detail and waiting.not_before
        Job.objects.filter(pk=job.pk).update(not_before=None)
    failed = queue.run_job(job.pk, lost)
    assert failed.state == "failed" and "tried 6 times" in failed.reason


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_who_stops_the_process_does_not_stop_the_work(job, stop):
    def stopped(ticket):
        with queue.work_folder(ticket) as folder:
            (folder / "half").touch()
            raise stop

    with pytest.raises(stop):
        queue.run_job(job.pk, stopped)
    found = Job.objects.get(pk=job.pk)
    assert (found.state, found.attempts) == ("queued", 0)

    def goes_on(ticket):
        with queue.work_folder(ticket) as folder:
            assert (folder / "half").exists()

    assert queue.run_job(job.pk, goes_on).state == "done"
    assert not list(settings.WORK_DIR.glob(f"job-{job.pk}*"))


def test_who_lost_the_job_leaves_the_folder_to_who_has_it_now(job):
    def slow(ticket):
        with queue.work_folder(ticket) as folder:
            (folder / "half").touch()
            Job.objects.filter(pk=job.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=5))
            queue.sweep()
            assert queue.claim(job.pk)
            raise DatasetsError("too late")

    queue.run_job(job.pk, slow)
    folder = settings.WORK_DIR / f"job-{job.pk}"
    assert Job.objects.get(pk=job.pk).state == "running" and (folder / "half").exists()
    (settings.WORK_DIR / "job-of-nobody").mkdir()
    Job.objects.filter(pk=job.pk).update(state="failed")
    queue.remove_work_folders()
    assert not folder.exists()
    (settings.WORK_DIR / "job-of-nobody").rmdir()
