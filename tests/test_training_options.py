"""What a person may choose of a training: by page, API and command alike; several seeds, an ensemble of chosen runs."""

import io
import re

import pytest
from django.core.management import CommandError, call_command

from datasets.models import Track
from mer import comparing, replay, selectors
from mer.errors import TrainingImpossible
from mer.methods.params import SpectrogramParams, TrainingParams
from mer.models import Run
from mer.services import inputs, promotions, runs
from tests.test_curators import trained

pytestmark = [pytest.mark.django_db, pytest.mark.database]
FORM = {"network": "crnn", "input": "full", "recipe": "robust", "epochs": 5, "seed": 3}
RARE = {"learning_rate": "0.0005", "batch_size": "4", "dropout": "0.3", "mixup": "0.1", "depth": "2", "width": "0.5"}
STORED = {"learning_rate": 0.0005, "batch_size": 4, "dropout": 0.3, "mixup": 0.1, "depth": 2, "width": 0.5}


def test_what_is_left_empty_is_the_networks_own(release, client, curator):
    client.force_login(curator)
    client.post(f"/releases/{release.name}/train/", FORM | dict.fromkeys(RARE, "") | {"precision": ""})
    run = Run.objects.get()
    assert run.params == TrainingParams.of("crnn", epochs=5, seed=3).as_dict()
    assert run.params["learning_rate"] == 1e-4


def test_every_rare_value_is_stored_on_the_run_by_page_and_by_api(release, client, curator):
    client.force_login(curator)
    client.post(f"/releases/{release.name}/train/", FORM | RARE | {"precision": "float32", "shuffle_labels": "on"})
    page = Run.objects.get()
    assert {name: page.params[name] for name in STORED} == STORED
    assert page.params["precision"] == "float32" and page.is_control
    asked = FORM | STORED | {"release": release.name, "precision": "float32", "shuffle_labels": True, "seed": 4}
    answer = client.post("/api/v1/runs/", asked, content_type="application/json")
    assert answer.status_code == 202, answer.content
    assert Run.objects.get(pk=answer.json()["id"]).params == page.params | {"seed": 4}


@pytest.mark.parametrize(
    ("value", "words"),
    [({"dropout": "1"}, "dropout of 1"), ({"depth": "9"}, "depth of 9"), ({"batch_size": "0"}, "0 pictures"),
     ({"width": "99"}, "width of 99"), ({"mixup": "-1"}, "mixup of -1"), ({"learning_rate": "nan"}, "Enter a number"),
     ({"seeds": "21"}, "less than or equal to 20")],
)  # fmt: skip
def test_an_impossible_value_is_named_with_the_advanced_part_open(release, client, curator, value, words):
    client.force_login(curator)
    page = client.post(f"/releases/{release.name}/train/", FORM | value).content.decode()
    assert words in page and not Run.objects.exists()
    if "seeds" not in value:
        assert "<details open" in page.partition("Advanced")[0].rpartition("<form")[2]


def test_the_api_names_an_impossible_value_too(release, client, curator):
    client.force_login(curator)
    answer = client.post(
        "/api/v1/runs/", {"release": release.name, "network": "cnn", "dropout": 1.5}, content_type="application/json"
    )
    assert answer.status_code in (400, 409, 422) and "dropout of 1.5" in answer.content.decode()


