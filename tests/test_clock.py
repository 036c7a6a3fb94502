"""The clock of the machine jumps: nobody is locked out, nothing that is alive is taken for dead, nothing counts twice."""

import time
import uuid
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from annotate.models import Assignment, Consensus, Questionnaire, Rater, Rating
from annotate.services import ratings, slots
from config.beat import Scheduler
from config.celery import app as celery_app
from datasets.errors import TryLater
from datasets.models import Job
from datasets.services import queue, tokens

pytestmark = pytest.mark.django_db
JUMPS = [timedelta(days=-1), timedelta(hours=-1), timedelta(hours=1), timedelta(days=1)]
REAL_NOW = timezone.now


@pytest.fixture
def jump(monkeypatch) -> Callable[[timedelta], None]:
    """What every process of this machine takes for the time; the database keeps its own."""

    def to(by: timedelta) -> None:
        monkeypatch.setattr(timezone, "now", lambda: REAL_NOW() + by)

    return to


@pytest.mark.parametrize("by", JUMPS, ids=str)
def test_who_is_rating_when_it_jumps_is_heard_and_counted_once(make_track, questionnaire, jump, by):
    track = make_track(seconds=20)
    Questionnaire.objects.filter(pk=questionnaire.pk).update(minimum_s=15)
    questionnaire.refresh_from_db()
    person = Rater.objects.create(pseudonym="R1")
    slot = slots.reserve_next(questionnaire, person)
    slots.report_shown(slot)
    Assignment.objects.filter(pk=slot.pk).update(shown_at=timezone.now() - timedelta(seconds=20))
    slot.refresh_from_db()
    jump(by)
    key, heard = uuid.uuid4(), ratings.Listening(heard_s=20.0)
    for _ in range(2):  # the phone sends it again
        rating = ratings.submit_rating(slot, word_key="happy", listening=heard, key=key)
        slot.refresh_from_db()
    assert Rating.objects.count() == 1 and rating.word.key == "happy"
    assert Consensus.objects.get(track=track).n_ratings == 1
    assert 0 <= rating.heard_s <= 40


def test_a_clock_that_is_put_back_asks_nobody_to_wait_longer_than_the_shortest_time(make_track, questionnaire, jump):
    make_track(seconds=20)
    Questionnaire.objects.filter(pk=questionnaire.pk).update(minimum_s=15)
    questionnaire.refresh_from_db()
    slot = slots.reserve_next(questionnaire, Rater.objects.create(pseudonym="R1"))
    slots.report_shown(slot)
    jump(timedelta(hours=-1))
    with pytest.raises(ratings.TooFast) as refused:
        ratings.submit_rating(slot, word_key="happy", listening=ratings.Listening(heard_s=3.0), key=uuid.uuid4())
    assert 0 < refused.value.wait_s <= 15


@pytest.mark.database
@pytest.mark.parametrize("by", JUMPS, ids=str)
def test_a_job_that_is_alive_is_left_alone(dataset, jump, by):
    job = queue.enqueue("datasets.tasks.write_export", dataset, title="Something", wake_worker=False)
    ticket = queue.claim(job.pk)
    jump(by)
    assert queue.sweep()["returned"] == 0
    ticket.progress(0.5, "Half of it", force=True)
    ticket.end(Job.State.DONE)
    job.refresh_from_db()
    assert (job.state, job.attempts) == ("done", 1)


@pytest.mark.database
def test_what_a_dead_worker_held_and_what_waits_comes_back_after_the_databases_clock_was_put_back(dataset):
    held, waits = (
        queue.enqueue(task, dataset, title=task, wake_worker=False)
        for task in ("datasets.tasks.write_export", "datasets.tasks.convert_track")
    )
    queue.claim(held.pk)
    ahead = Now() + timedelta(hours=12)
    Job.objects.filter(pk=held.pk).update(heartbeat_at=ahead)
    Job.objects.filter(pk=waits.pk).update(not_before=ahead)
    assert queue.sweep()["returned"] == 0, "its worker may live: it has half a minute to say so"
    assert waits in queue.ready_to_be_taken()
    Job.objects.filter(pk=held.pk).update(heartbeat_at=F("heartbeat_at") - timedelta(seconds=queue.STALE_S + 1))
    assert queue.sweep()["returned"] == 1 and held in queue.ready_to_be_taken()


@pytest.mark.database
@pytest.mark.parametrize("by", JUMPS, ids=str)
def test_what_waits_two_seconds_on_a_machine_with_another_clock_is_taken_after_two_seconds(dataset, jump, by):
    job = queue.enqueue("datasets.tasks.write_export", dataset, title="Something", wake_worker=False)
    jump(by)
    queue.claim(job.pk).wait(TryLater("The line broke.", wait_s=0.5))
    assert queue.claim(job.pk) is None
    time.sleep(0.7)
    if connection.vendor == "postgresql":  # whose clock stands still inside the transaction of a test
        Job.objects.filter(pk=job.pk).update(not_before=Now())
    assert queue.claim(job.pk) is not None


class EmptyBroker:
    """A broker whose queues hold no message."""

    default_channel = SimpleNamespace(client=SimpleNamespace(llen=lambda name: 0))


@pytest.mark.database
@pytest.mark.parametrize("by", JUMPS, ids=str)
@pytest.mark.parametrize(
    ("told", "again"), [(timedelta(hours=1), True), (timedelta(minutes=-1), True), (timedelta(seconds=-1), False)]
)
def test_what_the_broker_forgot_is_told_again_whatever_the_clocks_say(dataset, jump, by, monkeypatch, told, again):
    """An hour ahead: told before the database's own clock was put back."""
    job = queue.enqueue("datasets.tasks.write_export", dataset, title="Something", wake_worker=False)
    monkeypatch.setattr(queue.current_app, "connection_or_acquire", lambda: nullcontext(EmptyBroker))
    Job.objects.filter(pk=job.pk).update(woken_at=Now() + told)
    jump(by)
    assert queue.sweep()["woken"] == int(again)


def test_beat_sends_what_is_due_after_its_clock_was_put_back(tmp_path, monkeypatch):
    sent: list[str] = []
    beat = Scheduler(celery_app, schedule_filename=str(tmp_path / "schedule"), lazy=False)
    monkeypatch.setattr(beat, "apply_entry", lambda entry, producer=None: sent.append(entry.task))
    monkeypatch.setattr(Scheduler, "producer", None)
    monkeypatch.setattr(beat, "sync", lambda: None)
    clock = REAL_NOW()
    monkeypatch.setattr(celery_app, "now", lambda: clock)
    for entry in beat.schedule.values():
        monkeypatch.setattr(entry.schedule, "nowfun", lambda: clock)

    def go_on(seconds: int) -> list[str]:
        nonlocal clock
        sent.clear()
        for _second in range(seconds):
            clock += timedelta(seconds=1)
            while beat.tick() == 0:
                pass
        return list(sent)

    assert "datasets.tasks.sweep" in go_on(30)
    clock -= timedelta(hours=1)
    assert go_on(30).count("datasets.tasks.sweep") >= 2
    clock += timedelta(hours=3)
    assert {"datasets.tasks.sweep", "datasets.tasks.tidy"} <= set(go_on(30))


@pytest.mark.parametrize("by", [*JUMPS[:3], timedelta(days=20)], ids=str)
def test_a_token_is_valid_until_its_day(curator, client, jump, by):
    _row, secret = tokens.issue_token(curator, name="notebook", days=30)
    jump(by)
    assert client.get("/api/v1/tracks/", headers={"Authorization": f"Token {secret}"}).status_code == 200
