"""What curators do with runs: look through, compare, repeat, promote, write about, ask."""

import re
from datetime import timedelta
from xml.etree import ElementTree

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from annotate.models import Consensus
from annotate.services import freezing
from datasets import selectors as ground
from datasets.errors import WrongState
from datasets.models import Event, Job, Sight, Signal
from datasets.services import queue
from datasets.services.signals import OPENED
from mer import comparing, jobs, selectors
from mer.errors import PredictionImpossible
from mer.methods import curves as curve_methods
from mer.models import Inference, LearningCurve, Promotion, Run
from mer.services import inferences, promotions, runs
from mer.services.curves import ask_for_curve
from tests.conftest import tone
from tests.test_runs import draw_all, make_run

pytestmark = [pytest.mark.django_db, pytest.mark.database]
LABELS = ["positive", "neutral", "negative"]


def trained(release, network: str = "crnn", *, wrong: int = 0, folds: bool = False, **values) -> Run:
    """A finished run that is right on all but the first `wrong` tracks, with a network file on the hold-out split."""
    from mer.methods.params import SpectrogramParams, TrainingParams

    run = runs.create_run(
        release=release, training=TrainingParams.of(network, **values), spectrograms=SpectrogramParams(), folds=folds,
        wake_worker=False,
    )  # fmt: skip
    if run.spectrogram_set:
        draw_all(run)
    rows = selectors.samples_of(run)
    truth = np.array([LABELS.index(row.label) for row in rows])
    truth[:wrong] = (truth[:wrong] + 1) % 3
    probabilities = np.eye(3)[truth] * 0.8 + 0.1
    rounds = [
        runs.Round(parts, probabilities, pictures={0: np.full((126, 258), 200, np.uint8)} if run.spectrogram_set else {})
        for parts in selectors.rounds_of(run, rows)
    ]
    network_file = None if folds else ContentFile(b"network", name="n.keras")
    results = {"rows": rows, "rounds": rounds, "labels": LABELS, "best_epoch": 1, "network": network_file}

    def work(ticket):
        runs.start_run(run, ticket=ticket, excluded=[], environment={})
        runs.finish_run(run, ticket=ticket, **results)

    queue.run_job(run.job_id, work)
    return selectors.runs_of().get(pk=run.pk)


def test_a_finished_run_says_what_it_says_of_tracks_it_did_not_learn_from(release):
    run = trained(release, folds=True, wrong=2)
    signals = Signal.objects.filter(run=run.pk)
    assert signals.count() == 12 and set(signals.values_list("part", flat=True)) == {"test"}
    assert sorted(round(row.quality, 2) for row in signals)[:3] == [0.1, 0.1, 0.9]
    assert signals.exclude(picture="").count() == 1
    holdout = trained(release)
    assert set(Signal.objects.filter(run=holdout.pk).values_list("part", flat=True)) == {"validation", "test"}


def test_a_control_says_nothing(release):
    run = trained(release, shuffle_labels=True)
    assert not Signal.objects.filter(run=run.pk).exists()


def test_one_run_a_dataset_is_promoted_and_its_history_is_kept(release, curator):
    one, two = trained(release), trained(release, seed=2)
    promotions.promote(one, by=curator, reason="first")
    promotions.promote(two, by=curator, reason="better")
    assert selectors.promoted(release.dataset) == two
    assert [row.run for row in selectors.promotions_of(release.dataset)] == [two, one]
    with pytest.raises(WrongState, match="is promoted already"):
        promotions.promote(two, by=curator)
    promotions.step_down(two, by=curator)
    assert selectors.promoted(release.dataset) is None
    assert list(Event.objects.filter(subject="run", to_state__contains="promoted").values_list("to_state", flat=True)) == [
        "no longer promoted", "promoted", "promoted",
    ]  # fmt: skip


def test_runs_without_a_model_controls_and_unfinished_ones_are_not_promoted(release, curator):
    for run, words in (
        (trained(release, folds=True), "keeps no model"),
        (trained(release, shuffle_labels=True), "learned from the labels"),
        (make_run(release, seed=9), "only a finished run"),
    ):
        with pytest.raises(WrongState, match=words):
            promotions.promote(run, by=curator)
    assert not Promotion.objects.exists()


