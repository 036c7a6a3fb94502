"""Asking a trained model about files."""

import json

import numpy as np
import pytest
import soundfile
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.core.management.base import CommandError

from datasets.models import Job
from datasets.services import queue
from mer import jobs, predicting
from mer.errors import PredictionImpossible
from mer.methods import features, networks
from mer.methods.params import SpectrogramParams, TrainingParams
from mer.selectors import runs_of, unheard
from mer.services import inferences, promotions, runs
from tests.test_features_and_folds import measured, run_of  # noqa: F401  (a fixture)

pytestmark = [pytest.mark.django_db]


@pytest.fixture
def song(tmp_path, wav_file):
    path = tmp_path / "songs" / "one.wav"
    path.parent.mkdir()
    wav_file(4.0).rename(path)
    return path


@pytest.fixture
def linear(release):
    """A finished run on features whose model was fitted to noise."""
    run = runs.create_run(
        release=release, training=TrainingParams.of("features"), spectrograms=SpectrogramParams(), wake_worker=False
    )
    rng = np.random.default_rng(1)
    names = list(features.extract(rng.standard_normal(4 * features.SR).astype(np.float32) / 8))
    X, shares = rng.standard_normal((30, len(names))), rng.dirichlet([1, 1, 1], 30)
    model = features.fit(X, shares, [str(n) for n in range(30)], names=names, seed=1)
    buffer = ContentFile(b"", name="model.npz")
    np.savez(buffer, **model.as_arrays())
    run.network_file.save("model.npz", buffer)
    return run


def test_a_file_and_a_folder_are_answered_and_what_is_no_recording_is_refused(linear, song, capsys):
    (song.parent / "broken.mp3").write_bytes(b"no sound")
    with pytest.raises(SystemExit):
        call_command("predict", str(linear.pk), str(song.parent), "--json")
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["files"]
    assert "not a recording" in rows[0]["refused"]
    assert rows[1]["label"] in linear.release.labels and sum(rows[1]["probabilities"].values()) == pytest.approx(1, abs=1e-4)


def test_a_recording_with_a_silent_stretch_is_answered_and_the_stretch_left_out(linear):
    rng, width = np.random.default_rng(2), SpectrogramParams().window_samples
    noise = (rng.standard_normal(width) / 8).astype(np.float32)
    _mean, along = predicting._of_features(linear)(np.concatenate([noise, np.zeros(width, np.float32), noise]))
    assert [(start, end) for start, end, _row in along] == [(0.0, 47.55), (95.11, 142.66)]


def test_a_track_that_a_promoted_run_cannot_hear_is_named_and_not_asked_again(linear, make_track, monkeypatch, client, curator):
    Job.objects.filter(pk=linear.job_id).update(state="done")
    promotions.promote(runs_of().get(pk=linear.pk), by=curator)
    dumb, heard = make_track("Dumb"), make_track("Heard")
    asked = []

    def answers(ticket, run, paths):
        asked.append(len(paths))
        for path in paths:
            said = (
                {"refused": "Silent."}
                if path.stem == str(dumb.pk)
                else {"probabilities": {"positive": 1.0, "neutral": 0.0, "negative": 0.0}}
            )
            yield {"file": str(path)} | said

    monkeypatch.setattr(jobs, "_answers", answers)
    assert set(unheard(linear)) == {dumb, heard}
    job = Job.objects.filter(task="mer.tasks.hear_unrated").last() or inferences.hear_unrated(linear)
    assert queue.run_job(job.pk, jobs.hear_unrated).state == "done"
    assert asked == [2] and not unheard(linear).exists()
    client.force_login(curator)
    assert "could not hear" in client.get(linear.get_absolute_url()).content.decode()


def test_a_network_answers_for_every_window_and_for_the_track(release, tmp_path, wav_file):
    run = runs.create_run(
        release=release, training=TrainingParams.of("crnn"), spectrograms=SpectrogramParams(input="whole"), wake_worker=False
    )
    path = tmp_path / "network.keras"
    networks.crnn(3, dropout=0.2).save(path)
    run.network_file.save("network.keras", ContentFile(path.read_bytes()))
    found = predicting.predictor(run)(wav_file(100.0))
    assert [(start, end) for start, end, _ in found.windows] == [(0, 47.55), (47.55, 95.11)]
    for label in release.labels:
        assert found.probabilities[label] == pytest.approx(np.mean([row[label] for *_, row in found.windows]), abs=1e-5)
    quiet = wav_file(150.0)
    y, rate = soundfile.read(quiet)
    y[48 * rate : 95 * rate] = y[47 * rate : 96 * rate] = 0
    soundfile.write(quiet, y, rate)
    assert [start for start, *_ in predicting.predictor(run)(quiet).windows] == [0, 95.11], (
        "a window without sound is left out in its place"
    )


def test_a_network_of_beginnings_answers_by_the_beginning_and_is_heard_along_the_song(release, tmp_path, wav_file):
    run = runs.create_run(release=release, training=TrainingParams.of("crnn"), spectrograms=SpectrogramParams(), wake_worker=False)
    path = tmp_path / "network.keras"
    networks.crnn(3, dropout=0.2).save(path)
    run.network_file.save("network.keras", ContentFile(path.read_bytes()))
    found = predicting.predictor(run)(wav_file(130.0))
    assert [(start, end) for start, end, _ in found.windows] == [(0, 47.55), (47.55, 95.11), (95.11, 130.0)]
    assert found.probabilities == pytest.approx(found.windows[0][2], abs=1e-5)


def test_a_run_without_a_model_says_why(measured, song):  # noqa: F811
    run = run_of(measured, folds=True)
    with pytest.raises(PredictionImpossible, match="tested in folds"):
        predicting.predictor(run)
    with pytest.raises(CommandError, match="There is no run 999"):
        call_command("predict", "999", str(song))


@pytest.mark.parametrize("content", [None, b"no model", b"PK\x03\x04 half a zip"])
def test_a_model_whose_file_is_gone_or_broken_is_a_sentence_without_a_path(linear, song, client, curator, content):
    storage, name = linear.network_file.storage, linear.network_file.name
    storage.delete(name)
    if content is not None:
        storage.save(name, ContentFile(content))
    with pytest.raises(PredictionImpossible, match="is gone or is no model of ours") as told:
        predicting.predictor(linear)
    assert "/" not in str(told.value)
    with pytest.raises(CommandError, match="is gone or is no model of ours"):
        call_command("predict", str(linear.pk), str(song))
    client.force_login(curator)
    assert client.get(f"/runs/{linear.pk}/network/").status_code == (404 if content is None else 200)