def test_an_ensemble_of_chosen_runs_is_asked_for_on_the_page_and_by_the_api(release, client, curator):
    one, two = trained(release, folds=True), trained(release, "cnn", folds=True)
    running = runs.create_run(
        release=release, training=TrainingParams.of("mel"), spectrograms=SpectrogramParams(), folds=True, wake_worker=False
    )
    client.force_login(curator)
    compared = client.get(f"/releases/{release.name}/compare/?run={one.pk}&run={two.pk}").content.decode()
    link = re.search(r'href="([^"]+network=ensemble[^"]+)"', compared).group(1)
    page = client.get(link).content.decode()
    assert page.count("checked") == 3, "both runs, and folds"
    assert running.name not in page, "what is not finished is not offered"
    client.post(f"/releases/{release.name}/train/", FORM | {"network": "ensemble", "folds": "on", "members": [one.pk, two.pk]})
    made = Run.objects.get(network="ensemble")
    assert made.members == [one.pk, two.pk]
    asked = {"release": release.name, "network": "ensemble", "folds": True, "members": [one.pk, two.pk], "seed": 9}
    assert client.post("/api/v1/runs/", asked, content_type="application/json").json()["id"] == Run.objects.latest("pk").pk
    assert Run.objects.latest("pk").members == [one.pk, two.pk]


def test_seeds_make_as_many_runs_and_all_or_none_are_queued(release, client, curator):
    client.force_login(curator)
    client.post(f"/releases/{release.name}/train/", FORM | {"seeds": 3})
    assert sorted(run.seed for run in Run.objects.all()) == [3, 4, 5]
    page = client.post(f"/releases/{release.name}/train/", FORM | {"seeds": 3, "seed": 1}).content.decode()
    assert "queued or running already" in page and Run.objects.count() == 3


def test_runs_that_differ_in_the_seed_alone_are_told_with_their_mean(release):
    for seed, wrong in ((1, 0), (2, 3), (3, 6)):
        trained(release, "cnn", folds=True, seed=seed, wrong=wrong)
    trained(release, "cnn", folds=True, seed=4, dropout=0.5)
    (spread,) = comparing.compare(release).spreads
    assert (round(spread.mean.value, 3), spread.low, spread.high) == (0.75, 0.5, 1.0)
    assert spread.mean.low < 0.75 < spread.mean.high
    assert "75.0% on average (95% " in spread.in_words and "single ones 50.0 to 100.0%" in spread.in_words


def test_of_chosen_runs_the_mean_is_on_the_tracks_that_all_have_as_the_single_ones(release):
    for seed, wrong in ((1, 0), (2, 6)):
        trained(release, "cnn", folds=True, seed=seed, wrong=wrong)
    trained(release, "compact")  # tests few of them
    comparison = comparing.compare(release, list(release.runs.values_list("pk", flat=True)))
    (spread,) = comparison.spreads
    single = [row.test.accuracy for row in comparison.rows if row.run.network == "cnn"]
    assert spread.mean.value == pytest.approx(sum(single) / 2) and (spread.low, spread.high) == (min(single), max(single))


def test_a_setting_that_does_not_exist_is_named_and_nothing_is_trained(release, client, curator):
    client.force_login(curator)
    answer = client.post(
        "/api/v1/runs/", {"release": release.name, "network": "cnn", "dropuot": 0.5}, content_type="application/json"
    )
    assert answer.status_code == 400 and answer.json() == {"dropuot": ["There is no such setting."]}
    assert not Run.objects.exists()


def test_a_control_is_no_ensemble_of_runs_that_are_none_and_no_part_of_one(release):
    one, two = trained(release, folds=True), trained(release, "cnn", folds=True)
    control = trained(release, "compact", folds=True, shuffle_labels=True)
    for members, shuffled in (([one, two], True), ([one, control], False)):
        with pytest.raises(TrainingImpossible, match="A control learns from shuffled labels itself"):
            runs.create_run(
                release=release, training=TrainingParams.of("ensemble", shuffle_labels=shuffled), spectrograms=SpectrogramParams(),
                folds=True, members=members, wake_worker=False,
            )  # fmt: skip


def test_runs_of_an_earlier_crnn_are_no_runs_of_this_one(release, curator):
    run = trained(release, "crnn")
    assert run.params["version"] == 2 and "version" not in trained(release, "cnn").params
    training, spectrograms = TrainingParams.of("crnn"), SpectrogramParams()
    assert selectors.latest_run(release, training, spectrograms, folds=False) == run
    Run.objects.filter(pk=run.pk).update(params={name: value for name, value in run.params.items() if name != "version"})
    assert selectors.latest_run(release, training, spectrograms, folds=False) is None
    again = promotions.train_again(Run.objects.get(pk=run.pk), by=curator)
    assert again.params["version"] == 2, "the layers are those of today"