def test_a_promoted_run_hears_the_tracks_outside_of_its_release(release, make_track, curator, monkeypatch):
    new = make_track("New")
    run = trained(release)
    promotions.promote(run, by=curator)
    job = Job.objects.get(task=inferences.HEAR)

    def answers(ticket, run, paths):
        for path in paths:
            yield {"file": str(path), "label": "neutral", "probabilities": dict.fromkeys(LABELS, 1 / 3), "windows": []}

    monkeypatch.setattr(jobs, "_answers", answers)
    assert queue.run_job(job.pk, jobs.hear_unrated).state == "done"
    row = Signal.objects.get(run=run.pk, track=new)
    assert row.part == "" and row.quality is None
    assert inferences.hear_what_came_in() == 0
    later = make_track("Later")
    assert inferences.hear_what_came_in() == 1
    assert queue.run_job(Job.objects.filter(task=inferences.HEAR).latest("pk").pk, jobs.hear_unrated).state == "done"
    assert Signal.objects.filter(run=run.pk, track=later).exists()


def test_the_queue_goes_by_the_promoted_run_alone(release, make_track, questionnaire, curator):
    questionnaire.queue_order = "uncertain"
    questionnaire.save()
    one, two = make_track("One"), make_track("Two")
    unsure, sure = dict.fromkeys(LABELS, 1 / 3), dict(zip(LABELS, (0.98, 0.01, 0.01), strict=True))

    def first() -> str:
        return Consensus.objects.filter(track__in=[one, two]).order_by("position").first().track.title

    runs = trained(release), trained(release, seed=2)
    for run, answers in zip(runs, ({one.pk: unsure, two.pk: sure}, {one.pk: sure, two.pk: unsure}), strict=True):
        promotions.promote(run, by=curator)
        inferences.write_heard(run, answers, {})
    assert first() == "Two"
    promotions.promote(runs[0], by=curator)
    assert not Signal.objects.filter(part="").exists() and selectors.unheard(runs[0]).count() == 2
    inferences.write_heard(runs[0], {one.pk: unsure, two.pk: sure}, {})
    assert first() == "One"
    promotions.step_down(runs[0], by=curator)
    assert Consensus.objects.filter(track__in=[one, two], position__lt=1 << 30).count() == 0


