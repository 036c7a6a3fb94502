"""The rule laboratory: other rules are tried without changing anything, and a threshold is applied with an event for each flip."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from annotate import laboratory, selectors
from annotate.laboratory import Trial
from annotate.models import Consensus, Questionnaire, Rater, Rating
from annotate.services import questionnaires, raters
from annotate.services.questionnaires import Rule
from datasets.errors import ValueRefused, WrongState
from datasets.models import Event, Track

pytestmark = [pytest.mark.django_db, pytest.mark.database]
VOTES = ("happy happy happy sad calm", "happy happy happy happy sad", "sad sad calm calm happy", "calm calm calm calm calm")


@pytest.fixture
def rated(make_track, rate, questionnaire) -> Questionnaire:
    for number, words in enumerate(VOTES):
        rate(make_track(f"Piece {number}"), words)
    return Questionnaire.objects.select_related("dataset").get(pk=questionnaire.pk)


def test_the_rule_as_it_is_changes_nothing(rated):
    trial = laboratory.try_rule(rated, raters=5, fewest=5, threshold=0.5)
    assert (trial.n_tracks, trial.n_full, trial.n_split, trial.n_open, trial.n_flips) == (4, 4, 1, 0, 0)
    assert trial.per_label == {"positive": 2, "neutral": 1, "negative": 0}
    assert trial.chance_acceptance == pytest.approx(153 / 243)
    assert trial.chance_as_answered > trial.chance_acceptance
    assert 0 < trial.expected_accuracy <= 1 and trial.model == ""


def test_a_stricter_threshold_names_the_tracks_that_would_flip(rated):
    trial = laboratory.try_rule(rated, raters=5, fewest=5, threshold=0.7)
    (flip,) = trial.flips
    assert (flip.title, flip.before, flip.after) == ("Piece 0", "positive", "split")
    assert flip.votes == "3 positive - 1 negative - 1 neutral"
    assert Consensus.objects.filter(state="agreed").count() == 3


def test_fewer_raters_are_the_first_that_rated_and_a_rater_can_be_left_out(rated):
    three = laboratory.try_rule(rated, raters=3, fewest=3, threshold=0.5)
    assert three.per_label["positive"] == 2 and three.n_split == 0
    without = laboratory.try_rule(rated, raters=5, fewest=4, threshold=0.5, aside="R0")
    assert without.n_full == 4 and without.n_split == 2
    assert laboratory.try_rule(rated, raters=5, fewest=5, threshold=0.5, aside="R0").n_open == 4


def test_raters_of_one_track_each_get_no_model_and_are_told_why(make_track, questionnaire, rated):
    for rating in list(rated.ratings.all()):
        rating.rater = Rater.objects.create()
        rating.save()
    trial = laboratory.try_rule(rated, raters=5, fewest=5, threshold=0.5)
    assert trial.expected_accuracy is None and "one track only" in trial.model


def test_without_ratings_there_is_nothing_and_no_error(questionnaire, make_track):
    make_track("Silent")
    trial = laboratory.try_rule(Questionnaire.objects.get(pk=questionnaire.pk), raters=5, fewest=5, threshold=0.5)
    assert trial.n_open == 1 and trial.alpha is None and trial.acceptance is None


def test_applying_a_threshold_settles_the_tracks_anew_with_an_event_each(rated, curator):
    assert questionnaires.change_rule(rated, Rule(5, 5, 0.7), by=curator) == 1
    row = Consensus.objects.get(track__title="Piece 0")
    assert row.state == "split" and row.label is None
    assert (
        Event.objects.filter(subject="consensus", subject_id=row.pk, from_state="agreed", to_state="split", actor=curator).count()
        == 1
    )
    assert Event.objects.filter(subject="questionnaire", to_state="rule changed", actor=curator).count() == 1
    assert Track.objects.get(title="Piece 0").label == ""
    assert questionnaires.change_rule(rated, Rule(5, 5, 0.5), by=curator) == 1
    assert Consensus.objects.get(track__title="Piece 0").label.key == "positive"


def test_a_rule_that_somebody_changed_meanwhile_is_not_overwritten(rated, curator):
    Questionnaire.objects.filter(pk=rated.pk).update(threshold=0.6)
    with pytest.raises(WrongState, match="Somebody changed the rule"):
        questionnaires.change_rule(rated, Rule(5, 5, 0.7), by=curator)
    for rule in (Rule(5, 5, 1.5), Rule(0, 0, 0.5), Rule(3, 4, 0.5), Rule(51, 5, 0.5)):
        with pytest.raises(ValueRefused, match="does not hold together"):
            questionnaires.change_rule(rated, rule, by=curator)


def test_the_page_tries_and_applies(client, curator, rated):
    client.force_login(curator)
    address = f"/agreement/{rated.pk}/laboratory/"
    assert "Every label stays as it is." in client.get(address).content.decode()
    page = client.get(address, {"raters": 5, "fewest": 5, "threshold": 70, "aside": ""}).content.decode()
    assert (
        "1 track would change" in page
        and "Apply it: 1 track changes" in page
        and "Agreement must be above 70% instead of 50%." in page
    )
    part = client.get(address, {"threshold": 70}, headers={"HX-Request": "true"}).content.decode()
    assert part.lstrip().startswith('<div id="trial"')
    answer = client.post(
        f"/agreement/{rated.pk}/rule/", {"raters": 5, "fewest": 5, "threshold": "70"}, follow=True
    ).content.decode()
    assert "The rule is applied; 1 track changed." in answer


@pytest.mark.parametrize("query", ["threshold=x", "raters=0", "fewest=99", "threshold=100", "aside=" + "x" * 99])
def test_a_rule_that_is_none_is_told_and_nothing_breaks(client, curator, rated, query):
    client.force_login(curator)
    assert "cannot be tried" in client.get(f"/agreement/{rated.pk}/laboratory/?{query}").content.decode()


@pytest.mark.parametrize("threshold", ["", "x", "100", "-1", "9" * 30])
def test_a_threshold_that_is_none_is_not_applied(client, curator, rated, threshold):
    client.force_login(curator)
    answer = client.post(f"/agreement/{rated.pk}/rule/", {"raters": 5, "fewest": 5, "threshold": threshold}, follow=True)
    assert "The rule was not applied" in answer.content.decode()
    assert Questionnaire.objects.get(pk=rated.pk).threshold == 0.5


def test_raters_see_nothing_of_it(client, rater, rated):
    client.force_login(rater)
    assert client.get(f"/agreement/{rated.pk}/laboratory/").status_code == 403
    assert client.post(f"/agreement/{rated.pk}/rule/", {"threshold": "70"}).status_code == 403


def stand(questionnaire: Questionnaire) -> dict[int, str]:
    rows = Consensus.objects.filter(questionnaire=questionnaire).select_related("label")
    return {row.track_id: row.label.key if row.label else row.state for row in rows}


RULES = [(3, 3, 50), (3, 2, 60), (5, 3, 50), (4, 4, 70), (7, 7, 50), (7, 4, 40), (1, 1, 0)]


@pytest.mark.parametrize("way", ["usual", "more when split", "unanimous at three", "sent back", "sent back, unanimous at three"])
@pytest.mark.parametrize(("raters", "fewest", "percent"), RULES)
def test_what_is_applied_is_what_was_shown_and_it_can_be_taken_back(rated, curator, rate, way, raters, fewest, percent):
    Questionnaire.objects.filter(pk=rated.pk).update(
        ask_more_when_split=way == "more when split", unanimous_at=3 if "unanimous" in way else 0
    )
    rated.refresh_from_db()
    if "sent back" in way:
        for number in (1, 2, 3):
            questionnaires.ask_for_more(Track.objects.get(title=f"Piece {number}"), by=curator)
        rate(Track.objects.get(title="Piece 2"), "sad sad")
        rate(Track.objects.get(title="Piece 3"), "happy")
    questionnaires.settle_anew(rated)
    before, n_ratings = stand(rated), rated.ratings.count()
    trial = laboratory.try_rule(rated, raters=raters, fewest=fewest, threshold=percent / 100)
    n_events = Event.objects.filter(subject="consensus").count()
    assert questionnaires.change_rule(rated, Rule(raters, fewest, percent / 100), by=curator) == trial.n_flips
    shown = before | {flip.track_id: flip.after for flip in trial.flips}
    assert stand(rated) == shown
    assert Event.objects.filter(subject="consensus").count() == n_events + trial.n_flips, "an event for each flip"
    again = laboratory.try_rule(rated, raters=raters, fewest=fewest, threshold=percent / 100)
    assert again.n_flips == 0
    assert rated.ratings.count() == n_ratings, "no rating is lost"
    questionnaires.change_rule(rated, Rule(5, 5, 0.5), by=curator)
    assert stand(rated) == before and not rated.ratings.exclude(not_counted="").exists(), "it is taken back without a trace"


def test_with_more_raters_the_tracks_go_back_to_the_raters(rated, curator, rater):
    from annotate.services import raters, slots

    questionnaires.change_rule(rated, Rule(6, 6, 0.5), by=curator)
    assert set(stand(rated).values()) == {"open"} and set(Consensus.objects.values_list("target", flat=True)) == {6}
    assert slots.reserve_next(rated, raters.rater_of(rater)) is not None


def test_a_track_that_was_sent_back_keeps_its_number(rated, curator):
    track = Track.objects.get(title="Piece 2")
    questionnaires.ask_for_more(track, by=curator)
    questionnaires.change_rule(rated, Rule(3, 3, 0.5), by=curator)
    row = Consensus.objects.get(track=track)
    assert (row.target, row.n_ratings, row.state) == (7, 5, "open")
    assert laboratory.try_rule(rated, raters=3, fewest=3, threshold=0.5).n_flips == 0


def test_the_rule_says_from_how_many_ratings_on_a_track_is_settled(rated, curator):
    questionnaires.change_rule(rated, Rule(5, 4, 0.5), by=curator)
    assert "settled from 4 ratings on" in Questionnaire.objects.get(pk=rated.pk).rule


def test_leaving_a_rater_out_leads_to_the_rater_and_only_admins_get_there(client, curator, admin_user, rated):
    client.force_login(curator)
    page = client.get(f"/agreement/{rated.pk}/laboratory/", {"aside": "R0", "threshold": 60}).content.decode()
    assert "A rater is set aside first" in page and "Apply this rule" not in page and "Admins do that." in page
    client.force_login(admin_user)
    page = client.get(f"/agreement/{rated.pk}/laboratory/", {"aside": "R0", "threshold": 60}).content.decode()
    assert f"/questionnaires/{rated.pk}/raters/{Rater.objects.get(pseudonym='R0').pk}/" in page


def test_seven_ratings_of_a_split_track_survive_a_rule_that_asks_for_seven_and_back(rated, curator, rate):
    Questionnaire.objects.filter(pk=rated.pk).update(ask_more_when_split=True)
    rated.refresh_from_db()
    questionnaires.settle_anew(rated)
    rate(Track.objects.get(title="Piece 2"), "sad sad")
    before = stand(rated)
    assert Consensus.objects.get(track__title="Piece 2").n_ratings == 7
    for rule in (Rule(7, 7, 0.5), Rule(3, 3, 0.7), Rule(5, 5, 0.5)):
        questionnaires.change_rule(rated, rule, by=curator)
    assert stand(rated) == before and Consensus.objects.get(track__title="Piece 2").n_ratings == 7


def test_a_rating_of_a_place_given_out_before_the_rule_changed_waits_and_counts_again(make_track, questionnaire, curator):
    from annotate.services import ratings, slots

    make_track("One")
    asked = Questionnaire.objects.select_related("dataset").get(pk=questionnaire.pk)
    people = [Rater.objects.create(pseudonym=f"P{n}") for n in range(5)]
    held = [slots.reserve_next(asked, person) for person in people]
    for slot in held[:3]:
        ratings.submit_rating(slot, word_key="happy")
    questionnaires.change_rule(asked, Rule(3, 3, 0.5), by=curator)
    for slot in held[3:]:
        slot.refresh_from_db()
        assert ratings.submit_rating(slot, word_key="happy").not_counted == "beyond"
    asked.refresh_from_db()
    questionnaires.change_rule(asked, Rule(5, 5, 0.5), by=curator)
    assert Consensus.objects.get().n_ratings == 5 and not asked.ratings.exclude(not_counted="").exists()


def test_a_rule_that_another_curator_changed_since_the_page_was_opened_is_not_overwritten(client, curator, rated):
    client.force_login(curator)
    page = client.get(f"/agreement/{rated.pk}/laboratory/", {"threshold": 70}).content.decode()
    was = re.search(r'name="was" value="([^"]+)"', page).group(1)
    Questionnaire.objects.filter(pk=rated.pk).update(threshold=0.6)
    values = {"raters": 5, "fewest": 5, "threshold": 70, "was": was}
    answer = client.post(f"/agreement/{rated.pk}/rule/", values, follow=True).content.decode()
    assert "Somebody changed the rule" in answer and Questionnaire.objects.get(pk=rated.pk).threshold == 0.6


def settled(questionnaire: Questionnaire) -> Trial:
    questionnaire = Questionnaire.objects.select_related("dataset").get(pk=questionnaire.pk)
    return laboratory.try_rule(
        questionnaire, raters=questionnaire.raters_per_track, fewest=questionnaire.fewest, threshold=questionnaire.threshold
    )


def rater_of_track(track: Track, place: int) -> Rater:
    return Rating.objects.filter(track=track).order_by("rated_at", "pk")[place].rater


YESTERDAY = timezone.now() - timedelta(days=1)


def test_waiting_ratings_of_a_rater_who_is_set_aside_do_not_come_back_with_a_larger_rule(rated, curator):
    track = Track.objects.get(title="Piece 1")
    questionnaires.change_rule(rated, Rule(3, 3, 0.5), by=curator)
    raters.set_aside(rater_of_track(track, 4), YESTERDAY, by=curator)
    questionnaires.change_rule(Questionnaire.objects.get(pk=rated.pk), Rule(5, 5, 0.5), by=curator)
    assert Consensus.objects.get(track=track).n_ratings == 4


def test_a_waiting_rating_takes_the_place_of_one_that_is_set_aside(rated, curator):
    track = Track.objects.get(title="Piece 1")
    questionnaires.change_rule(rated, Rule(3, 3, 0.5), by=curator)
    shown = raters.preview_set_aside(rater_of_track(track, 0), YESTERDAY)
    raters.set_aside(rater_of_track(track, 0), YESTERDAY, by=curator)
    row = Consensus.objects.get(track=track)
    assert (row.n_ratings, row.label.key) == (3, "positive") and settled(rated).n_flips == 0
    assert {change.track_id: (change.after, change.n_after) for change in shown}[track.pk] == ("positive", 3)


def test_after_setting_aside_the_laboratory_finds_nothing_to_change(make_track, rate, questionnaire, curator):
    Questionnaire.objects.filter(pk=questionnaire.pk).update(ask_more_when_split=True)
    track = make_track("Split")
    rate(track, "happy happy sad sad calm")
    rate(track, "sad calm")
    assert Consensus.objects.get(track=track).n_ratings == 7
    first = rater_of_track(track, 0)
    shown = raters.preview_set_aside(first, YESTERDAY)
    raters.set_aside(first, YESTERDAY, by=curator)
    assert settled(questionnaire).n_flips == 0
    row = Consensus.objects.select_related("label").get(track=track)
    assert shown[0].after == (row.label.key if row.label else row.state) and shown[0].n_after == row.n_ratings


def test_with_rulings_too_what_is_shown_is_what_stands_and_what_is_applied(rated, curator):
    track = Track.objects.get(title="Piece 2")
    label = track.dataset.labels.get(key="negative")
    questionnaires.rule_on(Consensus.objects.get(track=track), label=label, reason="sad", by=curator)
    trial = settled(rated)
    assert (trial.n_flips, trial.n_split) == (0, 0) and trial.per_label == {"positive": 2, "neutral": 1, "negative": 1}
    other = laboratory.try_rule(rated, raters=5, fewest=5, threshold=0.3)  # the raters agree then, on two labels at once
    now = stand(rated)
    n = questionnaires.change_rule(Questionnaire.objects.get(pk=rated.pk), Rule(5, 5, 0.3), by=curator)
    after = stand(rated)
    assert n == other.n_flips == sum(now[pk] != after[pk] for pk in now)
    assert settled(rated).n_flips == 0


def test_the_chance_is_that_of_the_whole_sequential_rule(rated):
    Questionnaire.objects.filter(pk=rated.pk).update(ask_more_when_split=True)
    assert settled(rated).chance_acceptance == pytest.approx(
        selectors.summarise(Questionnaire.objects.get(pk=rated.pk)).chance_acceptance
    )
    assert settled(rated).chance_acceptance == pytest.approx(0.712, abs=0.001)


def test_tracks_without_ratings_say_nothing_of_the_models_labels(make_track, rate, questionnaire):
    for number in range(4):
        make_track(f"Unrated {number}")
    for number in range(6):
        rate(make_track(f"Clear {number}"), "happy happy happy happy happy")
    assert settled(questionnaire).expected_accuracy > 0.95


def test_a_tie_is_not_drawn_as_accepted_however_low_the_threshold(make_track, rate, questionnaire):
    rate(make_track("Tie"), "happy happy sad sad calm")
    rate(make_track("Clear"), "happy happy happy sad calm")
    trial = laboratory.try_rule(Questionnaire.objects.get(pk=questionnaire.pk), raters=5, fewest=5, threshold=0.3)
    bars = {bar["agreement"]: (bar["n"], bar["accepted"]) for bar in trial.histogram}
    assert bars[0.4] == (1, False) and bars[0.6] == (1, True) and trial.n_split == 1
