"""Runs on features, and runs in folds: every track is tested once, by a model that never saw its group."""

from collections import Counter

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from datasets.models import Job
from datasets.services import queue
from mer import comparing, jobs, rounds, selectors
from mer.errors import TrainingImpossible
from mer.methods import features, musicnn
from mer.methods.params import SpectrogramParams, TrainingParams
from mer.models import FeatureVector
from mer.services import inputs, runs
from tests.test_runs import with_every_label_in_every_part

pytestmark = [pytest.mark.django_db]


@pytest.fixture
def measured(release, monkeypatch):
    """The release's tracks are a second long: their features are given, and tell the label."""
    with_every_label_in_every_part(release)
    rng = np.random.default_rng(1)
    for item in release.items.all():
        values = {f"f{n}": float(rng.normal()) for n in range(6)} | {"tells": float(release.labels.index(item.label))}
        values["tells too"] = float(item.label == "neutral")
        FeatureVector.objects.create(track=item.track, version=features.VERSION, values=values)
        heard = {f"m{n}": float(rng.normal()) for n in range(5)} | {"tells": float(item.label == "positive")}
        FeatureVector.objects.create(track=item.track, kind="transfer", version=musicnn.VERSION, values=heard)
    return release


def run_of(release, network="features", draw=1, **values):
    run = runs.create_run(
        release=release,
        training=TrainingParams.of(network, draw=draw),
        spectrograms=SpectrogramParams(),
        wake_worker=False,
        **values,
    )
    job = queue.run_job(run.job_id, jobs.train_run)
    assert job.state == Job.State.DONE, job.reason
    run.refresh_from_db()
    return run


def test_features_are_fitted_tested_and_kept_as_arrays(measured):
    run = run_of(measured)
    assert run.spectrogram_set is None and run.epochs.count() == 0
    assert {row.part for row in run.evaluations.all()} == {"train", "validation", "test"}
    assert run.predictions.count() == 12 and run.n_weights == 8 * 3 + 3
    arrays = {name.removeprefix("features/"): value for name, value in np.load(run.network_file.open("rb")).items()}
    model = features.LinearModel.of_arrays(arrays)
    names, X = selectors.feature_table([row.track_id for row in run.predictions.all()], "features")
    assert names == model.names
    for row, found in zip(run.predictions.all(), model.probabilities(X), strict=True):
        if row.part != "test":
            continue  # judged by a model that had not learned from the validation part
        assert [row.probabilities[label] for label in measured.labels] == pytest.approx(list(found), abs=1e-5)


def test_the_same_run_twice_gives_the_same_numbers(measured):
    one, other = run_of(measured), run_of(measured)
    assert [row.probabilities for row in one.predictions.all()] == [row.probabilities for row in other.predictions.all()]


def test_in_folds_every_track_is_tested_once_without_its_own_fold(measured):
    run = run_of(measured, folds=True)
    tested, validated = (set(run.predictions.filter(part=part).values_list("track", flat=True)) for part in ("test", "validation"))
    assert len(tested) == len(validated) == 12 and run.predictions.count() == 24
    assert {row.part: row.n for row in run.evaluations.all()} == {"validation": 12, "test": 12}
    assert not run.network_file
    samples = selectors.samples_of(run)
    rounds = selectors.rounds_of(run, samples)
    assert len(rounds) == 5
    for parts in rounds:
        for name in ("test", "validation"):
            assert len({sample.part for sample, part in zip(samples, parts, strict=True) if part == name}) == 1
    assert sorted(k for parts in rounds for k, part in enumerate(parts) if part == "test") == list(range(12))


def test_runs_in_folds_are_compared_with_runs_in_folds(measured):
    run_of(measured)
    run_of(measured, folds=True)
    comparison = comparing.compare(measured)
    assert len(comparison.rows) == 2 and comparison.verdicts == []


def folds_of(run):
    return {sample.track_id: sample.part for sample in selectors.samples_of(run)}


def test_another_drawing_has_other_folds_and_tests_every_track_once_too(measured):
    first, second = runs.create_runs(
        n_draws=2,
        release=measured,
        training=TrainingParams.of("features"),
        spectrograms=SpectrogramParams(),
        folds=True,
        wake_worker=False,
    )
    for run in (first, second):
        assert queue.run_job(run.job_id, jobs.train_run).state == Job.State.DONE
        tested = run.predictions.filter(part="test").values_list("track_id", flat=True)
        assert sorted(tested) == sorted(measured.items.values_list("track_id", flat=True))
    assert folds_of(first) == dict(first.split.members.values_list("item__track", "part"))
    assert folds_of(second) != folds_of(first) and set(folds_of(second).values()) == set(folds_of(first).values())
    again = runs.create_run(
        release=measured, training=TrainingParams.of("features", draw=2), spectrograms=SpectrogramParams(), folds=True,
        wake_worker=False,
    )  # fmt: skip
    assert folds_of(again) == folds_of(second), "a drawing is always the same"
    assert (first.input_in_words, second.input_in_words) == ("whole song, folds", "whole song, folds (drawing 2)")


