"""The services under the rating page: slots, the rule, one rating a rater and track."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotate.errors import AlreadyRated, UnknownWord
from annotate.models import Assignment, Consensus, Rating
from annotate.services import raters, ratings, slots
from datasets.models import Event, Track

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def people(n: int, name: str = "p"):
    return [raters.rater_of(User.objects.create_user(f"{name}{number}")) for number in range(n)]


def test_five_ratings_of_which_three_are_the_same_settle_the_label(make_track, questionnaire):
    track = make_track()
    for person, word in zip(people(5), ("happy", "excited", "pleased", "calm", "sad"), strict=True):
        ratings.submit_rating(slots.reserve_next(questionnaire, person), word_key=word)
    row = Consensus.objects.get(track=track)
    assert (row.state, row.label.key, row.agreement, row.n_ratings) == ("agreed", "positive", 0.6, 5)
    assert row.votes == {"positive": 3, "negative": 1, "neutral": 1}
    assert Event.objects.filter(subject="consensus", subject_id=row.pk, to_state="agreed").count() == 1


def test_two_two_one_settles_nothing(make_track, questionnaire):
    track = make_track()
    for person, word in zip(people(5), ("happy", "excited", "calm", "bored", "sad"), strict=True):
        ratings.submit_rating(slots.reserve_next(questionnaire, person), word_key=word)
    row = Consensus.objects.get(track=track)
    assert (row.state, row.label, row.agreement) == ("split", None, 0.4)


def test_a_sixth_rater_gets_no_slot(make_track, questionnaire):
    make_track()
    *five, sixth = people(6)
    for person in five:
        ratings.submit_rating(slots.reserve_next(questionnaire, person), word_key="happy")
    assert slots.reserve_next(questionnaire, sixth) is None


def test_open_slots_count_against_the_five(make_track, questionnaire):
    make_track()
    *five, sixth = people(6)
    for person in five:
        assert slots.reserve_next(questionnaire, person)
    assert slots.reserve_next(questionnaire, sixth) is None


def test_asking_again_gives_the_same_slot(make_track, questionnaire):
    make_track(), make_track()
    (person,) = people(1)
    assert slots.reserve_next(questionnaire, person) == slots.reserve_next(questionnaire, person)


def test_an_expired_slot_returns_by_itself(make_track, questionnaire):
    make_track()
    *five, sixth = people(6)
    held = [slots.reserve_next(questionnaire, person) for person in five]
    Assignment.objects.filter(pk=held[0].pk).update(expires_at=timezone.now() - timedelta(minutes=1))
    assert slots.reserve_next(questionnaire, sixth)


def test_a_late_rating_counts_while_the_track_has_room_and_not_afterwards(make_track, questionnaire):
    track = make_track()
    late, *others = people(6)
    slot = slots.reserve_next(questionnaire, late)
    Assignment.objects.filter(pk=slot.pk).update(expires_at=timezone.now() - timedelta(minutes=1))
    for person in others:
        ratings.submit_rating(slots.reserve_next(questionnaire, person), word_key="sad")
    late_one = ratings.submit_rating(slot, word_key="happy")
    assert late_one.not_counted == "surplus"
    row = Consensus.objects.get(track=track)
    assert (row.n_ratings, row.votes) == (5, {"negative": 5})


def test_a_word_outside_the_questionnaire_is_refused_and_the_slot_stays(make_track, questionnaire):
    make_track()
    (person,) = people(1)
    slot = slots.reserve_next(questionnaire, person)
    with pytest.raises(UnknownWord, match=r"“gleeful” is not a word .* excited, happy"):
        ratings.submit_rating(slot, word_key="gleeful")
    assert ratings.submit_rating(slot, word_key="happy").word.key == "happy"


def test_a_second_rating_is_refused_and_the_first_counts(make_track, questionnaire):
    make_track()
    (person,) = people(1)
    slot = slots.reserve_next(questionnaire, person)
    ratings.submit_rating(slot, word_key="happy")
    with pytest.raises(AlreadyRated):
        ratings.submit_rating(slot, word_key="sad")
    assert Rating.objects.get().word.key == "happy"


def test_the_database_itself_refuses_a_second_rating(make_track, questionnaire):
    make_track()
    (person,) = people(1)
    rating = ratings.submit_rating(slots.reserve_next(questionnaire, person), word_key="happy")
    rating.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        rating.save()


def test_nobody_meets_a_track_twice(make_track, questionnaire):
    first, second = make_track(), make_track()
    (person,) = people(1)
    met = []
    while slot := slots.reserve_next(questionnaire, person):
        met.append(slot.track_id)
        ratings.submit_rating(slot, word_key="calm")
    assert sorted(met) == [first.pk, second.pk]


def test_a_track_near_its_end_comes_first(make_track, questionnaire, rate):
    make_track(), make_track()
    almost = make_track()
    rate(almost, "happy happy happy happy")
    (person,) = people(1)
    assert slots.reserve_next(questionnaire, person).track == almost


def test_a_rating_of_a_track_that_was_taken_out_or_of_a_closed_questionnaire_is_kept_and_does_not_count(make_track, questionnaire):
    track = make_track()
    (person,) = people(1)
    slot = slots.reserve_next(questionnaire, person)
    Track.objects.filter(pk=track.pk).update(state="excluded")
    assert ratings.submit_rating(slot, word_key="happy").not_counted == "taken out"
    assert slots.reserve_next(questionnaire, person) is None
    Track.objects.filter(pk=track.pk).update(state="ready")
    (other,) = people(1, "other")
    slot = slots.reserve_next(questionnaire, other)
    questionnaire.is_open = False
    questionnaire.save()
    assert ratings.submit_rating(slot, word_key="happy").not_counted == "closed"
    assert Consensus.objects.get().n_ratings == 0 and Rating.objects.count() == 2


def test_a_closed_questionnaire_gives_no_slots_and_excluded_tracks_are_not_rated(make_track, questionnaire):
    track = make_track()
    Track.objects.filter(pk=track.pk).update(state="excluded")
    (person,) = people(1)
    assert slots.reserve_next(questionnaire, person) is None
    Track.objects.filter(pk=track.pk).update(state="ready")
    questionnaire.is_open = False
    questionnaire.save()
    assert slots.reserve_next(questionnaire, person) is None
