"""Evidence of listening, by the server's own clock; answers; a submission that comes twice; taking the last one back."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from annotate.errors import AlreadyRated, AnswerRefused, NothingToUndo, TooFast
from annotate.models import Assignment, Consensus, Question, Questionnaire, Rating
from annotate.services import freezing, raters, ratings, slots
from annotate.services.ratings import Answer, Listening
from datasets.models import Event

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def slot(make_track, questionnaire, rater) -> Assignment:
    make_track(seconds=20), make_track(seconds=20)
    Questionnaire.objects.update(minimum_s=15)
    return fresh(slots.reserve_next(questionnaire, raters.rater_of(rater)))


def fresh(slot: Assignment) -> Assignment:
    return Assignment.objects.select_related("questionnaire", "track").get(pk=slot.pk)


def shown(slot: Assignment, seconds: float) -> Assignment:
    Assignment.objects.filter(pk=slot.pk).update(shown_at=timezone.now() - timedelta(seconds=seconds))
    return fresh(slot)


HEARD = Listening(heard_s=16.2, heard_share=0.81, replays=1, hidden_s=2)


def test_enough_listening_is_stored_with_the_rating(slot):
    rating = ratings.submit_rating(shown(slot, 17), word_key="happy", listening=HEARD)
    assert (rating.heard_s, rating.heard_share, rating.replays, rating.hidden_s) == (16.2, 0.81, 1, 2)
    assert rating.elapsed_s == pytest.approx(17, abs=0.5)


def test_too_little_time_by_the_server_s_clock_is_refused_whatever_the_page_says(slot):
    with pytest.raises(TooFast, match=r"(9|10) seconds are missing") as fact:
        ratings.submit_rating(shown(slot, 5), word_key="happy", listening=Listening(heard_s=400))
    assert fact.value.wait_s == pytest.approx(10, abs=0.5)
    assert not Rating.objects.exists() and fresh(slot).state == "open"


def test_too_little_heard_is_refused_however_long_the_page_was_open(slot):
    with pytest.raises(TooFast, match="13 seconds are missing"):
        ratings.submit_rating(shown(slot, 500), word_key="happy", listening=Listening(heard_s=2))


def test_the_clock_does_not_start_when_the_track_is_reserved(slot):
    Assignment.objects.update(created_at=timezone.now() - timedelta(hours=1))
    with pytest.raises(TooFast):
        ratings.submit_rating(fresh(slot), word_key="happy", listening=HEARD)
    assert fresh(slot).shown_at is not None  # it starts now, for a page that could not report it


def test_reporting_it_shown_again_does_not_move_the_clock(slot):
    slot = shown(slot, 30)
    before = slot.shown_at
    slots.report_shown(slot)
    assert fresh(slot).shown_at == before


def test_a_short_track_needs_to_be_heard_as_a_whole_only(make_track, questionnaire, rater):
    make_track(seconds=3)
    Questionnaire.objects.update(minimum_s=15)
    short = fresh(slots.reserve_next(questionnaire, raters.rater_of(rater)))
    assert ratings.submit_rating(shown(short, 3.2), word_key="sad", listening=Listening(heard_s=2.9)).pk


def test_impossible_claims_are_cut_to_what_the_clock_allows(slot):
    rating = ratings.submit_rating(shown(slot, 20), word_key="sad", listening=Listening(1e6, 7.0, -3, 1e6))
    assert rating.heard_s <= 42 and rating.heard_share == 1 and rating.replays == 0 and rating.hidden_s <= 21


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_counts_as_nothing_heard(slot, value):
    with pytest.raises(TooFast):
        ratings.submit_rating(shown(slot, 20), word_key="sad", listening=Listening(heard_s=value))


def test_the_same_submission_is_taken_once_and_another_is_refused(slot):
    key = uuid.uuid4()
    slot = shown(slot, 20)
    first = ratings.submit_rating(slot, word_key="happy", listening=HEARD, key=key)
    again = ratings.submit_rating(fresh(slot), word_key="happy", listening=HEARD, key=key)
    assert first.pk == again.pk and Rating.objects.count() == 1
    with pytest.raises(AlreadyRated):
        ratings.submit_rating(fresh(slot), word_key="sad", listening=HEARD, key=uuid.uuid4())


def test_the_last_rating_can_be_taken_back_and_changed(slot, questionnaire):
    key = uuid.uuid4()
    ratings.submit_rating(shown(slot, 20), word_key="happy", answer=Answer(confidence=2, known=True), listening=HEARD, key=key)
    rater = slot.rater
    following = slots.reserve_next(questionnaire, rater)
    slots.save_draft(following, {"word": "angry"})
    slots.reserve_ahead(questionnaire, rater)
    back = ratings.undo_last(questionnaire, rater)
    assert back.pk == slot.pk and back.draft["word"] == "happy" and back.draft["confidence"] == 2 and back.draft["known"] is True
    assert Consensus.objects.get(track=slot.track).n_ratings == 0 and not Rating.objects.exists()
    assert slots.reserve_next(questionnaire, rater).pk == slot.pk
    with pytest.raises(AlreadyRated):  # a copy of the old submission that was still under way
        ratings.submit_rating(fresh(slot), word_key="happy", listening=HEARD, key=key)
    assert ratings.submit_rating(fresh(slot), word_key="sad", listening=HEARD, key=uuid.uuid4()).word.key == "sad"
    after = slots.reserve_next(questionnaire, rater)
    assert after.pk == following.pk and after.draft == {"word": "angry"}
    assert Event.objects.filter(subject="assignment", from_state="rated", to_state="open").count() == 1


def test_a_rating_in_a_frozen_release_cannot_be_taken_back(make_track, rate, questionnaire, rater):
    track = make_track()
    rate(track, "happy happy happy happy")
    slot = fresh(slots.reserve_next(questionnaire, raters.rater_of(rater)))
    ratings.submit_rating(slot, word_key="happy")
    freezing.freeze(questionnaire, name="v1", seed=1)
    with pytest.raises(NothingToUndo, match="frozen release"):
        ratings.undo_last(questionnaire, raters.rater_of(rater))
    assert Consensus.objects.get(track=track).n_ratings == 5


def test_nothing_to_take_back(questionnaire, rater):
    with pytest.raises(NothingToUndo):
        ratings.undo_last(questionnaire, raters.rater_of(rater))


@pytest.fixture
def asked(questionnaire):
    Question.objects.create(questionnaire=questionnaire, key="like", kind="likert", text="I like it", required=True)
    Question.objects.create(
        questionnaire=questionnaire,
        key="where",
        kind="choice",
        text="Where are you?",
        options="home\nbus",
        options_indonesian="rumah\nbus",
    )
    Question.objects.create(questionnaire=questionnaire, key="note", kind="text", text="Anything else?")
    return questionnaire


def test_answers_to_the_admin_s_questions_are_stored(make_track, asked, rater):
    make_track()
    slot = fresh(slots.reserve_next(asked, raters.rater_of(rater)))
    given = {"like": "4", "where": "bus", "note": " lovely\0 ", "unknown": "x"}
    rating = ratings.submit_rating(slot, word_key="calm", answer=Answer(answers=given))
    assert rating.answers == {"like": "4", "where": "bus", "note": "lovely"}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(answers={}), "Please answer: I like it"),
        (Answer(answers={"like": "6"}), "“6” is no answer"),
        (Answer(answers={"like": "1", "where": "moon"}), "“moon” is no answer"),
        (Answer(answers={"like": "1"}, valence=3), "between -1 and 1"),
        (Answer(answers={"like": "1"}, confidence=9), "1, 2 or 3"),
    ],
)
def test_answers_that_are_none_are_refused_and_the_slot_stays(make_track, asked, rater, answer, message):
    make_track()
    slot = fresh(slots.reserve_next(asked, raters.rater_of(rater)))
    with pytest.raises(AnswerRefused, match=message):
        ratings.submit_rating(slot, word_key="calm", answer=answer)
    assert fresh(slot).state == "open" and not Rating.objects.exists()
