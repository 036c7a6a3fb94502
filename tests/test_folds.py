"""The folds of one run: any worker trains them, none twice, and what is trained is never lost."""

import uuid
from datetime import timedelta

import numpy as np
import pytest
from django.conf import settings
from django.utils import timezone

from datasets.errors import JobInterrupted
from datasets.models import Job
from datasets.services import queue
from mer import jobs, rounds, selectors
from mer.errors import TrainingImpossible
from mer.methods.params import SpectrogramParams, TrainingParams
from mer.models import Fold, Run, Spectrogram
from mer.services import runs
from tests.test_runs import draw_all

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def run(release) -> Run:
    run = runs.create_run(
        release=release, training=TrainingParams.of("crnn"), spectrograms=SpectrogramParams(), folds=True, wake_worker=False
    )
    draw_all(run)
    return run


class Trainings:
    """In place of TensorFlow: always right, tells an epoch, and does meanwhile what a test asks for."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.meanwhile = {}

    def __call__(self, watch, run, folder, inputs, *, fold=0):
        folder.mkdir(exist_ok=True)
        (folder / "state").write_text("half")
        runs.add_epoch(
            run, dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy", "seconds"), 1.0) | {"number": 1}, fold=fold
        )
        watch.progress(0.5, "Epoch 1 of 2", force=True)
        if fold in self.meanwhile:
            self.meanwhile.pop(fold)()
        watch.check()
        self.done.append(fold)
        tracks = [np.flatnonzero(inputs.owner == track)[0] for track in range(inputs.owner.max() + 1)]
        picture = np.zeros((126, 258), np.uint8)
        return rounds.Trained(1, 1000, "float32", np.eye(3)[inputs.truth[tracks]], {0: picture})


@pytest.fixture
def trainings(monkeypatch) -> Trainings:
    trainings = Trainings()
    monkeypatch.setattr(rounds, "train", trainings)
    return trainings


def job_of(run: Run, number: int) -> Job:
    return Fold.objects.select_related("job").get(run=run, number=number).job


def elsewhere(run: Run, number: int) -> None:
    """Another worker gets the message of this fold, and trains it."""
    queue.run_job(job_of(run, number).pk, jobs.train_fold)


def is_whole(run: Run) -> bool:
    run = Run.objects.get(pk=run.pk)
    tested = run.predictions.filter(part="test").values_list("track_id", flat=True)
    assert sorted(tested) == sorted(run.release.items.values_list("track_id", flat=True)), "each track is tested once"
    assert selectors.evaluation(run, "test").accuracy == 1
    assert (run.n_weights, run.environment["precision"]) == (1000, "float32")
    assert set(run.folds.values_list("job__state", flat=True)) == {"done"}
    assert not run.folds.exclude(results="").exists() and not list((settings.MEDIA_ROOT / "folds").glob("*"))
    assert not list(settings.WORK_DIR.glob("job-*")), "nothing is left of it"
    return True


def test_one_worker_alone_trains_every_fold_once_and_tells_how_far_it_is(run, trainings):
    told = []
    trainings.meanwhile[3] = lambda: told.append(Job.objects.get(pk=run.job_id))
    assert queue.run_job(run.job_id, jobs.train_run).state == "done"
    assert trainings.done == [1, 2, 3, 4, 5] and is_whole(run)
    assert told[0].detail == "2 of 5 folds done; fold 3: Epoch 1 of 2"
    assert told[0].progress == pytest.approx(0.1 + 0.85 * 2.5 / 5)
    assert sorted(run.epochs.values_list("fold", flat=True)) == [1, 2, 3, 4, 5]
    for number in range(1, 6):
        elsewhere(run, number)  # the messages come late
    assert len(trainings.done) == 5


def test_a_fold_that_another_worker_trains_is_not_trained_twice(run, trainings):
    trainings.meanwhile[1] = lambda: [elsewhere(run, 2), elsewhere(run, 4), elsewhere(run, 1)]
    assert queue.run_job(run.job_id, jobs.train_run).state == "done"
    assert trainings.done == [2, 4, 1, 3, 5] and is_whole(run)


def test_the_worker_of_the_run_waits_for_the_last_fold_of_another(run, trainings, monkeypatch):
    def taken() -> None:
        Job.objects.filter(pk=job_of(run, 5).pk).update(
            state="running", claim=str(uuid.uuid4()), heartbeat_at=timezone.now(), attempts=1
        )

    told = []

    def waited(seconds: float) -> None:
        told.append(Job.objects.get(pk=run.job_id).detail)
        if len(told) == 2:  # the other worker died, and the sweep gave its fold back
            Job.objects.filter(pk=job_of(run, 5).pk).update(heartbeat_at=timezone.now() - timedelta(minutes=5))
            queue.sweep()

    trainings.meanwhile[1] = taken
    monkeypatch.setattr(jobs.time, "sleep", waited)
    assert queue.run_job(run.job_id, jobs.train_run).state == "done"
    assert told[0] == "4 of 5 folds done; waiting for other workers"
    assert trainings.done == [1, 2, 3, 4, 5] and is_whole(run)


def test_a_shutdown_gives_run_and_fold_back_and_the_next_worker_goes_on_there(run, trainings):
    def shutdown() -> None:
        raise JobInterrupted("The machine is shutting down.")

    trainings.meanwhile[3] = shutdown
    assert queue.run_job(run.job_id, jobs.train_run).state == "queued"
    assert job_of(run, 3).state == "queued"
    assert (settings.WORK_DIR / f"job-{job_of(run, 3).pk}" / "fold" / "state").read_text() == "half"
    assert queue.run_job(run.job_id, jobs.train_run).state == "done"
    assert trainings.done == [1, 2, 3, 4, 5] and is_whole(run)


def test_after_the_death_of_the_run_s_worker_the_folds_stay(run, trainings):
    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    trainings.meanwhile[3] = kill
    with pytest.raises(Killed):
        queue.run_job(run.job_id, jobs.train_run)
    elsewhere(run, 5)
    Job.objects.filter(state="running").update(heartbeat_at=timezone.now() - timedelta(minutes=5))
    assert queue.sweep()["returned"] == 2
    assert queue.run_job(run.job_id, jobs.train_run).state == "done"
    assert trainings.done == [1, 2, 5, 3, 4] and is_whole(run)
    assert sorted(run.epochs.values_list("fold", flat=True)) == [1, 2, 3, 4, 5]


def test_a_cancelled_run_takes_its_folds_along_and_tried_again_keeps_what_was_trained(run, trainings, admin_person):
    def cancel() -> None:
        queue.cancel(Job.objects.get(pk=run.job_id), by=admin_person)

    trainings.meanwhile[2] = cancel
    assert queue.run_job(run.job_id, jobs.train_run).state == "cancelled"
    states = list(run.folds.values_list("job__state", flat=True))
    assert states == ["done", "cancelled", "cancelled", "cancelled", "cancelled"]
    queue.retry(Job.objects.get(pk=run.job_id))
    assert queue.run_job(run.job_id, jobs.train_run).state == "done"
    assert trainings.done == [1, 2, 3, 4, 5] and is_whole(run)


def test_of_a_cancelled_run_the_folds_of_other_workers_stop(run, trainings, admin_person):
    job = Job.objects.get(pk=run.job_id)
    trainings.meanwhile[1] = lambda: elsewhere(run, 2)
    trainings.meanwhile[2] = lambda: queue.cancel(job, by=admin_person)
    trainings.meanwhile[3] = lambda: pytest.fail("it goes on")
    assert queue.run_job(run.job_id, jobs.train_run).state == "cancelled"
    assert set(run.folds.exclude(number=2).values_list("job__state", flat=True)) == {"cancelled"}


def test_a_fold_that_fails_elsewhere_fails_the_run_by_name(run, trainings):
    def fail() -> None:
        raise TrainingImpossible("The loss became nan.")

    trainings.meanwhile[1] = lambda: elsewhere(run, 2)
    trainings.meanwhile[2] = fail
    job = queue.run_job(run.job_id, jobs.train_run)
    assert job.state == "failed" and job.reason == "Fold 2 was not trained: The loss became nan."
    assert not Job.objects.filter(state__in=["queued", "running"], subject="fold").exists()


def test_a_worker_that_lost_the_run_gives_its_fold_back_uncancelled(run, trainings):
    trainings.meanwhile[2] = lambda: Job.objects.filter(pk=run.job_id).update(claim="another")
    queue.run_job(run.job_id, jobs.train_run)
    assert job_of(run, 2).state == "queued" and trainings.done == [1]
    Job.objects.filter(pk=run.job_id).update(state="queued", claim="")
    assert queue.run_job(run.job_id, jobs.train_run).state == "done"
    assert trainings.done == [1, 2, 3, 4, 5] and is_whole(run)


def test_what_was_trained_from_other_pictures_is_trained_again(run, trainings):
    def kill() -> None:
        raise KeyboardInterrupt

    trainings.meanwhile[3] = kill
    with pytest.raises(KeyboardInterrupt):
        queue.run_job(run.job_id, jobs.train_run)
    Job.objects.filter(state="running").update(state="queued", claim="")
    Spectrogram.objects.filter(track=run.release.items.first().track_id).update(state="excluded", reason="Silent.")
    assert queue.run_job(run.job_id, jobs.train_run).state == "done"
    assert trainings.done == [1, 2, 1, 2, 3, 4, 5]
    assert run.predictions.filter(part="test").count() == run.release.items.count() - 1
