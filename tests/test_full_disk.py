"""A disk that is really full: a small file system of its own, filled to the last byte."""

import json
import os
import re
import subprocess
import sys
from contextlib import suppress

import pytest
from django.conf import settings as own
from django.core.files.base import ContentFile

from datasets import jobs
from datasets.errors import MERError
from datasets.methods import bundles
from datasets.models import Track
from datasets.services import queue, releases, tracks
from mer.jobs import train_run
from tests.conftest import tone
from tests.test_killed_commands import FILL
from tests.test_runs import draw_all, make_run, with_every_label_in_every_part

pytestmark = pytest.mark.django_db
BASE = own.BASE_DIR
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


def test_a_training_without_room_fails_with_a_sentence_and_can_be_tried_again(disk, settings, release):
    with_every_label_in_every_part(release)
    run = make_run(release, "compact")
    draw_all(run)
    settings.WORK_DIR = disk
    fill(disk)
    failed = queue.run_job(run.job_id, train_run)
    assert (failed.state, failed.reason, failed.can_retry) == ("failed", SENTENCE, True)
    assert not run.evaluations.exists() and not [path for path in disk.rglob("*") if path.is_file() and path.name != "ballast"]


RATE = """
import json, os, uuid
from pathlib import Path
from django.test import Client
from annotate.models import *; from annotate.services import freezing, raters, slots
from datasets.models import *
from django.contrib.auth.models import User
asked = Questionnaire.objects.get()
Questionnaire.objects.update(minimum_s=0, **{f"with_{step}": False for step in ("consent", "background", "sound_check", "guidelines", "practice")})
track = Track.objects.create(dataset=asked.dataset, title="Fresh", source="file", state="ready", sha256="f" * 64, duration_s=30.0, token="fresh")
Consensus.objects.get_or_create(questionnaire=asked, track=track, defaults={"target": 5})
person = User.objects.create_superuser("adi")
asked = Questionnaire.objects.select_related("dataset").get()
slot = slots.reserve_next(asked, raters.rater_of(person))
client = Client(raise_request_exception=False, SERVER_NAME="localhost"); client.force_login(person)
def both():
    rated = client.post("/api/v1/ratings/", {"assignment": str(slot.key), "word": "happy", "key": KEY}, content_type="application/json")
    frozen = client.post(f"/api/v1/questionnaires/{asked.pk}/freeze/", {"name": "v1", "seed": 1}, content_type="application/json")
    return [rated.status_code, frozen.status_code, Rating.objects.filter(track=track).count(), Release.objects.count()]
KEY, ballast = str(uuid.uuid4()), Path(os.environ["DATA_DIR"], "ballast")
with ballast.open("wb", buffering=0) as file:
    try:
        while file.write(bytes(4096)): pass
    except OSError: pass
full = both()
ballast.unlink()
print("RATED", json.dumps([full, both()]))
"""


def test_a_rating_and_a_freeze_that_the_database_has_no_room_for_are_told_and_go_through_later(disk):
    """SQLite beside everything else on the full disk: 503, nothing half, and the same requests succeed once there is room."""
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(disk), "HOME": str(disk)}

    def manage(*arguments: str) -> str:
        line = [sys.executable, "manage.py", *arguments]
        return subprocess.run(line, cwd=BASE, env=environment, capture_output=True, text=True, check=True).stdout

    manage("migrate", "-v0")
    assert "FILLED" in manage("shell", "-c", FILL)
    full, later = json.loads(re.search(r"RATED (.+)", manage("shell", "-c", RATE))[1])
    assert full == [503, 503, 0, 0]
    assert later == [201, 201, 1, 1]
