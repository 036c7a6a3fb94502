"""A disk that is really full: a small file system of its own, filled to the last byte."""

import subprocess
from contextlib import suppress

import pytest
from django.core.files.base import ContentFile

from datasets import jobs
from datasets.errors import MERError
from datasets.methods import bundles
from datasets.models import Track
from datasets.services import queue, releases, tracks
from tests.conftest import tone

pytestmark = pytest.mark.django_db
SENTENCE = "The disk of the studio is full. Free some space, then try again."


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", path], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("only root, outside a closed container, can mount a small file system")
    yield path
    subprocess.run(["umount", "--lazy", path], check=True)


def fill(disk):
    ballast = disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(b"\0" * 4096):
            pass
    return ballast


def test_a_conversion_without_room_fails_with_a_sentence_and_succeeds_once_there_is_room(disk, settings, dataset):
    sound = ContentFile(tone(20.0), name="song.wav")
    job = tracks.add_file(dataset=dataset, file=sound, filename="song.wav", wake_worker=False)
    settings.WORK_DIR = disk
    ballast = fill(disk)
    failed = queue.run_job(job.pk, jobs.convert_track)
    assert failed.state == "failed" and "full" in failed.reason, failed.reason
    assert Track.objects.get().state == "failed" and [path.name for path in disk.iterdir()] == ["ballast"]
    ballast.unlink()
    queue.retry(failed)
    assert queue.run_job(job.pk, jobs.convert_track).state == "done"
    assert Track.objects.get().state == "ready"


@pytest.mark.parametrize("where", ["WORK_DIR", "MEDIA_ROOT"])
def test_an_export_without_room_leaves_no_half_and_is_whole_once_there_is_room(disk, settings, release, where):
    export = releases.request_export(release, format="jsonl", wake_worker=False)
    kept = getattr(settings, where)
    setattr(settings, where, disk)
    ballast = fill(disk)
    failed = queue.run_job(export.job_id, jobs.write_export)
    assert (failed.state, failed.reason) == ("failed", SENTENCE)
    export.refresh_from_db()
    assert not export.file and not [path for path in disk.rglob("*") if path.is_file() and path != ballast]
    ballast.unlink()
    queue.retry(failed)
    assert queue.run_job(export.job_id, jobs.write_export).state == "done"
    export.refresh_from_db()
    with export.file.open("rb") as stored:
        whole = disk.parent / "whole.zip"
        whole.write_bytes(stored.read())
    assert bundles.verify(whole) == []
    setattr(settings, where, kept)


def test_a_recording_that_does_not_fit_is_refused_and_leaves_no_track(disk, settings, dataset):
    settings.MEDIA_ROOT = disk
    fill(disk)
    with pytest.raises((MERError, OSError), match=r"full|No space"):
        tracks.add_file(dataset=dataset, file=ContentFile(tone(1.0), name="song.wav"), filename="song.wav", wake_worker=False)
    assert not Track.objects.exists() and not list(disk.rglob("*.wav"))