def test_a_part_that_lacks_a_label_says_so(release, questionnaire, client, curator):
    parts, met = {}, set()
    for track, label in release.items.values_list("track", "label"):  # of two labels the first track each is held out
        parts[track] = {"neutral": "test", "negative": "validation"}.get(label, "train") if label not in met else "train"
        met.add(label)
    later = freezing.freeze(questionnaire, name="songs-v2", seed=1, parts=parts)
    client.force_login(curator)
    for address in (f"/releases/{later.name}/train/", trained(later).get_absolute_url()):
        page = client.get(address).content.decode()
        assert page.count("holds no track of these labels") == 2 and "Validation" in page
    everywhere = {track: ("train", "validation", "test")[number // 3 % 3] for number, track in enumerate(sorted(parts))}
    assert ground.parts_without(freezing.freeze(questionnaire, name="songs-v3", seed=1, parts=everywhere).splits.first()) == []


def test_a_job_is_watched_on_a_page_of_its_own(release, client, curator):
    job = trained(release).job
    client.force_login(curator)
    page = client.get(f"/jobs/{job.pk}/").content.decode()
    assert "<html" in page and "stylesheet" in page and "/jobs/" in page
    assert "<html" not in client.get(f"/jobs/{job.pk}/", headers={"HX-Request": "true"}).content.decode()


def test_what_an_admin_changes_of_a_questionnaire_is_saved_and_in_the_audit_log(client, admin_person, questionnaire):
    client.force_login(admin_person)
    address = f"/admin/annotate/questionnaire/{questionnaire.pk}/change/"
    form = client.get(address).context["adminform"].form
    data = {form.add_prefix(name): value for name, value in form.initial.items() if value is not None and value is not False}
    for prefix in ("questions", "golds"):
        data |= {f"{prefix}-{name}": 0 for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    data |= {"minimum_s": 7, "questions-TOTAL_FORMS": 1, "questions-0-text": "How old is it?", "questions-0-key": "age"}
    answer = client.post(address, data | {"questions-0-kind": "text", "questions-0-order": 0, "_save": "Save"})
    assert answer.status_code == 302, answer.context["errors"]
    questionnaire.refresh_from_db()
    assert (questionnaire.minimum_s, questionnaire.questions.get().text) == (7, "How old is it?")
    said = Event.objects.filter(subject="questionnaire", to_state="edited", actor=admin_person).values_list("reason", flat=True)
    assert set(said) == {"minimum_s: 0 -> 7", "added How old is it?"}


def test_the_same_again_has_the_same_parameters_and_on_the_newest_release_its_data(release, questionnaire, curator):
    run = trained(release, epochs=7, seed=3)
    again = promotions.train_again(run, by=curator)
    assert (again.params, again.release, again.split) == (run.params, release, run.split) and again.pk != run.pk
    newest = freezing.freeze(questionnaire, name="songs-v2", seed=1)
    assert selectors.newest_release(run) == newest
    there = promotions.train_again(run, release=newest, by=curator)
    assert (there.params, there.release) == (run.params, newest)


def test_notes_of_somebody_else_are_not_overwritten(release, client, curator):
    run = trained(release)
    client.force_login(curator)
    address = reverse("mer:notes", args=[run.pk])
    client.post(address, {"notes": "The CNN forgets neutral.", "was": ""})
    client.post(address, {"notes": "Mine instead", "was": ""})
    run.refresh_from_db()
    assert run.notes == "The CNN forgets neutral."


def test_the_list_filters_sorts_and_draws_what_it_shows(release, client, curator):
    good, bad = trained(release), trained(release, "compact", wrong=12)
    client.force_login(curator)
    page = client.get("/runs/").content.decode()
    assert page.index(good.name) < page.index(bad.name) and "Macro-F1 on the test part" in page
    panel = client.get(f"/releases/{release.name}/runs/").content.decode()
    assert panel.index(good.name) < panel.index(bad.name), (
        "by validation here, too: whoever chooses by the test part, tests nothing"
    )
    only = client.get("/runs/", {"network": "compact", "release": release.name}).content.decode()
    assert bad.name in only and good.name not in only
    assert [run.pk for run in selectors.runs_to_show(release, {"sort": "new"})] == [bad.pk, good.pk]
    none = client.get("/runs/", {"state": "failed"}).content.decode()
    assert "No run fits what you chose" in none


def test_chosen_runs_are_compared_track_by_track_and_the_address_says_which(release, client, curator):
    one, two = trained(release, folds=True), trained(release, "compact", folds=True, wrong=3)
    other = trained(release, "cnn", folds=True)
    client.force_login(curator)
    page = client.get(f"/releases/{release.name}/compare/?run={one.pk}&run={two.pk}").content.decode()
    assert other.name not in page and "Track by track" in page
    rows = selectors.grid(release, [one, two])
    assert len(rows) == 12 and sum(row.differ for row in rows) == 3
    agreement = selectors.agreement_of_runs(rows)
    assert (agreement.n, agreement.same, agreement.all_right, agreement.none_right) == (12, 9, 9, 0)
    differ = client.get(f"/releases/{release.name}/compare/?run={one.pk}&run={two.pk}&show=differ").content.decode()
    assert differ.count('<td class="title">') == 3
    alone = client.get(f"/releases/{release.name}/compare/?run={one.pk}").content.decode()
    assert "Choose two to 6 runs" in alone


def test_runs_that_were_tested_on_different_tracks_are_compared_on_those_they_share(release, client, curator):
    folds, hold_out = trained(release, folds=True, wrong=3), trained(release, "compact")
    shared = set(hold_out.predictions.filter(part="test").values_list("track_id", flat=True))
    comparison = comparing.compare(release, [folds.pk, hold_out.pk])
    assert comparison.n_shared == len(shared) < 12
    by_run = {row.run.pk: row.test for row in comparison.rows}
    right = folds.predictions.filter(part="test", track__in=shared)
    assert by_run[folds.pk].n == by_run[hold_out.pk].n == len(shared)
    assert by_run[folds.pk].n_correct == sum(row.is_right for row in right)
    assert len(comparison.verdicts) == 1 and comparison.verdicts[0].n == len(shared)
    client.force_login(curator)
    page = client.get(f"/releases/{release.name}/compare/?run={folds.pk}&run={hold_out.pk}").content.decode()
    assert "These runs were not all tested on the same tracks" in page
    assert comparing.compare(release, [folds.pk, trained(release, "cnn", folds=True).pk]).n_shared is None


def test_runs_with_no_test_track_in_common_are_told_so(release):
    one, two = trained(release), trained(release, "compact")
    two.predictions.filter(part="test").delete()
    comparison = comparing.compare(release, [one.pk, two.pk])
    assert comparison.n_shared == 0 and all(row.test is None for row in comparison.rows)
    assert "no test track in common" in comparison.verdicts[0].words


def test_a_run_that_the_release_does_not_have_is_named(release, client, curator):
    one, two = trained(release, folds=True), trained(release, "compact", folds=True)
    client.force_login(curator)
    page = client.get(f"/releases/{release.name}/compare/?run={one.pk}&run={two.pk}&run=999").content.decode()
    assert "has no finished run #999" in page and "Track by track" in page
    waits = make_run(release)
    page = client.get(f"/releases/{release.name}/compare/?run={one.pk}&run={two.pk}&run={waits.pk}").content.decode()
    assert f"has no finished run #{waits.pk}" in page and "Track by track" in page


def test_a_comparison_is_downloaded_as_a_table_and_as_a_picture(release, client, curator):
    one, two = trained(release, folds=True), trained(release, "compact", folds=True)
    client.force_login(curator)
    table = client.get(f"/releases/{release.name}/compare.csv?run={one.pk}&run={two.pk}")
    lines = table.content.decode().splitlines()
    assert len(lines) == 13 and f"run_{two.pk}_predicted" in lines[0] and table["Content-Type"].startswith("text/csv")
    picture = client.get(f"/releases/{release.name}/compare.svg?run={one.pk}&run={two.pk}")
    drawn = ElementTree.fromstring(picture.content)  # noqa: S314  (our own)
    words = " ".join("".join(text.itertext()) for text in drawn.iter("{http://www.w3.org/2000/svg}text"))
    for said in (
        release.name,
        one.name,
        two.name,
        "n = 12",
        "Test accuracy",
        "Macro-F1",
        "95% interval",
        "always the majority label",
    ):
        assert said in words
    assert client.get(f"/releases/{release.name}/compare.exe").status_code == 404


def test_a_cell_of_the_confusion_matrix_lists_its_tracks_with_players(release, client, curator):
    run = trained(release, folds=True, wrong=1)
    client.force_login(curator)
    page = client.get(run.get_absolute_url()).content.decode()
    assert "?truth=positive&amp;said=neutral#tracks" in page
    cell = client.get(run.get_absolute_url(), {"truth": "positive", "said": "neutral"}).content.decode()
    assert cell.count("<audio") == 1 and "wrong" in cell
    hardest = selectors.test_tracks(run)
    assert not hardest[0].is_right and hardest[1].is_right
    table = client.get(f"/runs/{run.pk}/predictions.csv").content.decode()
    assert len(table.splitlines()) == 1 + run.predictions.count()


def test_who_reads_what_a_run_said_of_a_track_does_not_rule_on_test_tracks_any_more(release, client, curator):
    run = trained(release)
    track = release.items.first().track
    asked = Inference.objects.create(run=run, track=track)
    client.force_login(curator)
    for address in (
        f"/inferences/{asked.pk}/",
        f"/runs/{run.pk}/predict/",
        "/api/v1/inferences/",
        f"/api/v1/inferences/{asked.pk}/",
    ):
        assert client.get(address).status_code == 200
    assert not Sight.objects.exists(), "there was nothing to see yet"
    said = dict.fromkeys(LABELS, 1 / 3)
    Inference.objects.filter(pk=asked.pk).update(label="neutral", probabilities=said, duration_s=1.0)
    for address in (
        f"/inferences/{asked.pk}/",
        f"/runs/{run.pk}/predict/",
        "/api/v1/inferences/",
        f"/api/v1/inferences/{asked.pk}/",
    ):
        assert client.get(address).status_code == 200
        assert (
            Sight.objects.filter(user=curator, release=release).exists()
            and Sight.objects.filter(user=curator, track=track).exists()
        )
        Sight.objects.all().delete()


def test_a_track_is_asked_about_by_a_piece_of_its_title(release, client, curator):
    run = trained(release)
    client.force_login(curator)
    titles = [item.title for item in release.items.all()]
    one = titles[0]
    several = client.post(f"/runs/{run.pk}/predict/", {"track": one[:1]}).content.decode()
    assert "Several tracks are called so" in several
    assert (
        "has “nothing like it” in its title"
        in client.post(f"/runs/{run.pk}/predict/", {"track": "nothing like it"}).content.decode()
    )
    assert client.post(f"/runs/{run.pk}/predict/", {"track": one}).status_code == 302
    assert Inference.objects.get().track.title == one


def test_a_file_is_asked_about_and_not_kept(release, client, curator, monkeypatch):
    run = trained(release)
    client.force_login(curator)
    sent = SimpleUploadedFile("<b>new.wav", tone(3.0), content_type="audio/wav")
    response = client.post(f"/runs/{run.pk}/predict/", {"recordings": sent})
    asked = Inference.objects.get()
    assert response["Location"] == asked.get_absolute_url()

    def answers(ticket, run, paths):
        said = {"positive": 0.7, "neutral": 0.2, "negative": 0.1}
        yield {"file": str(paths[0]), "label": "positive", "probabilities": said, "windows": [[0.0, 1.5, said], [1.5, 3.0, said]]}

    monkeypatch.setattr(jobs, "_answers", answers)
    name = asked.file.name
    assert queue.run_job(asked.job_id, jobs.infer).state == "done"
    asked.refresh_from_db()
    assert asked.label == "positive" and asked.duration_s == pytest.approx(3.0, abs=0.1) and len(asked.peaks) == 400
    assert not asked.file and not asked._meta.get_field("file").storage.exists(name)
    page = client.get(asked.get_absolute_url()).content.decode()
    assert "&lt;b&gt;new.wav" in page and "0:00–0:01" in page and "0:01–0:03" in page
    assert "the other windows show how it goes along" in page and "fill no window" not in page
    Inference.objects.filter(pk=asked.pk).update(windows=asked.windows[:1])
    page = client.get(asked.get_absolute_url()).content.decode()
    assert "the other windows" not in page and re.search(r"The last [12] s fill no window", page)


def test_what_is_no_recording_is_refused_with_a_sentence(release, client, curator):
    run = trained(release)
    client.force_login(curator)
    client.post(f"/runs/{run.pk}/predict/", {"recordings": SimpleUploadedFile("song.mp3", b"no music" * 99)})
    asked = Inference.objects.get()
    job = queue.run_job(asked.job_id, jobs.infer)
    assert job.state == "failed" and "not a recording" in job.reason
    nothing = client.post(f"/runs/{run.pk}/predict/", {}).content.decode()
    assert "Choose at least one audio file" in nothing


def test_what_was_asked_long_ago_is_forgotten_with_its_file_and_ended_jobs_but_for_the_runs_own(release, curator):
    run = trained(release)
    asked = inferences.ask(run, file=ContentFile(b"RIFF", name="old.wav"), filename="old.wav", by=curator)
    storage, name = asked.file.storage, asked.file.name
    long_ago = timezone.now() - timedelta(days=91)
    Inference.objects.update(created_at=long_ago)
    Job.objects.update(state="done", finished_at=long_ago)
    inferences.forget_old()
    queue.forget_old()
    assert not Inference.objects.exists() and not storage.exists(name)
    assert list(Job.objects.values_list("subject", flat=True)) == ["run"], "a run's job is its state"


def test_a_run_in_folds_cannot_be_asked(release, client, curator):
    run = trained(release, folds=True)
    with pytest.raises(PredictionImpossible, match="keeps no model"):
        inferences.ask(run, track=release.items.first().track)
    client.force_login(curator)
    assert "keeps no model" in client.get(f"/runs/{run.pk}/predict/").content.decode()


def test_a_learning_curve_is_drawn_in_the_background(make_track, rate, questionnaire, client, curator, monkeypatch):
    from mer.models import FeatureVector
    from mer.selectors import VERSIONS

    rng = np.random.default_rng(0)
    for number in range(24):
        track = make_track(f"P{number}", artist=f"A{number % 8}")
        rate(track, " ".join([("happy", "calm", "sad")[number % 3]] * 5))
        values = {f"f{place}": float(rng.normal() + (place == number % 3) * 3) for place in range(5)}
        FeatureVector.objects.create(track=track, kind="features", version=VERSIONS["features"], values=values)
    release = freezing.freeze(questionnaire, name="v1", seed=1)
    monkeypatch.setattr(curve_methods, "DRAWS", 2)
    client.force_login(curator)
    address = f"/releases/{release.name}/learning-curve/"
    assert "has not been drawn yet" in client.get(address).content.decode()
    client.post(f"{address}draw/")
    curve = LearningCurve.objects.get()
    assert queue.run_job(curve.job_id, jobs.learning_curve).state == "done"
    page = client.get(address).content.decode()
    assert "least sure first" in page and "each of 24 tracks tested once a draw" in page


def test_too_small_a_release_says_what_a_curve_needs(release, monkeypatch):
    from mer.models import FeatureVector
    from mer.selectors import VERSIONS

    for item in release.items.all():
        FeatureVector.objects.create(track=item.track, kind="features", version=VERSIONS["features"], values={"f": 1.0})
    curve = ask_for_curve(release)
    job = queue.run_job(curve.job_id, jobs.learning_curve)
    assert job.state == "failed" and "12 tracks with features are too few" in job.reason


def test_both_rounds_are_scored_on_the_same_tracks_under_both_labels(release, questionnaire, client, curator):
    before = trained(release, folds=True)
    newest = freezing.freeze(questionnaire, name="songs-v2", seed=1)
    item = newest.items.first()
    newest.items.filter(pk=item.pk).update(label="neutral" if item.label != "neutral" else "positive")
    now = trained(newest, folds=True)
    figures = selectors.round_figures(release, newest)
    assert figures.n == 12 and [row.run for row in figures.rows] == [before, now]
    assert [row.under_before[0] for row in figures.rows] == [12, 11]
    assert [row.under_now[0] for row in figures.rows] == [11, 12]
    assert (figures.n_ruled, figures.n_of_raters) == (0, 12)
    for now, of in zip(figures.majorities, (release, newest), strict=True):
        labels = list(of.items.values_list("label", flat=True))
        assert now == max(map(labels.count, labels)) / 12
    newest.items.filter(pk=item.pk).update(is_ruled=True)
    figures = selectors.round_figures(release, newest)
    assert figures.n_of_raters == 11 and [row.n_right_of_raters for row in figures.rows] == [11, 11]
    client.force_login(curator)
    assert "that a curator ruled on since" in client.get("/releases/songs-v2/round/accuracy/").content.decode()
    assert "Accuracy under both labels" in client.get("/releases/songs-v2/round/accuracy/").content.decode()


def test_rounds_are_judged_by_the_same_training_in_folds_where_both_have_it(release, questionnaire):
    before = [trained(release, "compact"), trained(release, "crnn", folds=True, wrong=4), trained(release, "cnn")]
    newest = freezing.freeze(questionnaire, name="songs-v2", seed=1)
    now = [trained(newest, "compact"), trained(newest, "crnn", folds=True, wrong=4)]
    assert [row.run for row in selectors.round_figures(release, newest).rows] == [before[1], now[1]]


def test_the_estimate_goes_by_epochs_and_folds(release):
    run = trained(release)
    assert selectors.seconds_of(release, "cnn", folds=False, epochs=30) is None
    now = timezone.now()
    Job.objects.filter(pk=run.job_id).update(started_at=now - timedelta(minutes=2), finished_at=now)
    for number in range(1, 11):
        runs.add_epoch(run, dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy", "seconds"), 1.0) | {"number": number})
    assert selectors.seconds_of(release, "crnn", folds=False, epochs=30) == pytest.approx(360)
    assert selectors.seconds_of(release, "crnn", folds=True, epochs=30) == pytest.approx(1800)


@pytest.mark.parametrize("address", ["/runs/{pk}/", "/runs/", "/releases/songs-v1/compare/", "/api/v1/runs/", "/api/v1/runs/{pk}/"])
def test_who_opens_test_figures_is_noted_on_the_run_once(release, client, curator, admin_person, address):
    run, waiting = trained(release), make_run(release, "compact")
    for person in (curator, admin_person, curator):
        client.force_login(person)
        assert client.get(address.format(pk=run.pk)).status_code == 200
    opened = Event.objects.filter(subject="run", to_state=OPENED).order_by("pk")
    assert [(event.subject_id, event.actor) for event in opened] == [(run.pk, curator), (run.pk, admin_person)]
    page = client.get(f"/runs/{run.pk}/").content.decode()
    assert "Test figures opened by" in page and client.get(f"/runs/{waiting.pk}/").status_code == 200


def test_a_nul_in_a_reason_is_left_out(release, client, curator):
    run = trained(release)
    client.force_login(curator)
    client.post(f"/runs/{run.pk}/promote/", {"reason": "\0best\0"})
    assert run.promotions.get().reason == "best"


def test_everything_of_it_is_in_the_api_too(release, client, curator):
    run = trained(release)
    client.force_login(curator)
    api = f"/api/v1/runs/{run.pk}"
    assert client.post(f"{api}/promote/", {"reason": "best"}).status_code == 200
    assert client.post(f"{api}/promote/", {}).status_code == 409
    assert client.post(f"{api}/notes/", {"notes": "good"}).json()["notes"] == "good"
    assert client.post(f"{api}/again/", {"newset": True}).status_code == 400, "a misspelt setting trains nothing else"
    assert client.post(f"{api}/again/", {}).status_code == 202
    track = release.items.first().track_id
    made = client.post(f"{api}/predict/", {"track": track})
    assert made.status_code == 202 and client.get(f"/api/v1/inferences/{made.json()['id']}/").json()["track"] == track
    assert client.post(f"{api}/predict/", {}).status_code == 400
    doubts = client.get("/api/v1/doubts/", {"release": release.name}).json()
    assert doubts["count"] > 0 and set(doubts["results"][0]) >= {"track", "by_models", "is_test", "mean"}
    kept = {"release": release.name, "track": doubts["results"][0]["track"], "action": "keep"}
    assert client.post("/api/v1/doubts/", kept).status_code == 201
    assert client.get("/api/v1/doubts/", {"release": release.name}).json()["count"] == doubts["count"] - 1


def test_the_panel_opens_with_the_state_of_the_study(release, client, admin_person):
    trained(release)
    client.force_login(admin_person)
    page = client.get("/admin/").content.decode()
    for words in (
        "Tracks by state",
        "Ratings a day",
        "Reliability over releases",
        "waiting: train",
        "free of",
        "Retrain on songs-v1",
    ):
        assert words in page


def test_a_preview_shows_the_questionnaire_and_reserves_nothing(make_track, questionnaire, client, curator):
    make_track()
    client.force_login(curator)
    page = client.get(f"/questionnaires/{questionnaire.pk}/preview/").content.decode()
    assert "A preview" in page and "Relaxed" in page and "js/rate" not in page
    assert not questionnaire.assignments.exists()
