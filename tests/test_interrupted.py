"""Workers that die at awkward moments, and requests that meet."""

import threading
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.db import OperationalError, connection
from django.utils import timezone

from datasets import jobs
from datasets.errors import MERError
from datasets.methods import youtube
from datasets.models import AudioFile, Job, Track
from datasets.services import queue, tracks
from mer import jobs as mer_jobs
from mer import rounds
from mer.methods.params import SpectrogramParams, TrainingParams
from mer.models import Run
from mer.services import runs

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def died_before_the_end(job: Job) -> Job:
    """The result was committed, the end of the job was not; the sweep returns the job."""
    Job.objects.filter(pk=job.pk).update(
        state="running", claim="dead", finished_at=None, heartbeat_at=timezone.now() - timedelta(minutes=5)
    )
    assert queue.sweep()["returned"] == 1
    return Job.objects.get(pk=job.pk)


def test_a_conversion_whose_result_is_there_is_done_not_failed(make_track):
    track = make_track()
    job = died_before_the_end(Job.objects.get(task=tracks.CONVERT))
    assert queue.run_job(job.pk, jobs.convert_track).state == "done"
    assert Track.objects.get(pk=track.pk).state == "ready"


def test_a_fetch_whose_file_is_there_is_not_fetched_again(make_track, monkeypatch):
    track = make_track()
    Track.objects.filter(pk=track.pk).update(state="converting", source="youtube", external_id="-bWEtTTXHyI")
    fetch = queue.enqueue(tracks.FETCH, track, title="Fetch", wake_worker=False)
    monkeypatch.setattr(youtube, "fetch", lambda *args, **values: pytest.fail("it was fetched again"))
    assert queue.run_job(fetch.pk, jobs.fetch_track).state == "done"
    assert Track.objects.get(pk=track.pk).state == "converting"


def test_a_training_whose_figures_are_there_is_not_trained_again(release, monkeypatch):
    run = runs.create_run(release=release, training=TrainingParams.of("crnn"), spectrograms=SpectrogramParams(), wake_worker=False)
    run.evaluations.create(part="test", n=1, n_correct=1, accuracy=1, low=0, high=1, macro_f1=1, majority=1, confusion=[])
    monkeypatch.setattr(rounds, "train", lambda *args: pytest.fail("it was trained again"))
    assert queue.run_job(run.job_id, mer_jobs.train_run).state == "done"


def test_a_missed_heartbeat_is_not_the_last(dataset, monkeypatch):
    job = queue.enqueue("datasets.tasks.write_export", dataset, title="Long", wake_worker=False)
    ticket = queue.claim(job.pk)
    beats = iter([True, False, False, False])
    tried = []

    class Stop:
        def wait(self, seconds):
            return len(tried) >= 3

    def update(**values):
        tried.append(values)
        if next(beats):
            raise OperationalError("database is locked")

    monkeypatch.setattr(Job.objects, "filter", lambda *args, **values: type("Rows", (), {"update": staticmethod(update)}))
    monkeypatch.setattr(connection, "close", lambda: None)
    ticket._beat(Stop())
    assert len(tried) == 3


def test_retrying_an_old_request_beside_a_newer_one_is_refused(dataset):
    old = queue.enqueue("datasets.tasks.write_export", dataset, title="Old", wake_worker=False)
    queue.cancel(old)
    queue.enqueue("datasets.tasks.write_export", dataset, title="New", wake_worker=False)
    with pytest.raises(MERError, match="by a later request"):
        queue.retry(Job.objects.get(pk=old.pk))


def test_a_refused_upload_leaves_no_file(make_track, dataset, tmp_path, settings):
    make_track("One", external_id="same")
    before = sorted(path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file())
    with pytest.raises(MERError, match="already in"):
        other = ContentFile(b"another file", name="two.wav")
        tracks.add_file(dataset=dataset, file=other, filename="two.wav", external_id="same", wake_worker=False)
    assert sorted(path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()) == before
    assert AudioFile.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_of_five_equal_requests_at_once_one_run_is_made(release):
    answers: list[str] = []

    def ask() -> None:
        try:
            runs.create_run(
                release=release, training=TrainingParams.of("crnn"), spectrograms=SpectrogramParams(), wake_worker=False
            )
            answers.append("made")
        except MERError:
            answers.append("refused")
        except Exception as error:
            answers.append(repr(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["made"] + ["refused"] * 4
    assert Run.objects.count() == 1