def test_two_networks_are_compared_over_all_drawings_that_both_had(measured):
    for network, n in (("features", 3), ("mel", 2)):
        for item in measured.items.all():
            FeatureVector.objects.get_or_create(
                track=item.track, kind="mel", version=features.MEL_VERSION, values={"m": float(item.pk % 3)}
            )
        made = runs.create_runs(
            n_draws=n,
            release=measured,
            training=TrainingParams.of(network),
            spectrograms=SpectrogramParams(),
            folds=True,
            wake_worker=False,
        )
        assert [queue.run_job(run.job_id, jobs.train_run).state for run in made] == ["done"] * n
    comparison = comparing.compare(measured)
    (verdict,) = comparison.verdicts
    assert (verdict.n_rounds, verdict.n_draws) == (10, 2)
    assert "Corrected resampled t over 10 rounds (2 drawings of the folds): p = " in verdict.words
    differences = []
    one, two = (
        list(selectors.runs_of().filter(network=name).order_by("pk"))[:2]
        for name in verdict.names[0].split()[:1] + verdict.names[1].split()[:1]
    )
    for a, b in zip(one, two, strict=True):
        right = [{row.track_id: row.is_right for row in run.predictions.filter(part="test")} for run in (a, b)]
        for fold in sorted(set(folds_of(a).values())):
            tracks = [track for track, part in folds_of(a).items() if part == fold]
            differences.append(np.mean([right[0][track] for track in tracks]) - np.mean([right[1][track] for track in tracks]))
    n = measured.items.count()
    statistic = np.mean(differences) / np.sqrt((1 / 10 + (n / 5) / (n * 4 / 5)) * np.var(differences, ddof=1))
    assert verdict.p_resampled == pytest.approx(2 * stats.t.sf(abs(statistic), 9))


def test_drawings_are_of_folds_only_and_runs_of_different_ones_make_no_ensemble(measured):
    with pytest.raises(TrainingImpossible, match="Drawing 2 of the folds: it must be between 1 and 20, and 1 without folds"):
        run_of(measured, "features", draw=2)
    one, two = run_of(measured, "features", folds=True), run_of(measured, "transfer", folds=True, draw=2)
    with pytest.raises(TrainingImpossible, match="transfer #2 cannot be part of it"):
        run_of(measured, "ensemble", members=[one, two], folds=True)


def test_the_page_queues_as_many_drawings_as_asked_for(measured, client, curator):
    client.force_login(curator)
    asked = {"network": "features", "input": "full", "recipe": "robust", "folds": "on", "repeats": "3", "epochs": "30", "seed": "1"}
    response = client.post(f"/releases/{measured.name}/train/", asked)
    assert response.status_code == 302 and response["Location"] == f"/runs/?release={measured.name}"
    assert sorted(run.draw for run in selectors.runs_of(measured)) == [1, 2, 3]
    del asked["folds"]
    assert "Only folds can be drawn several times" in client.post(f"/releases/{measured.name}/train/", asked).content.decode()
    assert selectors.runs_of(measured).count() == 3, "all or none"


def test_a_track_that_cannot_be_measured_is_left_out_with_the_reason(release):
    run = runs.create_run(
        release=release, training=TrainingParams.of("features"), spectrograms=SpectrogramParams(), wake_worker=False
    )
    job = queue.run_job(run.job_id, jobs.train_run)
    assert job.state == "failed" and job.reason.startswith(
        "0 of 12 tracks can be learned from. Most often: Too short: 1.0 s of sound"
    )
    run.refresh_from_db()
    assert "Too short: 1.0 s of sound" in run.excluded[0]["reason"]


def test_folds_that_a_release_lacks_are_said_to_be_missing(release):
    release.splits.filter(name="5 folds").delete()
    with pytest.raises(TrainingImpossible, match="has no folds"):
        runs.create_run(
            release=release, training=TrainingParams.of("features"), spectrograms=SpectrogramParams(), folds=True, wake_worker=False
        )


def test_a_track_s_pictures_are_pooled_to_one_answer():
    from mer.rounds import pooled

    probabilities = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.2, 0.8]])
    assert pooled(probabilities, np.array([0, 0, 0, 1])).tolist() == [[0.5, 0.5], [0.2, 0.8]]


