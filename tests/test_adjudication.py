"""Split tracks: further raters by rule, an early stop where all agree, and a curator's ruling beside the votes."""

import itertools

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from annotate.methods import consensus as rule
from annotate.models import Consensus, Questionnaire, Rating, Ruling
from annotate.services import consensus, freezing, questionnaires
from datasets.errors import ValueRefused, WrongState
from datasets.models import Event, Label, Track

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def state_of(track):
    row = Consensus.objects.get(track=track)
    return row.state, row.target, row.n_ratings


@pytest.fixture
def split(make_track, rate):
    track = make_track("Disputed")
    rate(track, "happy happy sad sad calm")
    return track


def test_a_split_track_gets_a_sixth_and_a_seventh_rater_once(make_track, rate, questionnaire):
    Questionnaire.objects.filter(pk=questionnaire.pk).update(ask_more_when_split=True)
    track, other = make_track("Disputed"), make_track("Clear")
    rate(track, "happy happy sad sad calm")
    rate(other, "happy happy happy sad calm")
    assert (state_of(track), state_of(other)) == (("open", 7, 5), ("agreed", 5, 5))
    rate_more(track, questionnaire, ["happy", "sad"])
    assert state_of(track) == ("split", 7, 7)


def rate_more(track, questionnaire, words):
    from annotate.models import Rater
    from datasets.models import Word

    for number, key in enumerate(words):
        word = Word.objects.get(key=key, label__dataset=questionnaire.dataset)
        person = Rater.objects.create(pseudonym=f"late-{number}-{key}")
        Rating.objects.create(
            questionnaire=questionnaire, track=track, rater=person, word=word, label=word.label, rated_at=track.created_at
        )
    consensus.update_consensus(consensus.lock(questionnaire.pk, track.pk))


def test_three_that_agree_are_enough_where_that_is_allowed_and_an_undone_one_is_asked_for_again(make_track, rate, questionnaire):
    Questionnaire.objects.filter(pk=questionnaire.pk).update(unanimous_at=3)
    track = make_track("Clear")
    rate(track, "happy happy happy")
    assert state_of(track) == ("agreed", 3, 3)
    Rating.objects.filter(track=track).last().delete()
    consensus.update_consensus(consensus.lock(questionnaire.pk, track.pk))
    assert state_of(track) == ("open", 5, 2)


def test_a_track_that_is_sent_back_does_not_stop_early(make_track, rate, questionnaire, curator):
    Questionnaire.objects.filter(pk=questionnaire.pk).update(unanimous_at=3)
    track = make_track("Clear")
    rate(track, "happy happy happy")
    questionnaires.ask_for_more(track, by=curator)
    assert state_of(track)[0] == "open" and state_of(track)[1] > 5


@given(st.integers(2, 9), st.integers(2, 4), st.floats(0, 0.99))
def test_an_early_stop_that_is_allowed_changes_no_outcome(usual, n_labels, threshold):
    for early in range(1, usual):
        asked = Questionnaire(raters_per_track=usual, threshold=threshold, unanimous_at=early)
        try:
            asked.clean()
        except ValidationError:
            continue
        assert rule.target_now({"a": early}, asked=0, usual=usual, threshold=threshold, unanimous_at=early) == early
        for rest in itertools.combinations_with_replacement("abcd"[:n_labels], usual - early):
            assert rule.settle(["a"] * early + list(rest), target=usual, threshold=threshold).label == "a"


def test_a_ruling_settles_a_split_track_beside_the_votes(split, questionnaire, curator):
    row = Consensus.objects.get(track=split)
    label = Label.objects.get(key="negative", dataset=questionnaire.dataset)
    with pytest.raises(ValueRefused, match="Say why"):
        questionnaires.rule_on(row, label=label, reason=" ", by=curator)
    questionnaires.rule_on(row, label=label, reason="A lament", by=curator)
    row.refresh_from_db()
    assert (row.state, row.label, row.votes) == ("ruled", label, {"negative": 2, "positive": 2, "neutral": 1})
    assert Track.objects.get(pk=split.pk).label == "negative"
    assert Event.objects.filter(subject="consensus", to_state="ruled", actor=curator, reason="negative: A lament").exists()
    release = freezing.freeze(questionnaire, name="v1", seed=1)
    item = release.items.get()
    assert (item.label, item.is_ruled, item.agreement) == ("negative", True, 0.4)
    questionnaires.rule_on(row, label=None, reason="", by=curator)
    row.refresh_from_db()
    assert (row.state, row.label) == ("split", None)
    assert Ruling.objects.count() == 2


def test_a_ruling_gives_way_to_raters_who_agree(split, questionnaire, curator):
    row = Consensus.objects.get(track=split)
    questionnaires.rule_on(row, label=Label.objects.get(key="neutral", dataset=questionnaire.dataset), reason="Calm", by=curator)
    questionnaires.ask_for_more(split, by=curator)
    assert state_of(split) == ("open", 7, 5)
    rate_more(split, questionnaire, ["happy", "pleased"])
    row.refresh_from_db()
    assert (row.state, row.label.key) == ("agreed", "positive")


