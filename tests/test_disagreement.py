"""Labels that models doubt: who sees them, in which order, what can be done, and what the next release tells of it."""

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from annotate import disagreement
from annotate.models import Consensus, Review
from annotate.services import freezing, questionnaires, raters, ratings, reviews, slots
from datasets.errors import ValueRefused, WrongState
from datasets.models import Event, Label, Sight, Signal, SplitMember
from datasets.services import signals, tracks
from datasets.services.signals import Said

pytestmark = [pytest.mark.django_db, pytest.mark.database]
LABELS = ("positive", "neutral", "negative")


def parts_of(release) -> dict[int, str]:
    split = release.splits.order_by("id").first()
    return dict(SplitMember.objects.filter(split=split).values_list("item__track", "part"))


@pytest.fixture
def doubted(release):
    """A run that agrees with every label but those of the first two tracks of training and of test."""
    parts = parts_of(release)
    wrong = set()
    for part in ("train", "test"):
        wrong |= set([track for track in sorted(parts) if parts[track] == part][: 2 if part == "train" else 1])
    said = []
    for item in release.items.all():
        shares = dict.fromkeys(LABELS, 0.05)
        shares[LABELS[(LABELS.index(item.label) + 1) % 3] if item.track_id in wrong else item.label] = 0.9
        said.append(Said(item.track_id, parts[item.track_id], item.label, shares, why=[("tempo", 0.5)]))
    signals.write_signals(release, said, run=7, run_name="features #7")
    return release


def of_part(release, part: str):
    parts = parts_of(release)
    return next(item for item in disagreement.items_in_doubt(release) if parts[item.track_id] == part)


def test_the_most_doubted_come_first_and_those_dealt_with_leave(doubted, curator):
    rows = list(disagreement.items_in_doubt(doubted))
    assert len(rows) == 12 and [round(row.by_models, 2) for row in rows[:4]] == [0.95, 0.95, 0.95, 0.1]
    item = of_part(doubted, "train")
    reviews.review(item, action="keep", by=curator)
    assert item.track_id not in {row.track_id for row in disagreement.items_in_doubt(doubted)}
    assert len(disagreement.items_in_doubt(doubted, also_reviewed=True)) == 12
    assert disagreement.rounds_of_review(doubted) == {"keep": 1, "more": 0, "rule": 0, "exclude": 0}


def test_raters_who_disagree_among_themselves_are_an_order_of_their_own(doubted):
    first = disagreement.items_in_doubt(doubted, order="raters")[0]
    assert first.by_raters == pytest.approx(0.2)


def test_a_test_track_is_sent_back_or_kept_and_nothing_else(doubted, curator):
    item = of_part(doubted, "test")
    label = Label.objects.get(dataset=doubted.dataset, key="neutral")
    for action in ("rule", "exclude"):
        with pytest.raises(WrongState, match="is in the test part"):
            reviews.review(item, action=action, label=label, reason="the model is right", by=curator)
    assert Review.objects.count() == 0
    reviews.review(item, action="more", by=curator)
    row = Consensus.objects.get(track=item.track)
    assert row.state == "open" and row.target == 7


def test_who_has_seen_predictions_does_not_rule_on_the_test_tracks_of_that_release(doubted, curator, admin_person, rate):
    item = of_part(doubted, "test")
    questionnaires.ask_for_more(item.track, more=3)
    rate(item.track, {"positive": "sad sad sad", "neutral": "happy happy happy", "negative": "happy happy happy"}[item.label])
    row = Consensus.objects.get(track=item.track)
    assert row.state == "split"
    label = Label.objects.get(dataset=doubted.dataset, key="neutral")
    signals.note_sight(doubted, curator)
    with pytest.raises(WrongState, match="no longer be blind"):
        questionnaires.rule_on(row, label=label, reason="I hear it so", by=curator)
    questionnaires.rule_on(row, label=label, reason="I hear it so", by=admin_person)
    assert Consensus.objects.get(pk=row.pk).state == "ruled"


def test_opening_a_page_with_predictions_is_noted(doubted, client, curator):
    client.force_login(curator)
    assert not Sight.objects.filter(user=curator).exists()
    assert client.get(reverse("annotate:disagreement", args=[doubted.name])).status_code == 200
    assert Sight.objects.filter(user=curator, release=doubted).count() == 1


def test_an_empty_list_shows_nothing_and_notes_nothing(release, client, curator):
    client.force_login(curator)
    assert client.get(reverse("annotate:disagreement", args=[release.name])).status_code == 200
    assert client.get("/api/v1/doubts/", {"release": release.name}).json()["count"] == 0
    assert not Sight.objects.exists()
    assert client.get("/api/v1/doubts/", {"release": release.name, "order": "zz"}).status_code == 400