def test_every_picture_of_a_track_has_its_label_and_part(release):
    from mer.methods.spectrograms import png, stacked

    run = runs.create_run(
        release=release, training=TrainingParams.of("crnn"), spectrograms=SpectrogramParams(input="clips"), wake_worker=False
    )
    rng = np.random.default_rng(1)
    for number, item in enumerate(release.items.all()):
        found = rng.integers(0, 256, (1 + number % 3, 128, 256), dtype=np.uint8)
        inputs.store_spectrogram(run.spectrogram_set, item.track, png(stacked(found)))
    samples = selectors.samples_of(run)
    given = rounds.inputs_of(run, samples, [[sample.part for sample in samples]], list(release.labels))[0]
    assert len(given.pictures) == sum(1 + number % 3 for number in range(12))
    for row, owner in enumerate(given.owner):
        assert given.part[row] == samples[owner].part
        assert release.labels[given.truth[row]] == samples[owner].label


def probabilities(run, part="test"):
    labels = run.release.labels
    return {row.track_id: np.array([row.probabilities[label] for label in labels]) for row in run.predictions.filter(part=part)}


@pytest.mark.parametrize("folds", [False, True])
def test_an_ensemble_is_the_mean_of_a_model_on_features_and_one_on_embeddings(measured, folds):
    ensemble, *parts = (run_of(measured, network, folds=folds) for network in ("ensemble", "features", "transfer"))
    chosen = run_of(measured, "ensemble", members=parts, folds=folds)
    for part in ("validation", "test"):
        one, two = (probabilities(run, part) for run in parts)
        for track, found in probabilities(ensemble, part).items():
            assert found == pytest.approx((one[track] + two[track]) / 2, abs=1e-5)
            assert probabilities(chosen, part)[track] == pytest.approx(found, abs=1e-5)
    assert chosen.members == sorted(run.pk for run in parts) and f"#{parts[0].pk}" in chosen.input_in_words


def test_runs_that_do_not_fit_together_make_no_ensemble(measured):
    one, in_folds = run_of(measured), run_of(measured, folds=True)
    for network, members, reason in (
        ("ensemble", [one], "at least two"), ("ensemble", [one, one], "at least two"), ("features", [one, one], "Only an ensemble"), ("ensemble", [one, in_folds], "same release and split"),
    ):  # fmt: skip
        with pytest.raises(TrainingImpossible, match=reason):
            run_of(measured, network, members=members)
    one.predictions.filter(part="validation").delete()
    with pytest.raises(TrainingImpossible, match="train it again"):
        run_of(measured, "ensemble", members=[one, run_of(measured, "transfer")])


def test_a_track_that_one_run_left_out_is_left_out_of_their_ensemble(measured):
    FeatureVector.objects.filter(kind="transfer", track=measured.items.first().track).update(values={}, reason="Too short: 1.0 s")
    parts = [run_of(measured, network) for network in ("features", "transfer")]
    ensemble = run_of(measured, "ensemble", members=parts)
    assert [row["reason"] for row in ensemble.excluded] == [f"{parts[1].name}: Too short: 1.0 s"]
    assert ensemble.predictions.count() == 11


def test_the_pages_show_runs_in_folds_which_have_no_training_figures_and_all_figures_of_the_test_part(measured, client, curator):
    run_of(measured)
    in_folds = run_of(measured, "ensemble", folds=True)
    client.force_login(curator)
    page = client.get(f"/releases/{measured.name}/compare/").content.decode()
    assert in_folds.name in page and "No track has more than five ratings" in page
    page = client.get(in_folds.get_absolute_url()).content.decode()
    for words in (
        "Log-loss of the labels",
        "Cross-entropy to the votes",
        "Calibration error",
        "Recall of Positive",
        "How sure it is",
    ):
        assert words in page


def test_always_the_majority_has_its_macro_f1_where_the_majority_differs_from_round_to_round(measured):
    run = run_of(measured, folds=True)
    samples, truth, said = selectors.samples_of(run), [], []
    for parts in selectors.rounds_of(run, samples):
        taught = Counter(sample.label for sample, part in zip(samples, parts, strict=True) if part == "train")
        often = max(measured.labels, key=lambda label: taught[label])
        tested = [sample.label for sample, part in zip(samples, parts, strict=True) if part == "test"]
        truth, said = truth + tested, said + [often] * len(tested)
    wanted = f1_score(truth, said, average="macro", zero_division=0)
    assert run.evaluations.get(part="test").majority_f1 == pytest.approx(wanted)
