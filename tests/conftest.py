"""People whose rights differ, a small dataset, and audio made on the spot."""

import io
import shutil
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.files import File
from django.core.files.base import ContentFile
from django.utils import translation

from annotate.models import Consensus, Questionnaire, Rater, Rating
from annotate.services import consensus, freezing, questionnaires
from datasets import access, jobs
from datasets.methods import audio
from datasets.models import Dataset, Job, Release, Track, Word
from datasets.services import queue, tracks


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"


@pytest.fixture(autouse=True)
def nothing_left_by_other_tests():
    """Neither what is kept in memory nor the language of the last request."""
    cache.clear()
    translation.activate("en")


@pytest.fixture
def rater(db) -> User:
    return User.objects.create_user("rara", password="x")


@pytest.fixture
def curator(db) -> User:
    user = User.objects.create_user("citra", password="x")
    user.groups.add(access.curators())
    return user


@pytest.fixture
def admin_person(db) -> User:
    return User.objects.create_superuser("adi", password="x")


def tone(seconds: float, *, frequency: float = 440.0, sr: int = 22_050, seed: int = 0) -> bytes:
    """A wav with a tone and a little noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * sr)) / sr
    y = 0.4 * np.sin(2 * np.pi * frequency * t * (1 + 0.1 * np.sin(t))) + 0.05 * rng.standard_normal(t.size)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sr)
        file.writeframes((y * 32767).clip(-32768, 32767).astype("<i2").tobytes())
    return buffer.getvalue()


@pytest.fixture
def wav_file(tmp_path: Path) -> Callable[..., Path]:
    def make(seconds: float = 2.0, name: str = "piece.wav", **values) -> Path:
        path = tmp_path / name
        path.write_bytes(tone(seconds, **values))
        return path

    return make


@pytest.fixture
def dataset(db) -> Dataset:
    return tracks.create_dataset(name="Songs")


@pytest.fixture
def questionnaire(dataset: Dataset) -> Questionnaire:
    """The paper's, without the way to the first track and without a shortest time: tests of those switch them on."""
    made = questionnaires.questionnaire_of(dataset)
    off = {f"with_{step}": False for step in ("consent", "background", "sound_check", "guidelines", "practice")} | {"minimum_s": 0}
    Questionnaire.objects.filter(pk=made.pk).update(**off)
    return Questionnaire.objects.select_related("dataset").get(pk=made.pk)


def _copied(source: Path, target: Path, **limits: object) -> audio.Converted:
    """The conversion of a file that is a 22,050 Hz mono wav already, without starting ffmpeg."""
    shutil.copy(source, target)
    duration_s = audio.wav_duration(target)
    probe = audio.Probe("pcm_s16le", 22_050, 1, duration_s)
    return audio.Converted(duration_s, probe, audio.Loudness(-20.0, -3.0))


@pytest.fixture
def make_track(dataset: Dataset, monkeypatch) -> Callable[..., Track]:
    """A ready track through the product's own door; only ffmpeg is spared, because the files are right already."""

    def make(title: str = "Piece", seconds: float = 1.0, seed: int | None = None, **values) -> Track:
        number = Track.objects.count() if seed is None else seed
        content = ContentFile(tone(seconds, frequency=220 + 40 * number, seed=number), name=f"{title}.wav")
        job = tracks.add_file(
            dataset=dataset, file=File(content), filename=f"{title}.wav", title=title, wake_worker=False, **values
        )
        with monkeypatch.context() as patched:
            patched.setattr(audio, "convert", _copied)
            patched.setattr(audio, "streaming_copy", lambda *args, **values: None)
            assert queue.run_job(job.pk, jobs.convert_track).state == Job.State.DONE
        return Track.objects.get(pk=job.subject_id)

    return make


@pytest.fixture
def rate(questionnaire: Questionnaire) -> Callable[[Track, str], None]:
    """Give a track these words, each by another rater: rate(track, "happy happy sad")."""

    def give(track: Track, words: str) -> None:
        row = Consensus.objects.get(questionnaire=questionnaire, track=track)
        for number, key in enumerate(words.split(), Rating.objects.filter(questionnaire=questionnaire, track=track).count()):
            person, _ = Rater.objects.get_or_create(pseudonym=f"R{number}")
            word = Word.objects.get(key=key, label__dataset=questionnaire.dataset)
            Rating.objects.create(
                questionnaire=questionnaire, track=track, rater=person, word=word, label=word.label, rated_at=track.created_at
            )
        consensus.update_consensus(row)

    return give


@pytest.fixture
def release(make_track, rate, questionnaire) -> Release:
    """Twelve agreed tracks, four a label."""
    for number in range(12):
        track = make_track(f"Piece {number}", artist=f"Artist {number}", licence="CC0-1.0")
        rate(track, " ".join([("happy", "calm", "sad")[number % 3]] * 4 + ["angry"]))
    return freezing.freeze(questionnaire, name="songs-v1", seed=1)
