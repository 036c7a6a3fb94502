"""Queueing and running heavy work.

A job row is queued, claimed by exactly one worker, kept alive by a heartbeat, and ended by whoever holds the claim.
Messages may be lost, doubled or late: they only wake a worker, which asks the row.
"""

import errno
import logging
import os
import re
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

from celery import current_app
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.base import File
from django.db import DatabaseError, IntegrityError, InterfaceError, connection, transaction
from django.db import OperationalError as DatabaseAway
from django.db.models import F, Model, Q, QuerySet, TextField, Value
from django.db.models.fields.files import FieldFile
from django.db.models.functions import Concat, Now, Right
from django.utils import timezone
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError

from datasets.errors import JobCancelled, JobInterrupted, JobTakenOver, MERError, TryLater, WrongState, is_away
from datasets.models import Job, QueuePause, Sweep
from datasets.services.audit import change_state, record
from datasets.signals import job_failed, job_retried
from datasets.tracing import tracing

logger = logging.getLogger(__name__)

HEARTBEAT_S = 5
LONGEST_WAIT_S = 3600  # for another try
STALE_S = 30  # a running job without a heartbeat for this long, by the database's clock, has lost its worker
FORGOTTEN_S = 20  # a job that was told to a worker and stands in an empty queue for this long is told again
MAX_DEATHS = 3
ANOTHER_FOLLOWS = (
    JobInterrupted,
    JobTakenOver,
    TryLater,
    DatabaseAway,
    InterfaceError,
    KeyboardInterrupt,
    SystemExit,
)  # after these another attempt goes on
MAX_TRIES = 6  # of what may pass, such as a broken line
LOG_LENGTH = 20_000  # characters


def enqueue(task: str, row: Model, *, title: str, url: str = "", by: User | None = None, wake_worker: bool = True) -> Job:
    """Queue `task` for `row`, inside the caller's transaction; a second one while it is active raises WrongState."""
    subject = row._meta.model_name or ""
    try:
        with transaction.atomic():
            job = Job.objects.create(task=task, subject=subject, subject_id=row.pk, title=title[:300], url=url, created_by=by)
    except IntegrityError:
        raise WrongState(_("“%(title)s” is already queued or running.") % {"title": title}) from None
    if wake_worker:
        transaction.on_commit(lambda: wake(job))
    return job


def wake(job: Job) -> None:
    """Tell a worker. When the broker is away the row still says queued, and the sweep tells one later."""
    try:
        current_app.send_task(job.task, [job.pk], retry=False)
        Job.objects.filter(pk=job.pk).update(woken_at=Now())
    except (OperationalError, OSError) as error:
        logger.info("The broker is away; job %s stays queued (%s)", job.pk, error)


def retry(job: Job, *, by: User | None = None) -> None:
    try:
        with transaction.atomic():
            change_state(
                job,
                to=Job.State.QUEUED,
                allowed=(Job.State.FAILED, Job.State.CANCELLED),
                actor=by,
                attempts=0,
                deaths=0,
                progress=0,
                detail="",
                eta_s=None,
                claim="",
                cancel_requested=False,
                finished_at=None,
                not_before=None,
            )
            job_retried.send(Job, job=job, by=by)
            transaction.on_commit(lambda: wake(job))
    except IntegrityError:
        raise WrongState(_("“%(title)s” is queued or running already, by a later request.") % {"title": job.title}) from None


def cancel(job: Job, *, by: User | None = None) -> None:
    """End a queued job now; ask the worker of a running one to stop at its next step."""
    with transaction.atomic():
        try:
            reason = f"Cancelled by {by}." if by else "Cancelled."
            change_state(
                job, to=Job.State.CANCELLED, allowed=(Job.State.QUEUED,), actor=by, finished_at=timezone.now(), reason=reason
            )
            Job.objects.filter(pk=job.pk).update(reason=reason, log=_and(reason))
            job.reason = reason
            job_failed.send(Job, job=job)
        except WrongState:
            if not Job.objects.filter(pk=job.pk, state=Job.State.RUNNING).update(cancel_requested=True):
                raise


