"""Files become tracks: what is taken, what is refused and why."""

import errno
import subprocess

import pytest
from django.core.files import File
from django.core.files.base import ContentFile
from imageio_ffmpeg import get_ffmpeg_exe

from datasets import jobs
from datasets.errors import DiskFull, SourceRefused, TrackExists, WrongState
from datasets.methods import audio
from datasets.models import AudioFile, Event, Job, Track
from datasets.services import queue, tracks
from tests.conftest import tone

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def add(dataset, content: bytes, name: str = "song.wav", **values) -> Job:
    return tracks.add_file(dataset=dataset, file=File(ContentFile(content, name=name)), filename=name, wake_worker=False, **values)


def test_the_original_is_kept_untouched_beside_a_22050_hz_mono_wav(dataset):
    content = tone(2.0, sr=44_100)
    job = queue.run_job(add(dataset, content, "My Song.wav", artist="A").pk, jobs.convert_track)
    track = Track.objects.get(pk=job.subject_id)
    assert (track.state, track.title, track.duration_s) == ("ready", "My Song", pytest.approx(2.0, abs=0.01))
    files = {row.kind: row for row in track.files.all()}
    assert files["original"].file.read() == content
    assert files["original"].sha256 == track.sha256
    assert (files["wav"].sample_rate, files["wav"].channels, len(files["wav"].peaks)) == (22_050, 1, 400)
    assert "Song" not in files["wav"].file.name
    states = Event.objects.filter(subject="track", subject_id=track.pk).order_by("id").values_list("to_state", flat=True)
    assert list(states) == ["waiting", "converting", "ready"]


@pytest.mark.parametrize(("given", "kept"), [("", "Gesang"), ("Waldjinah", "Waldjinah")])
def test_the_artist_in_the_tags_fills_an_empty_one_because_splits_keep_artists_together(dataset, tmp_path, given, kept):
    wav, tagged = tmp_path / "t.wav", tmp_path / "t.mp3"
    wav.write_bytes(tone(2.0))
    told = ["-metadata", "artist=Gesang", "-metadata", "title=Bengawan Solo"]
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-i", wav, *told, tagged], check=True)
    job = queue.run_job(add(dataset, tagged.read_bytes(), "song.mp3", artist=given).pk, jobs.convert_track)
    track = Track.objects.get(pk=job.subject_id)
    assert (track.state, track.title, track.artist) == ("ready", "song", kept)
    told = Event.objects.filter(subject="track", to_state="described")
    assert [event.reason for event in told] == ([] if given else ["artist: “” → “Gesang” (from the file's tags)"])


def test_what_a_curator_wrote_while_a_file_was_converted_is_not_written_over_by_its_tags(dataset, tmp_path, curator, monkeypatch):
    wav, tagged = tmp_path / "t.wav", tmp_path / "t.mp3"
    wav.write_bytes(tone(2.0))
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-i", wav, "-metadata", "artist=Gesang", tagged], check=True)
    measure = audio.measure

    def meanwhile(*args):
        track = Track.objects.get()
        track.artist = "Waldjinah"
        tracks.describe_track(track, ["artist"], by=curator)
        return measure(*args)

    monkeypatch.setattr(audio, "measure", meanwhile)
    queue.run_job(add(dataset, tagged.read_bytes(), "song.mp3").pk, jobs.convert_track)
    assert Track.objects.get().artist == "Waldjinah"


@pytest.mark.parametrize("artist", ["Various Artists", "<unknown>", "N/A"])
def test_a_tag_that_names_nobody_makes_no_artist(dataset, tmp_path, artist):
    wav, tagged = tmp_path / "t.wav", tmp_path / "t.mp3"
    wav.write_bytes(tone(2.0))
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-i", wav, "-metadata", f"artist={artist}", tagged], check=True)
    queue.run_job(add(dataset, tagged.read_bytes(), "song.mp3").pk, jobs.convert_track)
    assert (Track.objects.get().state, Track.objects.get().artist) == ("ready", "")


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"hello world" * 50, "x.mp3", "not a recording"),
        (tone(0.0), "zero.wav", "0 seconds"),
        (tone(0.1), "short.wav", "at least 0.5"),
    ],
)
def test_what_does_not_decode_fails_with_its_reason_and_nothing_half_made(dataset, content, name, reason):
    job = queue.run_job(add(dataset, content, name).pk, jobs.convert_track)
    track = Track.objects.get(pk=job.subject_id)
    assert (job.state, track.state) == ("failed", "failed")
    assert reason in job.reason and track.reason == job.reason
    assert not track.files.filter(kind=AudioFile.Kind.WAV).exists()