def test_a_track_on_which_raters_agree_is_not_ruled_on(make_track, rate, questionnaire, curator):
    rate(make_track("Clear"), "happy happy happy happy sad")
    with pytest.raises(WrongState, match="not split"):
        questionnaires.rule_on(Consensus.objects.get(), label=Label.objects.first(), reason="I know better", by=curator)


def test_the_queue_shows_one_track_and_goes_on_to_the_next(client, curator, split, make_track, rate, questionnaire):
    other = make_track("Other dispute")
    rate(other, "happy happy sad sad calm")
    client.force_login(curator)
    address = f"/agreement/{questionnaire.pk}/adjudication/"
    page = client.get(address).content.decode()
    assert "2 tracks without agreement" in page and "Disputed" in page and f"?track={other.pk}" in page
    label = Label.objects.get(key="neutral", dataset=questionnaire.dataset)
    nothing = client.post(f"{address}{split.pk}/", {"action": "rule", "label": label.pk}, follow=True).content.decode()
    assert "say why" in nothing
    page = client.post(
        f"{address}{split.pk}/", {"action": "rule", "label": label.pk, "reason": "Calm"}, follow=True
    ).content.decode()
    assert "Other dispute" in page and "1 track without agreement" in page
    page = client.post(f"{address}{other.pk}/", {"action": "more"}, follow=True).content.decode()
    assert "No track waits for a ruling" in page
    client.post(f"{address}{split.pk}/", {"action": "back"})
    assert state_of(split)[0] == "split"
    assert client.get(f"{address}?track=999999999999").status_code == 200


def rated_by(questionnaire, words):
    """Five people hold a place on the one track; each answers in turn. Returns the slots and the people."""
    from django.contrib.auth.models import User

    from annotate.services import raters, ratings, slots

    people = [raters.rater_of(User.objects.create_user(f"p{number}")) for number in range(len(words))]
    held = [slots.reserve_next(questionnaire, person) for person in people]
    for slot, word in zip(held, words, strict=True):
        ratings.submit_rating(slot, word_key=word)
    return people


def settings_of(questionnaire, **values):
    Questionnaire.objects.filter(pk=questionnaire.pk).update(minimum_s=0, **values)
    return Questionnaire.objects.get(pk=questionnaire.pk)


def test_places_that_were_given_out_before_an_early_stop_count(make_track, questionnaire):
    from annotate.services import ratings, slots

    track = make_track("One")
    asked = settings_of(questionnaire, unanimous_at=3)
    people = rated_by(asked, ["happy", "happy", "happy", "happy", "sad"])
    assert state_of(track) == ("agreed", 5, 5)
    assert not Rating.objects.exclude(not_counted="").exists()
    slot = ratings.undo_last(asked, people[0])
    assert state_of(track) == ("open", 5, 4)
    ratings.submit_rating(slots.reserve_next(asked, people[0]), word_key="sad")
    assert slot and state_of(track) == ("agreed", 5, 5)


def test_a_threshold_that_three_can_no_longer_meet_opens_what_stopped_early(make_track, rate, questionnaire, curator):
    asked = settings_of(questionnaire, unanimous_at=3)
    track = make_track("Clear")
    rate(track, "happy happy happy")
    assert questionnaires.change_rule(asked, questionnaires.Rule(5, 5, 0.7), by=curator) == 1
    assert state_of(track) == ("open", 5, 3)


def test_the_split_rule_switched_on_later_reaches_tracks_that_are_split(split, questionnaire):
    asked = settings_of(questionnaire, ask_more_when_split=True)
    assert questionnaires.settle_anew(asked) == 1
    assert state_of(split) == ("open", 7, 5)


def test_seven_imported_votes_of_a_split_track_all_count(make_track, questionnaire):
    from annotate.services import ratings
    from datasets.models import Word

    track = make_track("Disputed")
    asked = settings_of(questionnaire, ask_more_when_split=True)
    words = {word.key: word for word in Word.objects.select_related("label")}
    keys = ["happy", "happy", "sad", "sad", "calm", "happy", "happy"]
    rows = [
        ratings.ImportedRating(track.pk, f"r{number}", words[key], words[key].label, None, None, None)
        for number, key in enumerate(keys)
    ]
    ratings.import_ratings(asked, rows)
    assert state_of(track) == ("agreed", 7, 7)


@pytest.mark.django_db(transaction=True)
def test_a_consensus_is_locked_inside_a_transaction_only_on_either_database(make_track, questionnaire):
    """SQLite has no row locks and would let it pass: a rating that came in between was lost from the count."""
    track = make_track("Piece")
    with pytest.raises(transaction.TransactionManagementError, match="inside a transaction"):
        consensus.lock(questionnaire.pk, track.pk)


@pytest.mark.django_db(transaction=True)
def test_settling_anew_makes_its_own_transaction(make_track, rate, questionnaire):
    track = make_track("Piece")
    with transaction.atomic():
        rate(track, "happy happy sad")
    Questionnaire.objects.filter(pk=questionnaire.pk).update(fewest_raters=3)
    questionnaire.refresh_from_db()
    assert questionnaires.settle_anew(questionnaire) == 1
    assert state_of(track)[0] == "agreed"