def _and(text: str) -> Right:
    """The log of a job and what it did now."""
    lines = "".join(f"{timezone.localtime():%H:%M:%S} {line}\n" for line in text.replace("\0", "").splitlines())
    return Right(Concat(F("log"), Value(lines), output_field=TextField()), LOG_LENGTH)


class Ticket:
    """A claim on a running job: the only way to report on it or to end it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._reported_at, self._step = 0.0, ""
        self._started = time.monotonic()

    @property
    def _mine(self) -> Q:
        return Q(pk=self.job.pk, claim=self.job.claim, state=Job.State.RUNNING)

    def progress(self, share: float, detail: str, *, eta_s: float | None = None, even: bool = True, force: bool = False) -> None:
        """Report (at most twice a second) and stop here if the job was cancelled or taken over; what is forced is a step, and goes into the log.

        Without `eta_s` the time left is reckoned from the share done, unless the work is not `even`.
        """
        now = time.monotonic()
        if not force and now - self._reported_at < 0.5:
            return
        self._reported_at = now
        if eta_s is None and even and share > 0.02:
            eta_s = (now - self._started) * (1 - share) / share
        step = {"log": _and(detail[:300])} if force and detail != self._step else {}
        self._step = detail if force else self._step
        Job.objects.filter(self._mine).update(progress=share, detail=detail[:300], eta_s=eta_s, heartbeat_at=Now(), **step)
        self.check()

    def log(self, text: str) -> None:
        Job.objects.filter(self._mine).update(log=_and(text))

    def holds(self) -> bool:
        return Job.objects.filter(self._mine).exists()

    def check(self) -> None:
        cancelled = Job.objects.filter(self._mine).values_list("cancel_requested", flat=True).first()
        if cancelled is None:
            raise JobTakenOver(_("Another worker took this job over."))
        if cancelled:
            raise JobCancelled(_("Cancelled."))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction for a job's result, undone where the job is another's by its end: a worker that slept writes nothing.

        Asked at the end, because the row is locked from then on: its heart could not beat.
        """
        with transaction.atomic():
            yield
            Job.objects.select_for_update().filter(pk=self.job.pk).first()
            self.check()

    @contextmanager
    def storing(self, field: FieldFile, name: str, content: "File[bytes]") -> Iterator[None]:
        """`writing`, with a file that is stored before it under a name of this claim alone, and is gone with it.

        Once the result is written, what other claims stored is removed.
        """
        storage, before = field.storage, field.name
        folder, _slash, base = name.rpartition("/")
        stem, _dot, suffix = base.rpartition(".")
        field.name = storage.save(f"{folder}/{stem}-{self.job.claim[:8]}.{suffix}", content)
        try:
            with self.writing():
                yield
        except (DatabaseAway, InterfaceError):
            raise  # the row may have been written: what is left over goes with the next claim
        except BaseException:
            storage.delete(str(field.name))
            field.name = before
            raise
        for other in {f"{folder}/{file}" for file in storage.listdir(folder)[1] if file == base or file.startswith(f"{stem}-")}:
            if other != field.name:
                storage.delete(other)

    def end(self, state: Job.State, reason: str = "") -> None:
        """End the job if the claim still holds; the audit event and everyone who follows, in one transaction."""
        with transaction.atomic():
            ended = Job.objects.filter(self._mine).update(
                state=state,
                reason=reason,
                detail="",
                eta_s=None,
                finished_at=timezone.now(),
                claim="",
                log=_and(reason or "Done"),
                progress=1 if state == Job.State.DONE else F("progress"),
            )
            if not ended:
                return
            self.job.refresh_from_db()
            _follow_end(self.job)

    def wait(self, fact: TryLater) -> None:
        """Back to the queue for a while; after the last try it fails."""
        if self.job.attempts >= MAX_TRIES and not fact.free:
            return self.end(Job.State.FAILED, f"{fact} (tried {self.job.attempts} times)")
        later = Now() + timedelta(seconds=fact.wait_s)  # by the database's clock: another machine takes it, whose own may differ
        Job.objects.filter(self._mine).update(
            state=Job.State.QUEUED, claim="", detail=str(fact)[:300], eta_s=None, woken_at=None, not_before=later,
            attempts=F("attempts") - int(fact.free), log=_and(str(fact)[:300]),
        )  # fmt: skip
        return None

    def wait_for_database(self, error: Exception) -> None:
        """Back to the queue, once the row can be reached again; if that takes long, the sweep finds it without a heartbeat."""
        until = time.monotonic() + STALE_S
        while time.monotonic() < until:
            if not connection.in_atomic_block:  # as in a test
                connection.close_if_unusable_or_obsolete()
            try:
                self.wait(TryLater(f"The database did not answer: {error}", wait_s=2 * 2**self.job.attempts))
                return
            except DatabaseError:
                time.sleep(1)

    def give_back(self) -> None:
        detail = "Interrupted; waiting for a worker"
        Job.objects.filter(self._mine).update(
            state=Job.State.QUEUED, claim="", detail=detail, eta_s=None, woken_at=None, attempts=F("attempts") - 1, log=_and(detail)
        )

    def _beat(self, stop: threading.Event) -> None:
        try:
            while not stop.wait(HEARTBEAT_S):
                try:
                    Job.objects.filter(self._mine).update(heartbeat_at=Now())
                except DatabaseError:  # locked or restarting: the next beat tries again, on a fresh connection
                    logger.warning("Job %s: a heartbeat was missed", self.job.pk, exc_info=True)
                    connection.close()
        finally:
            connection.close()


