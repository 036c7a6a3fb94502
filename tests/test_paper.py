"""The paper's study on a release: its tables with our figures, and the control on shuffled labels."""

import json

import numpy as np
import pytest
from django.core.management import call_command

from datasets.models import Event
from datasets.services import queue
from datasets.services.signals import OPENED
from mer import comparing, jobs, replay, rounds
from mer.methods.params import SpectrogramParams, TrainingParams
from mer.models import Run
from mer.services import runs
from tests.test_features_and_folds import measured, run_of  # noqa: F401  (a fixture)
from tests.test_runs import finish

pytestmark = [pytest.mark.django_db]


def test_the_report_sets_our_figures_beside_the_papers(measured, capsys, tmp_path):  # noqa: F811
    run = runs.create_run(
        release=measured, training=TrainingParams.of("crnn"), spectrograms=SpectrogramParams(recipe="paper"), wake_worker=False
    )
    finish(run)
    run_of(measured)
    out = tmp_path / "report.md"
    with pytest.raises(SystemExit):  # not all of it is trained
        call_command("paper", measured.name, "--only-report", "--out", str(out), "--json")
    text = out.read_text()
    assert "| Table 4 | CRNN (after Table 3, reading A) | full | 58.3% (42% to 73%) | 100.0% |" in text
    assert "| Table 5 | CNN (Table 2) | clips | – | not trained |" in text
    assert "CNN (Table 2) | full | 41.7% (27% to 58%) | not trained |" in text and "43.2% of its 361 songs" in text
    assert "can’t tell" in text and measured.content_hash[:16] in text
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    assert [row["table"] for row in rows] == ["Table 4", "Table 4", "Table 5", "Table 5", "", "", "", "", ""]
    assert rows[1]["their_interval"] == pytest.approx([0.422, 0.729], abs=1e-3) and rows[2]["their_interval"] is None
    assert rows[1]["test"]["accuracy"] == 1 and rows[5]["test"]["n"] > 0


def test_the_page_queues_what_is_missing_once(client, curator, measured):  # noqa: F811
    client.force_login(curator)
    address = f"/releases/{measured.name}/paper/"
    assert "Train the 9 missing runs" in client.get(address).content.decode()
    client.post(address)
    assert Run.objects.count() == 9
    client.post(address)
    assert Run.objects.count() == 9
    assert "# The paper" in client.get(f"{address}?as=markdown").content.decode()


def test_the_control_learns_from_shuffled_labels_and_is_tested_on_true_ones(measured):  # noqa: F811
    run = runs.create_run(
        release=measured, training=TrainingParams.of("features", shuffle_labels=True), spectrograms=SpectrogramParams(),
        wake_worker=False,
    )  # fmt: skip
    assert queue.run_job(run.job_id, jobs.train_run).state == "done"
    plain = run_of(measured)
    true = {item.track_id: item.label for item in measured.items.all()}
    assert all(row.truth == true[row.track_id] for row in run.predictions.all())
    assert run.predictions.first().probabilities != plain.predictions.first().probabilities


def test_shuffling_moves_labels_between_the_parts_that_are_learned_from_only():
    part = np.array(["train"] * 50 + ["validation"] * 10 + ["test"] * 10)
    order = rounds.shuffled(part, 3)
    assert (order[60:] == np.arange(60, 70)).all() and sorted(order) == list(range(70))
    assert (order[:60] != np.arange(60)).mean() > 0.8


def test_runs_with_other_settings_are_not_taken_for_the_papers(measured):  # noqa: F811
    run_of(measured)
    steps = replay.steps(measured, epochs=7, seed=1)
    assert all(step.run is None for step in steps)


def test_the_control_is_marked_and_never_a_network_s_best(measured):  # noqa: F811
    run = runs.create_run(
        release=measured, training=TrainingParams.of("features", shuffle_labels=True), spectrograms=SpectrogramParams(),
        wake_worker=False,
    )  # fmt: skip
    queue.run_job(run.job_id, jobs.train_run)
    assert "(control)" in run.name
    assert comparing.compare(measured).verdicts == []


def test_the_api_queues_what_is_missing_and_tells_the_study_as_the_page_does(client, curator, measured):  # noqa: F811
    client.force_login(curator)
    address = f"/api/v1/paper/{measured.name}/"
    made = client.post(f"{address}train/", {"recipe": "robust"}).json()
    assert made["refused"] == {} and len(made["queued"]) == 9 == Run.objects.count()
    assert client.post(f"{address}train/", {"recipe": "robust"}).json() == {"queued": [], "refused": {}}
    (crnn,) = (run for run in Run.objects.filter(network="crnn", spectrogram_set__input="full") if not run.is_control)
    finish(crnn)
    told = client.get(address, {"recipe": "robust"}).json()
    assert [row["state"] for row in told["rows"]].count("done") == 1 and told["rows"][1]["test"]["accuracy"] == 1
    assert told["markdown"] in client.get(f"/releases/{measured.name}/paper/?recipe=robust&as=markdown").content.decode()
    assert client.get(address).json()["rows"][0]["state"] is None, "drawn by the paper's own recipe nothing is trained"
    assert client.get(address, {"recipe": "other"}).status_code == 400
    assert client.get(address, {"epoch": 5}).json() == {"epoch": ["There is no such setting."]}
    assert client.post(f"{address}train/", {"sed": 5}).status_code == 400
    assert {row["state"] for row in client.get(address, {"recipe": "robust", "epochs": 7}).json()["rows"]} == {None}
    assert client.get("/api/v1/paper/none/").status_code == 404


def test_the_api_compares_chosen_runs_and_notes_that_their_test_figures_were_opened(client, curator, measured):  # noqa: F811
    client.force_login(curator)
    made = [
        runs.create_run(release=measured, training=TrainingParams.of(network), spectrograms=SpectrogramParams(), wake_worker=False)
        for network in ("cnn", "crnn")
    ]
    address = f"/api/v1/compare/{measured.name}/"
    one, two = (run.pk for run in made)
    assert "no finished run" in client.get(address, {"run": one}).json()["run"][0]
    for run in made:
        finish(run)
    told = client.get(address, {"run": [one, two], "against": two}).json()
    assert {row["run"] for row in told["runs"]} == {one, two} and all(row["test"]["n"] for row in told["runs"])
    (verdict,) = told["verdicts"]
    assert verdict["names"] == [made[0].name, made[1].name] and 0 < verdict["p"] <= 1
    assert verdict["words"] in told["markdown"]
    assert Event.objects.filter(subject="run", subject_id=one, to_state=OPENED, actor=curator).exists()
    other = runs.create_run(
        release=measured, training=TrainingParams.of("compact"), spectrograms=SpectrogramParams(), folds=True, wake_worker=False
    )
    finish(other)
    shared = client.get(address, {"run": [one, other.pk]}).json()
    assert shared["n_shared"] == told["runs"][0]["test"]["n"] and {row["test"]["n"] for row in shared["runs"]} == {
        shared["n_shared"]
    }
    for wrong in ({"run": "x"}, {"run": [one, 999]}, {"run": [one, two], "against": 999}, {"against": one}):
        assert client.get(address, wrong).status_code == 400, wrong


def test_a_label_that_a_curator_settled_does_not_lower_what_guessing_raters_had_to_agree_on(measured):  # noqa: F811
    before = comparing.one_rater(measured)
    item = measured.items.first()
    measured.items.filter(pk=item.pk).update(votes=dict(zip(measured.labels, (2, 2, 1), strict=True)), is_ruled=True)
    after = comparing.one_rater(measured)
    assert before.chance is not None and after.chance == pytest.approx(before.chance, abs=0.03)