def test_an_empty_file_is_refused_by_name(dataset):
    with pytest.raises(SourceRefused, match=r"nothing\.mp3 is empty"):
        add(dataset, b"", "nothing.mp3")
    assert not Track.objects.exists()


def test_two_gigabytes_are_refused_before_they_are_read(dataset, tmp_path):
    path = tmp_path / "huge.wav"
    with path.open("wb") as file:
        file.truncate(2 * 1024**3)  # sparse: takes no disk
    with path.open("rb") as file, pytest.raises(SourceRefused, match=r"huge\.wav has 2,048 MB; at most 500 MB"):
        tracks.add_file(dataset=dataset, file=File(file), filename="huge.wav")


def test_the_same_file_again_is_refused_and_names_its_twin(dataset):
    add(dataset, tone(1.0), "one.wav")
    with pytest.raises(TrackExists, match=r"two\.wav is already in “Songs” as “one”"):
        add(dataset, tone(1.0), "two.wav")
    assert Track.objects.count() == 1


def test_done_again_after_a_dead_worker_it_leaves_the_same_as_done_once(dataset):
    job = add(dataset, tone(3.0, sr=44_100))
    for _ in range(2):
        ticket = queue.claim(job.pk)
        track = Track.objects.get(pk=job.subject_id)
        tracks.start_step(track, Track.State.CONVERTING)
        Job.objects.filter(pk=job.pk).update(state="queued", claim="")
        del ticket
    assert queue.run_job(job.pk, jobs.convert_track).state == "done"
    track = Track.objects.get()
    assert track.state == "ready" and sorted(track.files.values_list("kind", flat=True)) == ["original", "stream", "wav"]
    folder = track.files.get(kind="wav").file.storage
    _, names = folder.listdir(f"audio/{track.token[:2]}")
    assert len(names) == 3


def test_a_failed_track_can_be_tried_again(dataset, monkeypatch):
    job = add(dataset, tone(1.0))
    with monkeypatch.context() as patched:
        patched.setattr("datasets.methods.audio.measure", lambda path: 1 / 0)
        assert queue.run_job(job.pk, jobs.convert_track).state == "failed"
    assert Track.objects.get().state == "failed"
    queue.retry(Job.objects.get(pk=job.pk))
    assert queue.run_job(job.pk, jobs.convert_track).state == "done"
    assert (Track.objects.get().state, Track.objects.get().reason) == ("ready", "")


def test_a_full_disk_is_told_when_a_file_comes_in_and_while_it_is_converted(dataset, monkeypatch):
    def full(*args, **values):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("datasets.services.tracks.put_file", full)
        with pytest.raises(DiskFull, match=r"song\.wav was not taken: the disk"):
            add(dataset, tone(1.0))
    assert not Track.objects.exists()
    job = add(dataset, tone(1.0))
    monkeypatch.setattr("datasets.methods.audio.convert", full)
    assert "disk of the studio is full" in queue.run_job(job.pk, jobs.convert_track).reason
    assert Track.objects.get().state == "failed"


def test_a_track_is_left_out_with_a_reason_and_taken_back(make_track, curator):
    track = make_track()
    with pytest.raises(WrongState, match="Say why"):
        tracks.exclude_track(track, reason=" ", by=curator)
    tracks.exclude_track(track, reason="has vocals", by=curator)
    assert Track.objects.get().state == "excluded" and Track.objects.get().reason == "has vocals"
    tracks.restore_track(track, by=curator)
    assert Track.objects.get().state == "ready" and Track.objects.get().reason == ""