def _follow_end(job: Job) -> None:
    record(job, before=Job.State.RUNNING, to=job.state, reason=job.reason)
    if job.state != Job.State.DONE:
        job_failed.send(Job, job=job)


def queue_of(task: str) -> str:
    return str(current_app.amqp.router.route({}, task)["queue"].name)


def pause(queue: str, *, reason: str, by: User | None = None) -> QueuePause:
    """Stop claiming jobs of a queue. A person's pause lasts until it is resumed, the studio's own for an hour, then two, up to eight."""
    with transaction.atomic():
        row, is_new = QueuePause.objects.select_for_update().get_or_create(queue=queue, defaults={"reason": reason[:500], "by": by})
        if not is_new and row.until is None and row.by_id:
            return row  # a person's pause is not shortened
        now = timezone.now()
        if not is_new and row.until and row.until > now and by is None:
            return row  # another worker met the same a moment ago
        row.times = 1 if is_new else row.times + 1
        row.reason, row.by, row.since = reason[:500], by, now
        row.until = None if by else now + timedelta(hours=min(2 ** (row.times - 1), 8))
        row.save()
        record(row, to="paused", actor=by, reason=reason)
    return row


def resume(queue: str, *, by: User | None = None) -> None:
    """Go on at once; also with the jobs that waited for another try."""
    with transaction.atomic():
        row = QueuePause.objects.select_for_update().filter(queue=queue).first()
        if row is None:
            return
        record(row, before="paused", to="resumed", actor=by)
        row.delete()
        tasks = [task for task in Job.objects.values_list("task", flat=True).distinct() if queue_of(task) == queue]
        Job.objects.filter(state=Job.State.QUEUED, task__in=tasks).update(not_before=None, woken_at=None)


def succeeded(queue: str) -> None:
    """Work of this queue went well: the next pause starts from an hour again."""
    QueuePause.objects.filter(queue=queue, until__lte=timezone.now()).delete()


def pauses(now: datetime) -> list[QueuePause]:
    return list(QueuePause.objects.filter(Q(until=None) | Q(until__gt=now)))


def _tasks_at_rest(now: datetime) -> list[str]:
    """Tasks whose queue is paused."""
    if not (queues := {row.queue for row in pauses(now)}):
        return []
    tasks = Job.objects.filter(state=Job.State.QUEUED).values_list("task", flat=True).distinct()
    return [task for task in tasks.order_by() if queue_of(task) in queues]