def test_a_track_of_no_release_is_not_ruled_on_by_who_saw_what_a_model_says_of_it(make_track, rate, curator, admin_person):
    track = make_track("New")
    rate(track, "happy happy sad sad calm")
    questionnaires.ask_for_more(track, more=1)
    rate(track, "calm")
    row, label = Consensus.objects.get(track=track), Label.objects.get(dataset=track.dataset, key="neutral")
    assert row.state == "split"
    signals.note_sight_of(track, curator)
    with pytest.raises(WrongState, match="would no longer be blind"):
        questionnaires.rule_on(row, label=label, reason="calm", by=curator)
    questionnaires.rule_on(row, label=label, reason="calm", by=admin_person)


def test_a_sight_of_a_track_is_remembered_when_a_release_tests_it(make_track, rate, questionnaire, release, curator, admin_person):
    track = make_track("New")
    rate(track, "happy happy happy sad sad")
    signals.note_sight_of(track, curator)
    parts = dict.fromkeys([*release.items.values_list("track", flat=True), track.pk], "train") | {track.pk: "test"}
    freezing.freeze(questionnaire, name="songs-v2", seed=1, parts=parts)
    questionnaires.ask_for_more(track, more=1)
    rate(track, "sad")
    row, label = Consensus.objects.get(track=track), Label.objects.get(dataset=track.dataset, key="negative")
    assert row.state == "split"
    with pytest.raises(WrongState, match="would no longer be blind"):
        questionnaires.rule_on(row, label=label, reason="sad", by=curator)
    questionnaires.rule_on(row, label=label, reason="sad", by=admin_person)
    with pytest.raises(WrongState, match="would no longer be blind"):
        questionnaires.rule_on(row, label=None, reason="", by=curator)


def test_who_has_seen_predictions_does_not_rate_what_they_are_about(doubted, questionnaire, curator, make_track):
    item = of_part(doubted, "test")
    known = make_track("Heard by a model")
    rater = raters.rater_of(curator)
    reviews.review(item, action="more", by=curator)
    offered = slots._candidates(questionnaire, rater, timezone.now())
    assert {item.track_id, known.pk} <= set(offered)
    slot = slots.reserve_next(questionnaire, rater)
    signals.note_sight(doubted, curator)
    signals.note_sight_of(known, curator)
    assert not {item.track_id, known.pk} & set(slots._candidates(questionnaire, rater, timezone.now()))
    given = ratings.submit_rating(slot, word_key="sad")
    assert given.not_counted == "saw" and Consensus.objects.get(track=slot.track_id).n_ratings in (0, 5)
    other = raters.rater_of(User.objects.create_user("blind"))
    assert {item.track_id, known.pk} <= set(slots._candidates(questionnaire, other, timezone.now()))


def test_a_ruling_over_raters_who_agree_holds_and_can_be_taken_back(doubted, curator, rate):
    item = of_part(doubted, "train")
    other = Label.objects.get(dataset=doubted.dataset, key="neutral" if item.label != "neutral" else "positive")
    reviews.review(item, action="rule", label=other, reason="a major key, and fast", by=curator)
    row = Consensus.objects.select_related("label", "questionnaire").get(track=item.track)
    assert (row.state, row.label.key) == ("ruled", other.key) and sum(row.votes.values()) == 5
    questionnaires.settle_anew(row.questionnaire)
    assert Consensus.objects.get(pk=row.pk).label == other
    questionnaires.rule_on(row, label=None, reason="", by=curator)
    row.refresh_from_db()
    assert (row.state, row.label.key) == ("agreed", item.label)


def test_ruling_and_leaving_out_need_a_reason_and_a_label(doubted, curator):
    item = of_part(doubted, "train")
    with pytest.raises(ValueRefused, match="Say why"):
        reviews.review(item, action="exclude", by=curator)
    with pytest.raises(ValueRefused, match="Choose a label"):
        reviews.review(item, action="rule", reason="so", by=curator)
    with pytest.raises(ValueRefused, match="Choose what to do"):
        reviews.review(item, action="delete", reason="so", by=curator)
    assert Review.objects.count() == 0 and not Event.objects.filter(subject="review").exists()


def test_each_action_leaves_an_event_with_its_actor(doubted, client, curator):
    client.force_login(curator)
    item = of_part(doubted, "train")
    address = reverse("annotate:review", args=[doubted.name, item.track_id])
    response = client.post(address, {"action": "exclude", "reason": "it has vocals"})
    assert response.status_code == 302 and f"/{item.track_id}/" not in response["Location"]
    event = Event.objects.get(subject="review")
    assert (event.actor, event.to_state, event.reason) == (curator, "exclude", "it has vocals")
    item.track.refresh_from_db()
    assert item.track.state == "excluded" and item.track.reason == "it has vocals"