def command(*arguments: object) -> str:
    out = io.StringIO()
    call_command(*map(str, arguments), stdout=out)
    return out.getvalue()


def test_the_table_of_a_paper_has_baselines_people_and_verdicts_against_one_run(release):
    rival, better = trained(release, "cnn", folds=True, wrong=8), trained(release, "crnn", folds=True)
    hold_out = trained(release, "compact")
    said = command("compare", release.name, "--shared", "--against", rival.pk, "--markdown")
    shared = hold_out.predictions.filter(part="test").count()
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in said.splitlines() if line.startswith("| ")]
    table = {row[0]: row for row in rows}
    people = table["one rater against the others of the same track"]
    assert people[3].endswith(f"ratings of {shared} tracks") and people[4].endswith("%")
    assert table["raters who guess, on tracks that agree as much"][4].endswith("%")
    assert table["always the majority of what was learned from"][3] == str(shared)
    # Rounds in folds learned from other tracks than the hold-out split: there the labels occurred more or less often.
    guesses = {name: row for name, row in table.items() if name.startswith("guessing as often as the labels occur")}
    assert len(guesses) == 2 and {row[3] for row in guesses.values()} == {str(shared)}
    assert any(name.endswith(f"of {hold_out.name}") for name in guesses)
    for run in (rival, better, hold_out):
        assert table[run.name][3] == str(shared)
    verdicts = [line for line in said.splitlines() if line.startswith("- ")]
    assert len(verdicts) == 2 and all(rival.name in words for words in verdicts)


def test_every_verdict_is_on_the_tracks_of_the_table(release):
    wide = [trained(release, network, folds=True, wrong=wrong) for network, wrong in (("cnn", 8), ("crnn", 0))]
    hold_out = trained(release, "compact")
    comparison = comparing.compare(release, [run.pk for run in (*wide, hold_out)])
    assert comparison.n_shared == hold_out.predictions.filter(part="test").count() < 12
    assert [verdict.n for verdict in comparison.verdicts] == [comparison.n_shared] * 3
    by_run = {row.run.pk: row.test for row in comparison.rows}
    one = next(verdict for verdict in comparison.verdicts if {run.name for run in wide} == set(verdict.names))
    first, second = (by_run[next(run.pk for run in wide if run.name == name)] for name in one.names)
    assert one.accuracy.value == pytest.approx(first.accuracy - second.accuracy)


def test_controls_are_told_apart_from_the_comparisons_that_are_adjusted_for(release):
    rival, better = trained(release, "cnn", folds=True, wrong=8), trained(release, "crnn", folds=True)
    control = trained(release, "compact", folds=True, wrong=9, shuffle_labels=True)
    comparison = comparing.compare(release, [rival.pk, better.pk, control.pk], against=rival.pk)
    (verdict,) = comparison.verdicts
    assert verdict.names == (better.name, rival.name) and verdict.p_adjusted is None
    (beside,) = comparison.controls
    assert beside.names == (control.name, rival.name) and "adjusted" not in beside.words
    assert control.name in command("compare", release.name, "--shared", "--against", rival.pk, "--markdown").split("\n- ")[-1]
    assert [verdict.names for verdict in comparing.compare(release, [better.pk, control.pk]).controls] == [
        (control.name, better.name)
    ]