def claim(job_id: int) -> Ticket | None:
    """Take a queued job, or None when somebody else has it or it is over."""
    now = timezone.now()
    token = str(uuid.uuid4())
    due = Q(not_before=None) | Q(not_before__lte=Now())
    if Job.objects.filter(pk=job_id, task__in=_tasks_at_rest(now)).exists():
        return None
    taken = Job.objects.filter(due, pk=job_id, state=Job.State.QUEUED).update(
        state=Job.State.RUNNING,
        claim=token,
        attempts=F("attempts") + 1,
        started_at=now,
        heartbeat_at=Now(),
        progress=0,
        detail="Starting",
        reason="",
        not_before=None,
        log=_and(f"Taken by process {os.getpid()} on {socket.gethostname()}"),
    )
    return Ticket(Job.objects.get(pk=job_id)) if taken else None


def run_job(job_id: int, body: Callable[[Ticket], None]) -> Job | None:
    """Claim the job, run `body`, end the row. Starting twice does nothing the second time."""
    with tracing(job=str(job_id)):
        return _run_job(job_id, body)


def _run_job(job_id: int, body: Callable[[Ticket], None]) -> Job | None:
    ticket = claim(job_id)
    if ticket is None:
        return None
    stop = threading.Event()
    heart = threading.Thread(target=ticket._beat, args=(stop,), daemon=True)
    heart.start()
    try:
        body(ticket)
    except JobCancelled as cancelled:
        ticket.end(Job.State.CANCELLED, str(cancelled))
    except JobInterrupted:
        ticket.give_back()
    except TryLater as fact:
        ticket.wait(fact)
    except MERError as fact:
        ticket.end(Job.State.FAILED, str(fact))
    except (DatabaseAway, InterfaceError) as error:
        logger.exception("Job %s (%s) lost the database", job_id, ticket.job.task)
        ticket.wait_for_database(error)
    except OSError as error:
        logger.exception("Job %s (%s) met the system", job_id, ticket.job.task)
        full = "The disk of the studio is full. Free some space, then try again."
        ticket.end(Job.State.FAILED, full if error.errno == errno.ENOSPC else f"The system refused: {error}.")
    except (KeyboardInterrupt, SystemExit):  # a person or the system stops this process, not the work
        ticket.give_back()
        raise
    except Exception as error:
        logger.exception("Job %s (%s) broke", job_id, ticket.job.task)
        if is_away(error):
            ticket.wait(TryLater(f"The storage did not answer: {type(error).__name__}.", wait_s=2 * 2**ticket.job.attempts))
        else:
            ticket.end(
                Job.State.FAILED, f"Unexpected {type(error).__name__}: {error}. The worker's log has the details (job {job_id})."
            )
    else:
        ticket.end(Job.State.DONE)
    finally:
        stop.set()
        heart.join(timeout=1)
    return Job.objects.filter(pk=job_id).first()


def forget_old() -> None:
    """Ended jobs are kept for a while; a run's job is its state and stays."""
    before = timezone.now() - timedelta(days=settings.JOB_RETENTION_DAYS)
    ended = [Job.State.DONE, Job.State.FAILED, Job.State.CANCELLED]
    Job.objects.filter(state__in=ended, finished_at__lt=before).exclude(subject__in=["run", "learningcurve"]).delete()


def sweep() -> dict[str, int]:
    """Put jobs of dead workers back, and wake workers for queued jobs whose message was lost. Safe to run twice."""
    now, died = timezone.now(), "Its worker died; waiting for another"
    returned = failed = 0
    _forget_times_ahead()
    for job in Job.objects.filter(state=Job.State.RUNNING, heartbeat_at__lt=Now() - timedelta(seconds=STALE_S)):
        held = Q(pk=job.pk, claim=job.claim, state=Job.State.RUNNING)
        with transaction.atomic():
            deaths = job.deaths + 1
            if deaths < MAX_DEATHS and not job.cancel_requested:
                returned += Job.objects.filter(held).update(
                    state=Job.State.QUEUED, claim="", woken_at=None, eta_s=None, detail=died, log=_and(died),
                    deaths=deaths, attempts=F("attempts") - 1,
                )  # fmt: skip
                continue
            state = Job.State.CANCELLED if job.cancel_requested else Job.State.FAILED
            reason = (
                "Cancelled."
                if job.cancel_requested
                else f"Its worker died {deaths} times while doing this. Out of memory, or a file that breaks it?"
            )
            if Job.objects.filter(held).update(
                state=state, reason=reason, claim="", finished_at=now, detail="", log=_and(reason), deaths=deaths
            ):
                job.refresh_from_db()
                _follow_end(job)
                failed += 1
    woken = _wake_forgotten()
    Sweep.objects.update_or_create(pk=1, defaults={"at": Now()})
    return {"returned": returned, "failed": failed, "woken": woken}


