"""Recordings in an S3-compatible storage: the same code, against a real server (moto's) on this machine."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from django.core.files import File
from django.core.files.base import ContentFile

from datasets import jobs
from datasets.models import AudioFile, Track, UploadPart
from datasets.services import queue, releases, tracks, uploads
from mer import jobs as drawing
from mer.models import Spectrogram
from tests.browser.conftest import free_port
from tests.conftest import tone

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    for _ in range(150):
        try:
            urllib.request.urlopen(f"{address}/moto-api/", timeout=1).close()
            break
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    yield address
    process.kill()
    process.wait()


@pytest.fixture
def bucket(server, settings):
    import boto3

    keys = {"access_key": "x", "secret_key": "y"}
    options = {
        "bucket_name": "songs",
        "endpoint_url": server,
        "region_name": "us-east-1",
        "default_acl": None,
        "file_overwrite": True,
    }
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options | keys}}
    client = boto3.resource("s3", endpoint_url=server, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
    found = client.Bucket("songs")
    found.create()
    yield found
    found.objects.delete()
    found.delete()
    client.meta.client.close()


def names(bucket) -> set[str]:
    return {entry.key for entry in bucket.objects.all()}


def test_a_track_goes_through_ingest_playing_drawing_and_export_in_the_bucket(
    bucket, client, curator, dataset, rate, questionnaire
):
    made = []
    for number in range(3):
        content = ContentFile(tone(48.0, frequency=200 + 90 * number, seed=number), name="piece.wav")
        job = tracks.add_file(
            dataset=dataset, file=File(content), filename=f"Piece {number}.wav", licence="CC0-1.0", wake_worker=False
        )
        assert queue.run_job(job.pk, jobs.convert_track).state == "done"
        made.append(Track.objects.get(pk=job.subject_id))
    stored = set(AudioFile.objects.values_list("file", flat=True))
    assert stored == names(bucket) and len(stored) >= 6

    client.force_login(curator)
    answer = client.get(f"/tracks/{made[0].pk}/audio/", headers={"Range": "bytes=100-199"})
    assert answer.status_code == 206 and len(b"".join(answer.streaming_content)) == 100

    drawing.inputs.draw_track(made[0], [drawing.inputs.spectrogram_set(drawing.SpectrogramParams())])
    assert Spectrogram.objects.get().image.name in names(bucket)

    from annotate.services import freezing

    for track, word in zip(made, ("happy", "calm", "sad"), strict=True):
        rate(track, " ".join([word] * 5))
    release = freezing.freeze(questionnaire, name="stored", seed=1)
    export = releases.request_export(release, format="csv", wake_worker=False)
    assert queue.run_job(export.job.pk, jobs.write_export).state == "done"
    export.refresh_from_db()
    assert export.file.name in names(bucket)


def test_pieces_of_an_upload_lie_there_until_it_is_whole(bucket, curator, dataset, monkeypatch):
    monkeypatch.setattr(uploads, "PART_BYTES", 20_000)
    content = tone(1.0)
    upload = uploads.begin(dataset=dataset, filename="Piece.wav", size=len(content), mark="m", by=curator)
    here = 0
    while here < len(content):
        here = uploads.take_part(upload, here, ContentFile(content[here : here + 20_000]))
    assert len(names(bucket)) == UploadPart.objects.count() == 3
    track = uploads.finish(upload, by=curator)
    (name,) = names(bucket)
    assert name == AudioFile.objects.get(track=track).file.name


def test_a_storage_that_is_away_fails_the_work_with_a_reason_and_it_can_be_tried_again(bucket, dataset):
    content = ContentFile(tone(1.0), name="piece.wav")
    job = tracks.add_file(dataset=dataset, file=File(content), filename="Piece.wav", wake_worker=False)
    original = AudioFile.objects.get()
    bytes_of_it = original.file.read()
    original.file.close()
    original.file.storage.delete(original.file.name)
    assert queue.run_job(job.pk, jobs.convert_track).state == "failed"
    original.file.storage.save(original.file.name, ContentFile(bytes_of_it))
    queue.retry(job)
    assert queue.run_job(job.pk, jobs.convert_track).state == "done"