def test_a_run_that_answers_one_class_only_is_flagged_wherever_its_figures_stand(release, client, curator):
    run = trained(release, "cnn", folds=True)
    Run.objects.filter(pk=run.pk).update(one_class=True)
    trained(release, "crnn", folds=True)
    assert f"| {run.name}, one class only in a fold |" in command("compare", release.name, "--markdown")
    assert "one class only in a fold" in next(
        line for line in command("compare", release.name).splitlines() if line.startswith(run.name)
    )
    steps = replay.steps(release, epochs=30, seed=1, folds=True, recipe="robust")
    assert "| CNN (Table 2), one class only in a fold |" in replay.markdown(release, steps)
    client.force_login(curator)
    assert "one class only in a fold" in client.get(f"/releases/{release.name}/paper/?recipe=robust&folds").content.decode()
    rows = {row["run"]: row for row in comparing.comparison_as_dict(comparing.compare(release))["runs"]}
    assert [rows[pk]["one_class"] for pk in sorted(rows)] == [True, False]


def test_the_curves_of_a_run_are_written_as_tensorboard_reads_them(release, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    run = trained(release, "cnn", folds=True)
    for number, loss in ((1, 0.9), (2, 0.4)):
        runs.add_epoch(
            run, {"number": number, "loss": loss, "val_loss": 1.0, "accuracy": 0.5, "val_accuracy": 0.6, "seconds": 1.0}, fold=2
        )
    command("tensorboard", run.pk, "--out", tmp_path)
    read = {}
    for part in ("train", "validation"):
        read[part] = EventAccumulator(str(tmp_path / f"cnn-{run.pk}-fold-2" / part), size_guidance={"tensors": 0})
        read[part].Reload()
    losses = [(event.step, float(make_ndarray(event.tensor_proto))) for event in read["train"].Tensors("epoch_loss")]
    assert losses == [(1, pytest.approx(0.9)), (2, pytest.approx(0.4))]
    assert len(read["validation"].Tensors("epoch_accuracy")) == 2


def test_a_run_that_is_not_among_them_is_named(release):
    trained(release, "cnn", folds=True)
    with pytest.raises(CommandError, match="Run 99 is not among the finished runs"):
        command("compare", release.name, "--shared", "--against", "99")
    with pytest.raises(CommandError, match="--against goes with --shared: name both"):
        command("compare", release.name, "--against", "1")
    for words in (["train", release.name, "--network", "ensemble", "--runs", 10**20], ["tensorboard", 10**20, "--out", "curves"]):
        with pytest.raises(CommandError, match=f"There is no run {10**20}"):
            command(*words)


def test_reports_have_the_same_words_whatever_language_the_reader_has(release, client, curator):
    trained(release, "cnn", folds=True)
    client.force_login(curator)
    for address in (f"/api/v1/compare/{release.name}/", f"/api/v1/paper/{release.name}/?recipe=robust&folds=true"):
        english, indonesian = (client.get(address, headers={"accept-language": language}).json() for language in ("en", "id"))
        assert english == indonesian and english["markdown"]


def test_several_drawings_without_folds_are_refused_with_the_way_out(release):
    with pytest.raises(CommandError, match="Only folds can be drawn several times: train in folds"):
        command("train", release.name, "--network", "compact", "--repeats", "3")


def test_what_each_input_leaves_out_is_told_before_anything_is_trained(release, client, curator):
    short, silent, *_others = Track.objects.order_by("pk")
    Track.objects.update(duration_s=60)
    Track.objects.filter(pk=short.pk).update(duration_s=30)
    inputs.store_spectrogram(inputs.spectrogram_set(SpectrogramParams()), silent, None, reason="Silent: no sound.")
    full, clips, whole = selectors.left_out_by_input(release)
    assert [(pk, reason) for pk, _title, reason in full.tracks] == [
        (short.pk, "Too short: 30.0 s of sound, and 47.55 s are needed."), (silent.pk, "Silent: no sound.")
    ]  # fmt: skip
    assert [pk for pk, *_rest in clips.tracks] == [short.pk], "half a window is enough of whole songs, and nobody has drawn a clip"
    assert whole.tracks == [] and full.n_usable == whole.n_usable - 2
    client.force_login(curator)
    assert "30.0 s of sound" in client.get(f"/releases/{release.name}/train/").content.decode()