def test_of_two_curators_who_decide_on_one_page_the_second_is_told(doubted, client, curator, admin_person):
    item = of_part(doubted, "train")
    client.force_login(curator)
    page = client.get(reverse("annotate:doubted", args=[doubted.name, item.track_id])).content.decode()
    assert 'name="seen" value="0"' in page
    reviews.review(item, action="keep", by=admin_person)
    values = {"action": "exclude", "reason": "it has vocals", "seen": "0"}
    told = client.post(reverse("annotate:review", args=[doubted.name, item.track_id]), values, follow=True).content.decode()
    assert f"{admin_person} has dealt with" in told
    item.track.refresh_from_db()
    assert item.track.state == "ready" and Review.objects.count() == 1
    client.post(reverse("annotate:review", args=[doubted.name, item.track_id]), values | {"seen": "1"})
    item.track.refresh_from_db()
    assert item.track.state == "excluded"


def test_the_screen_shows_votes_probabilities_and_reasons_and_a_guest_sees_no_buttons(doubted, client, curator):
    client.force_login(curator)
    item = of_part(doubted, "train")
    page = client.get(reverse("annotate:doubted", args=[doubted.name, item.track_id])).content.decode()
    assert "features #7" in page and "tempo" in page and "Send back to the raters" in page and "Rule so" in page
    test = client.get(reverse("annotate:doubted", args=[doubted.name, of_part(doubted, "test").track_id])).content.decode()
    assert "Rule so" not in test and "Send back to the raters" in test


def test_the_next_release_tells_what_the_round_changed(doubted, client, curator, rate, questionnaire):
    item = of_part(doubted, "train")
    reviews.review(item, action="more", by=curator)
    other = {"positive": "sad", "neutral": "happy", "negative": "happy"}[item.label]
    for _ in range(4):
        row = Consensus.objects.get(track=item.track)
        if row.state == "open":
            rate(item.track, other)
    again = freezing.freeze(questionnaire, name="songs-v2", seed=1)
    client.force_login(curator)
    page = client.get(reverse("annotate:review_round", args=[again.name])).content.decode()
    after = disagreement.after_review(doubted, again)
    assert after["reviewed"] == 1 and sum(after[name] for name in ("changed", "same", "left")) == 1
    assert "Prompted by models" in page and "Krippendorff" in page


def test_what_was_prompted_on_an_older_release_counts_in_the_round_in_which_it_was_done(doubted, curator, questionnaire):
    items = [item for item in disagreement.items_in_doubt(doubted) if parts_of(doubted)[item.track_id] == "train"]
    reviews.review(items[0], action="more", by=curator)  # still with the raters when the next one is frozen
    second = freezing.freeze(questionnaire, name="songs-v2", seed=1)
    label = Label.objects.get(dataset=doubted.dataset, key="neutral" if items[1].label != "neutral" else "positive")
    reviews.review(items[1], action="rule", label=label, reason="calm", by=curator)  # on the page of the first release
    third = freezing.freeze(questionnaire, name="songs-v3", seed=1)
    assert disagreement.prompted(doubted, second) == {items[0].track_id}
    assert disagreement.prompted(second, third) == {items[0].track_id, items[1].track_id}
    assert disagreement.rounds_of_review(second, until=third)["rule"] == 1
    fourth = freezing.freeze(questionnaire, name="songs-v4", seed=1)
    assert disagreement.prompted(third, fourth) == {items[0].track_id}, "it is with the raters still"


def test_an_old_release_points_to_the_newest(doubted, client, curator, questionnaire):
    freezing.freeze(questionnaire, name="songs-v2", seed=1)
    client.force_login(curator)
    page = client.get(reverse("annotate:disagreement", args=[doubted.name])).content.decode()
    assert "There is a newer release" in page and reverse("annotate:disagreement", args=["songs-v2"]) in page


def test_what_happens_after_the_freeze_does_not_change_what_the_round_tells(doubted, client, curator, questionnaire):
    items = [item for item in disagreement.items_in_doubt(doubted) if parts_of(doubted)[item.track_id] == "train"]
    reviews.review(items[0], action="more", by=curator)
    reviews.review(items[1], action="keep", by=curator)
    again = freezing.freeze(questionnaire, name="songs-v2", seed=1)
    told = disagreement.rounds_of_review(doubted, until=again), disagreement.after_review(doubted, again)
    assert told[0] == {"keep": 1, "more": 1, "rule": 0, "exclude": 0} and told[1]["reviewed"] == 1
    reviews.review(items[2], action="exclude", reason="vocals", by=curator)
    assert (disagreement.rounds_of_review(doubted, until=again), disagreement.after_review(doubted, again)) == told
    assert disagreement.prompted(doubted, again) == {items[0].track_id}, "a label that was kept was not prompted"