def _forget_times_ahead() -> None:
    """The database's clock was put back: from now on a dead worker's job counts as silent, and nobody waits longer than there are waits."""
    Job.objects.filter(state=Job.State.RUNNING, heartbeat_at__gt=Now() + timedelta(seconds=STALE_S)).update(heartbeat_at=Now())
    Job.objects.filter(state=Job.State.QUEUED, not_before__gt=Now() + timedelta(seconds=LONGEST_WAIT_S)).update(not_before=None)


def ready_to_be_taken() -> QuerySet[Job]:
    """Queued, in no queue that is paused, and not waiting for another try."""
    waiting = Job.objects.filter(Q(not_before=None) | Q(not_before__lte=Now()), state=Job.State.QUEUED)
    return waiting.exclude(task__in=_tasks_at_rest(timezone.now()))


def _wake_forgotten() -> int:
    """Queued rows whose message is not in the broker: it lost them, or was away when they were queued."""
    waiting = ready_to_be_taken().filter(
        Q(woken_at=None) | Q(woken_at__lt=Now() - timedelta(seconds=FORGOTTEN_S)) | Q(woken_at__gt=Now())  # the clock was put back
    )
    jobs = list(waiting.order_by("id")[:500])
    if not jobs:
        return 0
    try:
        with current_app.connection_or_acquire() as broker:
            client = broker.default_channel.client
            queues = {queue_of(job.task) for job in jobs}
            empty = {name for name in queues if not client.llen(name)}
    except (OperationalError, OSError) as error:
        logger.info("The broker is away; %s queued jobs wait (%s)", len(jobs), error)
        return 0
    # A queue that still holds messages will get to them; only an empty one has forgotten its rows.
    forgotten = [job for job in jobs if job.woken_at is None or queue_of(job.task) in empty]
    for job in forgotten:
        wake(job)
    return len(forgotten)


@contextmanager
def work_folder(ticket: Ticket, what: str = "") -> Iterator[Path]:
    """A folder of the job, in which the next attempt on this machine goes on where this one broke off; else it is removed at the end.

    what : where it goes on only if this is the same.
    """
    folder = settings.WORK_DIR / f"job-{ticket.job.pk}{what and '-'}{what}"
    folder.mkdir(exist_ok=True)
    try:
        yield folder
    except ANOTHER_FOLLOWS:
        raise
    except BaseException as error:
        if not is_away(error):
            _remove_ours(ticket, folder)
        raise
    _remove_ours(ticket, folder)


def _remove_ours(ticket: Ticket, folder: Path) -> None:
    """Unless another worker holds the job by now, and works in the folder."""
    if ticket.holds() or not Job.objects.filter(pk=ticket.job.pk, state=Job.State.RUNNING).exists():
        shutil.rmtree(folder, ignore_errors=True)


def remove_work_folders() -> None:
    """Of jobs that are over, or gone."""
    of_job: dict[int, list[Path]] = {}
    for folder in settings.WORK_DIR.glob("job-*"):
        if number := re.match(r"job-(\d+)", folder.name):
            of_job.setdefault(int(number[1]), []).append(folder)
    alive = Job.objects.filter(pk__in=of_job, state__in=[Job.State.QUEUED, Job.State.RUNNING]).values_list("pk", flat=True)
    for pk in of_job.keys() - set(alive):
        for folder in of_job[pk]:
            shutil.rmtree(folder, ignore_errors=True)


def remove_left(kind: str, left_for_s: float) -> None:
    """Other work folders of workers that were killed; without a kind, files and folders of all kinds."""
    for left in settings.WORK_DIR.glob(f"{kind}-*" if kind else "*"):
        with suppress(OSError):
            if not left.name.startswith("job-") and time.time() - left.stat().st_mtime > left_for_s:
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()
