"""Runs: what can be trained, what is stored, what is said when it cannot be."""

import importlib
import subprocess

import numpy as np
import pytest
from django.apps import apps
from django.core.files.base import ContentFile
from django.db import OperationalError

from annotate.services import freezing
from datasets.errors import WrongState
from datasets.models import Job, Signal, SplitMember
from datasets.services import queue
from mer import comparing, jobs, rounds, selectors
from mer.errors import TrainingImpossible
from mer.methods.params import SpectrogramParams, TrainingParams
from mer.methods.spectrograms import png
from mer.models import Run, Spectrogram
from mer.services import inputs, runs

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def with_every_label_in_every_part(release):
    """Twelve tracks are too few for that by the rule of 80/10/10: six learn here, three validate, three test."""
    for number, member in enumerate(release.splits.order_by("id").first().members.order_by("item__number")):
        SplitMember.objects.filter(pk=member.pk).update(part=("train", "train", "validation", "test")[number // 3])


def make_run(release, network: str = "crnn", **values) -> Run:
    return runs.create_run(
        release=release, training=TrainingParams.of(network, **values), spectrograms=SpectrogramParams(), wake_worker=False
    )


def draw_all(run: Run) -> None:
    if run.spectrogram_set is None:
        return
    for item in run.release.items.all():
        picture = np.random.default_rng(item.pk).integers(0, 256, (128, 256), dtype=np.uint8)
        inputs.store_spectrogram(run.spectrogram_set, item.track, png(picture))


def test_a_release_with_one_class_cannot_be_trained(make_track, rate, questionnaire):
    for number in range(6):
        rate(make_track(f"T{number}"), "happy happy happy happy happy")
    release = freezing.freeze(questionnaire, name="v1", seed=1)
    with pytest.raises(TrainingImpossible, match=r"one label only \(positive\)"):
        make_run(release)


def test_an_unknown_network_is_refused_by_name(release):
    with pytest.raises(TrainingImpossible, match="“resnet” is no network; choose one of ensemble, features, transfer"):
        make_run(release, "resnet")


def test_the_same_run_is_not_started_twice(release):
    make_run(release)
    with pytest.raises(WrongState, match="queued or running already"):
        make_run(release)
    make_run(release, seed=2)


def test_tracks_too_short_for_a_picture_are_listed_and_training_says_so(release):
    run = make_run(release)
    job = queue.run_job(run.job_id, jobs.train_run)
    run.refresh_from_db()
    assert job.state == "failed"
    assert job.reason.startswith(
        "0 of 12 tracks can be learned from. Most often: Too short: 1.0 s of sound, and 47.55 s are needed"
    )
    assert "The input “whole” takes tracks of half that length" in job.reason
    assert len(run.excluded) == 12 and "Too short: 1.0 s" in run.excluded[0]["reason"]


def test_a_dead_worker_s_half_run_leaves_nothing_behind(release):
    run = make_run(release)
    runs.add_epoch(run, {"number": 1, "loss": 1, "accuracy": 0.5, "val_loss": 1, "val_accuracy": 0.5, "seconds": 1})
    queue.run_job(run.job_id, lambda ticket: runs.start_run(run, ticket=ticket, excluded=[], environment={}))
    assert run.epochs.count() == 0


def finish(run: Run, probabilities=None) -> Run:
    draw_all(run)
    rows = selectors.samples_of(run)
    truth = [("positive", "neutral", "negative").index(row.label) for row in rows]
    if probabilities is None:
        probabilities = np.eye(3, dtype=np.float32)[truth]
    labels = ["positive", "neutral", "negative"]
    network = ContentFile(b"network", name="n.keras")
    rounds = [runs.Round(parts, probabilities) for parts in selectors.rounds_of(run, rows)]
    values = {"rows": rows, "rounds": rounds, "labels": labels, "best_epoch": 1, "network": network}

    def work(ticket):
        runs.start_run(run, ticket=ticket, excluded=[], environment={})
        runs.finish_run(run, ticket=ticket, **values)

    queue.run_job(run.job_id, work)
    return Run.objects.get(pk=run.pk)


def test_figures_come_with_n_interval_and_majority(release):
    run = finish(make_run(release))
    test = run.evaluations.get(part="test")
    assert test.accuracy == 1 and test.n == test.n_correct == run.predictions.filter(part="test").count()
    assert test.low < 1 <= test.high + 1e-9
    assert (test.low, test.high) == (test.figures["accuracy"]["low"], test.figures["accuracy"]["high"])
    assert 0 <= test.majority < 1
    assert sum(row.n for row in run.evaluations.all()) == 12
    assert not run.one_class


@pytest.mark.parametrize("why", ["cancelled", "taken over"])
def test_a_worker_that_wakes_after_its_job_is_not_its_own_writes_nothing(release, why):
    run = make_run(release)
    draw_all(run)
    rows, labels = selectors.samples_of(run), list(release.labels)
    rounds = [runs.Round(parts, np.full((len(rows), 3), 1 / 3)) for parts in selectors.rounds_of(run, rows)]
    theirs = run.network_file.storage.save(f"networks/run-{run.pk}-another1.keras", ContentFile(b"of the worker that has it"))

    def late(ticket):
        Job.objects.filter(pk=run.job_id).update(**({"cancel_requested": True} if why == "cancelled" else {"claim": "another"}))
        network = ContentFile(b"of the late one", name="n.keras")
        runs.finish_run(run, ticket=ticket, rows=rows, rounds=rounds, labels=labels, best_epoch=1, network=network)

    queue.run_job(run.job_id, late)
    assert Job.objects.get(pk=run.job_id).state == ("cancelled" if why == "cancelled" else "running")
    assert not run.evaluations.exists() and not run.predictions.exists() and not Signal.objects.filter(run=run.pk).exists()
    assert run.network_file.storage.listdir("networks")[1] == [theirs.removeprefix("networks/")]


def test_a_worker_that_wakes_after_another_finished_takes_nothing_away(release, monkeypatch):
    from tests.test_curators import trained

    one, two = trained(release, folds=True), trained(release, "compact", folds=True, wrong=3)
    ensemble = runs.create_run(
        release=release, training=TrainingParams.of("ensemble"), spectrograms=SpectrogramParams(), folds=True, members=[one, two],
        wake_worker=False,
    )  # fmt: skip
    asked = selectors.samples_of

    def meanwhile(run):
        monkeypatch.setattr(selectors, "samples_of", asked)
        Job.objects.filter(pk=run.job_id).update(state="queued", claim="")
        assert queue.run_job(run.job_id, jobs.train_run).state == "done"
        return asked(run)

    monkeypatch.setattr(selectors, "samples_of", meanwhile)
    queue.run_job(ensemble.job_id, jobs.train_run)
    assert Job.objects.get(pk=ensemble.job_id).state == "done"
    assert ensemble.evaluations.count() == 2 and ensemble.predictions.filter(part="test").count() == 12


def test_a_network_stays_where_the_line_to_the_database_broke_for_its_row_may_have_been_written(release, monkeypatch):
    def breaks(*args):
        raise OperationalError("server closed the connection")

    with monkeypatch.context() as patched:
        patched.setattr(runs, "_write_results", breaks)
        run = finish(make_run(release))
    assert len(run.network_file.storage.listdir("networks")[1]) == 1
    Job.objects.filter(pk=run.job_id).update(state="queued", claim="", not_before=None)
    again = finish(run)
    assert again.network_file.storage.listdir("networks")[1] == [again.network_file.name.removeprefix("networks/")]


def test_a_network_that_is_stored_again_leaves_one_file(release):
    run = finish(make_run(release))
    first = run.network_file.name
    Job.objects.filter(pk=run.job_id).update(state="queued", claim="")
    again = finish(run)
    assert again.network_file.name != first
    assert again.network_file.storage.listdir("networks")[1] == [again.network_file.name.removeprefix("networks/")]


def test_what_a_killed_worker_left_of_a_job_that_is_gone_is_removed_by_the_next_training(release, settings):
    left = settings.WORK_DIR / "job-999999"
    left.mkdir(parents=True)
    (left / "state-1.npz").write_bytes(b"weights")
    queue.run_job(make_run(release).job_id, jobs.train_run)
    assert not left.exists()


def test_the_interval_of_the_calibration_error_of_earlier_runs_is_made_anew(release):
    with_every_label_in_every_part(release)
    run = finish(make_run(release), np.random.default_rng(1).dirichlet([2, 2, 2], 12))
    new = {row.pk: row.figures for row in run.evaluations.all()}
    for row in run.evaluations.all():
        old = row.figures | {"ece": {"value": row.figures["ece"]["value"], "low": 0.088, "high": 0.199}}
        run.evaluations.filter(pk=row.pk).update(figures=old)
    anew = importlib.import_module("mer.migrations.0017_calibration_anew")
    anew.from_predictions(apps, None)
    for row in run.evaluations.all():
        assert {name: value for name, value in row.figures.items() if name != "ece"} == {
            name: value for name, value in new[row.pk].items() if name != "ece"
        }
        assert (row.figures["ece"]["low"], row.figures["ece"]["high"]) == (new[row.pk]["ece"]["low"], new[row.pk]["ece"]["high"])
        assert row.figures["ece"]["value"] == pytest.approx(new[row.pk]["ece"]["value"], abs=1e-5)


def test_the_majority_is_that_of_all_that_the_tested_model_learned_from(release):
    parts = {
        "positive": ["train", "train", "train", "test"],
        "neutral": ["train", "validation", "validation", "validation"],
        "negative": ["train", "validation", "test", "test"],
    }
    split = release.splits.order_by("id").first()
    for label, places in parts.items():
        for member, part in zip(split.members.filter(item__label=label).order_by("pk"), places, strict=True):
            SplitMember.objects.filter(pk=member.pk).update(part=part)
    network, linear = finish(make_run(release)), finish(make_run(release, "features"))
    learned_5, learned_9 = (run.evaluations.get(part="test") for run in (network, linear))
    assert learned_5.majority == pytest.approx(1 / 3), "always positive, by the training part"
    assert learned_9.majority == 0, "always neutral, by training and validation part"
    assert learned_5.figures["random"] == pytest.approx((3 / 5 + 2 * 1 / 5) / 3)
    assert learned_9.figures["random"] == pytest.approx((3 / 9 + 2 * 2 / 9) / 3)
    validation = linear.evaluations.get(part="validation")
    assert (validation.majority, validation.figures["random"]) == (0, pytest.approx(1 / 5)), (
        "which a model of the training part met"
    )
    ensemble = runs.create_run(
        release=release, training=TrainingParams.of("ensemble"), spectrograms=SpectrogramParams(), members=[network, linear],
        wake_worker=False,
    )  # fmt: skip
    assert (ensemble.has_epochs, linear.has_epochs) == (True, False)


def test_short_tracks_in_folds_are_a_sentence_too(release):
    for network in ("crnn", "features"):
        run = runs.create_run(
            release=release, training=TrainingParams.of(network), spectrograms=SpectrogramParams(), folds=True, wake_worker=False
        )
        job = queue.run_job(run.job_id, jobs.train_run)
        assert job.state == "failed" and "0 of 12 tracks can be learned from in 0 folds (at least three are needed)" in job.reason
        assert "Unexpected" not in job.reason


def test_a_label_that_no_training_track_has_is_named(release):
    run = make_run(release)
    draw_all(run)
    split = release.splits.order_by("id").first()
    split.members.filter(item__label="negative").update(part="test")
    job = queue.run_job(run.job_id, jobs.train_run)
    assert job.state == "failed" and job.reason.startswith("No training track is negative, which others are")


def test_a_ruling_among_equal_votes_has_all_of_them(release):
    release.items.update(votes={"positive": 2, "neutral": 2, "negative": 1}, is_ruled=True)
    run = make_run(release)
    shares, truth = rounds.shares_of(selectors.samples_of(run), list(release.labels))
    assert (shares == np.eye(3)[truth]).all()


def test_a_run_that_says_one_label_only_in_each_fold_is_flagged(release):
    run = runs.create_run(
        release=release, training=TrainingParams.of("crnn"), spectrograms=SpectrogramParams(), folds=True, wake_worker=False
    )
    draw_all(run)
    rows, labels = selectors.samples_of(run), list(release.labels)
    found = [
        runs.Round(parts, np.tile(np.eye(3)[number % 3], (len(rows), 1)))
        for number, parts in enumerate(selectors.rounds_of(run, rows))
    ]
    values = {"rows": rows, "rounds": found, "labels": labels, "best_epoch": None, "network": None}
    queue.run_job(run.job_id, lambda ticket: runs.finish_run(run, ticket=ticket, **values))
    assert Run.objects.get(pk=run.pk).one_class and len(set(run.predictions.values_list("predicted", flat=True))) == 3


def test_a_run_that_says_one_label_only_is_flagged(release):
    run = finish(make_run(release), np.tile(np.array([0.2, 0.5, 0.3], np.float32), (12, 1)))
    assert run.one_class is (run.predictions.filter(part="test").count() > 1)


def test_two_runs_are_compared_on_the_same_test_tracks(release):
    finish(make_run(release))
    finish(make_run(release, "cnn"), np.tile(np.array([0.2, 0.5, 0.3], np.float32), (12, 1)))
    comparison = comparing.compare(release)
    assert [row.run.network for row in comparison.rows] == ["crnn", "cnn"]
    (verdict,) = comparison.verdicts
    assert verdict.n == comparison.rows[0].test.n
    assert (verdict.only_first, verdict.only_second) == (verdict.n - comparison.rows[1].test.n_correct, 0)
    assert verdict.p > 0.05 and "can’t tell crnn" in verdict.words


def test_a_ready_track_queues_its_spectrograms_and_drawing_twice_leaves_one(make_track):
    track = make_track(seconds=48)
    job = Job.objects.get(task=inputs.DRAW, subject_id=track.pk)
    assert queue.run_job(job.pk, jobs.draw_spectrograms).state == "done"
    queue.run_job(queue.enqueue(inputs.DRAW, track, title="again", wake_worker=False).pk, jobs.draw_spectrograms)
    rows = Spectrogram.objects.filter(track=track)
    assert sorted(row.set.recipe for row in rows) == ["paper", "robust"]
    assert all(row.state == "ok" and row.image.read().startswith(b"\x89PNG") for row in rows)


def test_an_out_of_memory_kill_is_a_sentence(release, monkeypatch):
    with_every_label_in_every_part(release)
    run = make_run(release)
    draw_all(run)
    start = subprocess.Popen
    suicide = ["/bin/sh", "-c", "kill -9 $$"]
    monkeypatch.setattr("mer.rounds.subprocess.Popen", lambda command, **values: start(suicide, **values))
    job = queue.run_job(run.job_id, jobs.train_run)
    assert job.state == "failed" and "memory ran out" in job.reason


def test_what_an_attempt_left_of_other_inputs_is_not_gone_on_with(release, tmp_path):
    run = make_run(release)
    draw_all(run)
    samples = selectors.samples_of(run)
    parts, labels = [sample.part for sample in samples], list(release.labels)
    folder = tmp_path / "round"
    rounds.write(folder, run, rounds.inputs_of(run, samples, [parts], labels)[0])
    (folder / "state.json").write_text("here")
    rounds.write(folder, run, rounds.inputs_of(run, samples, [parts], labels)[0])
    assert (folder / "state.json").exists()
    rounds.write(folder, run, rounds.inputs_of(run, samples[1:], [parts[1:]], labels)[0])
    assert not (folder / "state.json").exists()


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_label_that_is_missing_from_a_part_is_a_sentence_with_the_way_out(release, part):
    with_every_label_in_every_part(release)
    split = release.splits.order_by("id").first()
    split.members.filter(part=part, item__label="neutral").update(part="train")
    run = runs.create_run(
        release=release, training=TrainingParams.of("features"), spectrograms=SpectrogramParams(), wake_worker=False
    )
    for item in release.items.all():
        inputs.store_features(item.track, "features", {"one": float(item.number), "two": 1.0})
    job = queue.run_job(run.job_id, jobs.train_run)
    assert job.state == "failed"
    assert job.reason.startswith(f"No track of the {part} part is neutral") and "Train in folds" in job.reason


def test_a_picture_whose_file_is_gone_is_named_and_drawn_anew(release):
    with_every_label_in_every_part(release)
    run = make_run(release)
    draw_all(run)
    lost = Spectrogram.objects.filter(set=run.spectrogram_set).order_by("pk").first()
    lost.image.storage.delete(lost.image.name)
    job = queue.run_job(run.job_id, jobs.train_run)
    assert job.state == "failed" and f"The picture of “{lost.track.title}” is gone or broken" in job.reason
    assert not Spectrogram.objects.filter(pk=lost.pk).exists(), "whoever trains next draws it"