def test_the_api_too_tells_the_second_of_two_who_decide(doubted, client, curator, admin_person):
    item = of_part(doubted, "train")
    reviews.review(item, action="keep", by=admin_person)
    client.force_login(curator)
    asked = {"release": doubted.name, "track": item.track_id, "action": "exclude", "reason": "vocals"}
    assert client.post("/api/v1/doubts/", asked).status_code == 409
    assert client.post("/api/v1/doubts/", asked | {"seen": 1}).status_code == 201


def test_test_tracks_left_out_by_who_had_seen_predictions_are_told_apart(doubted, client, curator, admin_person, questionnaire):
    parts = parts_of(doubted)
    tested = [item for item in doubted.items.order_by("pk") if parts[item.track_id] == "test"]
    trained = next(item for item in doubted.items.all() if parts[item.track_id] == "train")
    tracks.exclude_track(tested[0].track, reason="Broken before anybody looked", by=curator)
    tracks.restore_track(tested[0].track, by=curator)
    signals.note_sight(doubted, curator)
    tracks.exclude_track(tested[0].track, reason="Vocals, I think", by=curator)
    tracks.exclude_track(trained.track, reason="Of training", by=curator)
    if len(tested) > 1:
        tracks.exclude_track(tested[1].track, reason="By who saw nothing", by=admin_person)
    again = freezing.freeze(questionnaire, name="songs-v2", seed=1)
    assert [(title, event.reason) for title, event in disagreement.left_out_after_sight(doubted, again)] == [
        (tested[0].title, "Vocals, I think")
    ]
    client.force_login(admin_person)
    page = client.get(reverse("annotate:review_round", args=[again.name])).content.decode()
    assert "left out by who had seen predictions" in page and "Vocals, I think" in page and "By who saw nothing" not in page
    tracks.restore_track(tested[0].track, by=curator)
    third = freezing.freeze(questionnaire, name="songs-v3", seed=1)
    assert not disagreement.left_out_after_sight(doubted, third), "it came back"


def test_signals_of_a_run_replace_its_earlier_ones(doubted):
    item = doubted.items.first()
    shares = {"positive": 0.2, "neutral": 0.3, "negative": 0.5}
    said = [Said(item.track_id, "test", item.label, shares, picture=b"png one")]
    signals.write_signals(doubted, said, run=7, run_name="features #7")
    signals.write_signals(doubted, [Said(item.track_id, "test", item.label, shares, picture=b"png two")], run=7, run_name="x")
    row = Signal.objects.get(track=item.track, run=7)
    assert row.predicted == "negative" and row.picture.read() == b"png two"
    assert Signal.objects.filter(run=7).count() == 12


def test_what_models_are_least_sure_of_is_rated_first_when_it_is_switched_on(make_track, questionnaire, release, curator):
    sure, unsure, unknown = make_track("Sure"), make_track("Unsure"), make_track("Unknown")
    questionnaire.queue_order = "uncertain"
    questionnaire.save()
    said = [
        Said(sure.pk, "", "", {"positive": 0.98, "neutral": 0.01, "negative": 0.01}),
        Said(unsure.pk, "", "", {"positive": 0.34, "neutral": 0.33, "negative": 0.33}),
    ]
    signals.write_signals(release, said, run=3, run_name="ensemble #3")
    place = {row.track_id: row.position for row in Consensus.objects.all()}
    assert place[unsure.pk] < place[sure.pk] < place[unknown.pk]
    questionnaire.queue_order = "shuffled"
    questionnaire.save()
    questionnaires.reorder(questionnaire)
    assert min(np.array([row.position for row in Consensus.objects.all()])) >= 1 << 30


def test_disputed_tracks_come_first_when_that_is_asked(make_track, questionnaire, rate, rater):
    from annotate.services import raters, slots

    clear, split = make_track("Clear"), make_track("Split")
    questionnaire.queue_order = "disputed"
    questionnaire.save()
    rate(clear, "happy happy happy")
    rate(split, "happy sad calm")
    slot = slots.reserve_next(questionnaire, raters.rater_of(rater))
    assert slot.track_id == split.pk


@pytest.mark.parametrize(
    "address", ["/releases/songs-v1/disagreement/", "/releases/songs-v1/disagreement/{track}/", "/api/v1/doubts/?release=songs-v1"]
)
def test_who_reads_what_models_say_of_doubtful_tracks_is_in_the_log_of_their_runs(doubted, client, curator, address):
    client.force_login(curator)
    for _twice in range(2):
        assert client.get(address.format(track=of_part(doubted, "test").track_id)).status_code == 200
    (event,) = Event.objects.filter(subject="run", to_state=signals.OPENED)
    assert (event.subject_id, event.actor) == (7, curator)
