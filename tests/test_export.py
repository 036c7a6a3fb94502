import csv
import io
import zipfile
from datetime import timedelta

import pytest
from django.utils import timezone

from annotate.services import freezing
from datasets import jobs
from datasets.errors import WrongState
from datasets.methods import bundles
from datasets.models import Job, Track
from datasets.services import queue, releases
from mer.methods.params import SpectrogramParams
from mer.services import inputs

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def write(release):
    export = releases.request_export(release, format="csv", wake_worker=False)
    assert queue.run_job(export.job_id, jobs.write_export).state == "done"
    export.refresh_from_db()
    return export


def test_the_bundle_is_whole_and_holds_tables_and_audio(release, tmp_path):
    export = write(release)
    path = tmp_path / "b.zip"
    path.write_bytes(export.file.read())
    assert bundles.verify(path) == []
    with zipfile.ZipFile(path) as bundle:
        tracks = list(csv.DictReader(io.StringIO(bundle.read("songs-v1/tracks.csv").decode())))
        ratings = list(csv.DictReader(io.StringIO(bundle.read("songs-v1/ratings.csv").decode())))
        audio = [name for name in bundle.namelist() if "/audio/" in name]
        first = Track.objects.get(pk=tracks[0]["track_id"])
        assert bundle.read(f"songs-v1/audio/{first.pk}.wav") == first.files.get(kind="original").file.read()
    assert len(tracks) == len(audio) == 12 and len(ratings) == 60
    assert (tracks[0]["label"], tracks[0]["votes_positive"], tracks[0]["agreement"]) == ("positive", "4", "0.8")
    assert {row["part"] for row in tracks} == {"train", "validation", "test"}


def test_spectrograms_go_along(release, make_track, rate, questionnaire, settings):
    long = make_track("Long", seconds=48, licence="CC0-1.0")
    rate(long, "sad sad sad sad sad")
    inputs.draw_track(long, [inputs.spectrogram_set(SpectrogramParams())])
    export = write(freezing.freeze(questionnaire, name="v2", seed=1))
    with zipfile.ZipFile(export.file) as bundle:
        assert bundle.read(f"v2/spectrograms/full-robust/{long.pk}.png").startswith(b"\x89PNG")


def test_a_bundle_is_kept_for_a_while_and_is_the_same_when_it_is_made_again(release, settings):
    export = write(release)
    storage, name, sha256 = export.file.storage, export.file.name, export.sha256
    releases.forget_old()
    assert storage.exists(name)
    Job.objects.filter(pk=export.job_id).update(finished_at=timezone.now() - timedelta(days=settings.JOB_RETENTION_DAYS + 1))
    releases.forget_old()
    assert not storage.exists(name) and not release.exports.exists()
    assert write(release).sha256 == sha256


def test_two_exports_are_the_same_bytes(release):
    assert write(release).sha256 == write(release).sha256


@pytest.mark.parametrize("licence", ["", "   ", "All rights reserved", "no licence", "ask me", "copyright CC Music Ltd"])
def test_audio_without_a_licence_that_permits_it_stays_here(release, licence):
    release.items.update(licence=licence)
    with zipfile.ZipFile(write(release).file) as bundle:
        assert not [name for name in bundle.namelist() if "/audio/" in name]


def test_a_title_that_is_a_formula_is_neutralised(release):
    release.items.update(title='=HYPERLINK("http://evil")')
    with zipfile.ZipFile(write(release).file) as bundle:
        assert "'=HYPERLINK" in bundle.read("songs-v1/tracks.csv").decode()


def test_asking_twice_at_once_is_refused(release):
    releases.request_export(release, format="csv", wake_worker=False)
    with pytest.raises(WrongState, match="already queued"):
        releases.request_export(release, format="csv", wake_worker=False)


def test_a_download_that_broke_goes_on_where_it_stopped_unless_the_bundle_is_another(client, curator, release):
    export = write(release)
    client.force_login(curator)
    address = f"/exports/{export.pk}/"
    whole = client.get(address)
    content = b"".join(whole.streaming_content)
    assert whole["ETag"] == f'"{export.sha256}"' and whole["Accept-Ranges"] == "bytes"
    rest = client.get(address, headers={"range": "bytes=100-", "if-range": whole["ETag"]})
    assert rest.status_code == 206 and b"".join(rest.streaming_content) == content[100:]
    other = client.get(address, headers={"range": "bytes=100-", "if-range": '"another"'})
    assert other.status_code == 200 and b"".join(other.streaming_content) == content
