"""Nothing that is learned depends on the test part: whatever its tracks sound like and are called, the model that is kept is the same to the bit."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from datasets.models import ReleaseItem, SplitMember
from mer import replay, rounds, selectors
from mer.methods import features
from mer.methods.params import PICTURELESS, SpectrogramParams, TrainingParams
from mer.models import Evaluation, FeatureVector, Run
from mer.services import runs
from tests.methods.test_training import train
from tests.test_features_and_folds import measured, run_of  # noqa: F401  (a fixture)
from tests.test_runs import draw_all, make_run

pytestmark = [pytest.mark.django_db]


@pytest.mark.parametrize("network", ["features", "transfer", "ensemble"])
def test_a_linear_model_is_the_same_whatever_the_test_tracks_are(measured, network):  # noqa: F811
    before = run_of(measured, network)
    tested = before.split.members.filter(part="test").values("item__track")
    for row in FeatureVector.objects.filter(track__in=tested):
        row.values = {name: 1000.0 + value for name, value in row.values.items()}
        row.save()
    items = ReleaseItem.objects.filter(release=measured, track__in=tested)
    assert items.count() == SplitMember.objects.filter(split=before.split, part="test").count() > 0
    turned = dict(zip(measured.labels, [*measured.labels[1:], measured.labels[0]], strict=True))
    for item in items:
        items.filter(pk=item.pk).update(label=turned[item.label], votes={turned[item.label]: 5})
    after = run_of(measured, network)
    with before.network_file.open("rb") as one, after.network_file.open("rb") as other:
        models = [dict(np.load(file)) for file in (one, other)]
    assert models[0].keys() == models[1].keys()
    for name, value in models[0].items():
        np.testing.assert_array_equal(value, models[1][name], err_msg=name)


def test_in_folds_the_model_of_each_round_is_the_same_whatever_its_test_fold_is(measured, monkeypatch):  # noqa: F811
    """By what it is fitted to: `features.fit` never sees a track of the fold that it is tested on."""
    run = run_of(measured, folds=True)
    samples = selectors.samples_of(run)
    _names, X = selectors.feature_table([sample.track_id for sample in samples], "features")
    given: list[set[int]] = []
    fit = features.fit

    def watched(some, *arguments, **values):
        given.append({int(np.flatnonzero((row == X).all(axis=1))[0]) for row in some})
        return fit(some, *arguments, **values)

    monkeypatch.setattr(features, "fit", watched)
    run_of(measured, folds=True)
    plans = selectors.rounds_of(run, samples)
    assert len(given) == 2 * len(plans)
    for number, parts in enumerate(plans):
        test = {place for place, part in enumerate(parts) if part == "test"}
        inner, outer = given[2 * number : 2 * number + 2]
        validation = {place for place, part in enumerate(parts) if part == "validation"}
        assert not outer & test and not inner & (test | validation), "a track was learned from that is tested"


LOOK = "import json, sys, numpy as np, keras\nfrom mer.methods import networks\nfrom pathlib import Path\nprint(json.dumps([float(np.abs(a - b).max()) for a, b in zip(*(networks.load(Path(path)).get_weights() for path in sys.argv[1:]))]))"


def test_a_network_is_the_same_whatever_the_test_tracks_are(tmp_path, monkeypatch):
    """Their pictures, labels and votes: another test part, the same weights."""
    original = np.savez

    def changed(path, **arrays):
        test = arrays["part"] == "test"
        arrays["pictures"][test] = 255 - arrays["pictures"][test]
        arrays["truth"][test] = (arrays["truth"][test] + 1) % 3
        arrays["shares"][test] = np.roll(arrays["shares"][test], 1, axis=1)
        original(path, **arrays)

    for name, save in (("one", original), ("other", changed)):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(np, "savez", save)
        code, _said = train(tmp_path / name, network="compact", epochs=2, vote_shares=True)
        assert code == 0
    networks = [str(tmp_path / name / "network.keras") for name in ("one", "other")]
    done = subprocess.run([sys.executable, "-c", LOOK, *networks], capture_output=True, text=True, check=True, cwd=Path.cwd())
    differences = json.loads(done.stdout.strip().splitlines()[-1])
    assert len(differences) > 10 and max(differences) == 0
    said = [np.load(tmp_path / name / "probabilities.npy") for name in ("one", "other")]
    assert (said[0][:6] == said[1][:6]).all() and (said[0][6:] != said[1][6:]).any()


@pytest.mark.parametrize("folds", [False, True])
def test_a_control_is_taught_other_labels_and_tested_on_the_true_ones(release, folds):
    run = make_run(release, "compact", shuffle_labels=True) if not folds else runs.create_run(
        release=release, training=TrainingParams.of("compact", shuffle_labels=True), spectrograms=SpectrogramParams(), folds=True, wake_worker=False
    )  # fmt: skip
    draw_all(run)
    samples = selectors.samples_of(run)
    truth = np.array([release.labels.index(sample.label) for sample in samples])
    plans = selectors.rounds_of(run, samples)
    changed = 0
    for parts, given in zip(plans, rounds.inputs_of(run, samples, plans, list(release.labels)), strict=True):
        part = np.array(parts)
        assert (given.truth[part == "test"] == truth[part == "test"]).all()
        changed += int((given.truth[part == "train"] != truth[part == "train"]).sum())
        learned = part != "test"
        assert sorted(given.truth[learned]) == sorted(truth[learned]), "the same labels, shuffled"
    assert changed > 0


def test_a_control_that_is_better_than_the_majority_is_called_a_leak(measured):  # noqa: F811
    run = run_of(measured, "ensemble", folds=True)
    Run.objects.filter(pk=run.pk).update(params=run.params | {"shuffle_labels": True})
    steps = [step for step in replay.steps(measured, epochs=30, seed=1, folds=True) if step.run]
    assert [step.run.pk for step in steps] == [run.pk]
    Evaluation.objects.filter(run=run, part="test").update(accuracy=0.3, low=0.1, high=0.5, majority=0.4)
    (step,) = [step for step in replay.steps(measured, epochs=30, seed=1, folds=True) if step.run]
    assert not replay.leaks(step) and "fell to chance" in replay.controls([step])[0][0]
    said, values = replay.controls([step])[0]
    assert "points would show" in said and values["hidden"] == f"{100 * (0.5 - min(0.4, step.test.random)):.0f}"
    Evaluation.objects.filter(run=run, part="test").update(accuracy=0.1, low=0.0, high=0.2)
    (step,) = [step for step in replay.steps(measured, epochs=30, seed=1, folds=True) if step.run]
    assert "fell to chance" in replay.controls([step])[0][0] and "would show" not in replay.controls([step])[0][0]
    Evaluation.objects.filter(run=run, part="test").update(accuracy=0.8, low=0.6, high=0.9)
    (step,) = [step for step in replay.steps(measured, epochs=30, seed=1, folds=True) if step.run]
    assert replay.leaks(step) and "LEAKS" in replay.markdown(measured, [step])


def test_every_network_that_sees_pictures_is_made_by_the_function_of_its_name():
    from mer.methods.params import NETWORKS

    source = (Path(rounds.__file__).parent / "methods" / "networks.py").read_text()
    for name in NETWORKS.keys() - PICTURELESS:
        assert f"def {name.replace('-', '_')}(" in source
