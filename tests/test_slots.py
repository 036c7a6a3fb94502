"""Slots with a lease: kept by the page, returned by themselves, reserved ahead, never too many."""

from datetime import timedelta
from itertools import pairwise

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotate import selectors
from annotate.errors import AlreadyRated, SlotGone
from annotate.models import Assignment, Consensus, Gold, Kind, Questionnaire, Rating
from annotate.services import raters, ratings, slots
from datasets.models import Event, Word

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def people(n: int, name: str = "p"):
    return [raters.rater_of(User.objects.create_user(f"{name}{number}")) for number in range(n)]


def run_out(slot: Assignment) -> None:
    Assignment.objects.filter(pk=slot.pk).update(expires_at=timezone.now() - timedelta(minutes=1))


def settings_of(questionnaire, **values) -> Questionnaire:
    Questionnaire.objects.filter(pk=questionnaire.pk).update(**values)
    return Questionnaire.objects.get(pk=questionnaire.pk)


def test_a_track_reserved_ahead_is_the_next_one_and_its_clock_starts_when_it_is_shown(make_track, questionnaire):
    make_track(), make_track()
    (person,) = people(1)
    first = slots.reserve_next(questionnaire, person)
    ahead = slots.reserve_ahead(questionnaire, person)
    assert ahead.track_id != first.track_id and ahead.shown_at is None
    assert slots.reserve_ahead(questionnaire, person) == ahead
    ratings.submit_rating(first, word_key="happy")
    then = slots.reserve_next(questionnaire, person)
    assert (then.pk, then.state, then.shown_at) == (ahead.pk, "open", None)


def test_a_slot_reserved_ahead_holds_its_place(make_track, questionnaire):
    make_track(), make_track()
    *four, person, late = people(6)
    slots.reserve_next(questionnaire, person), slots.reserve_ahead(questionnaire, person)
    for one in four:
        for _ in range(2):
            ratings.submit_rating(slots.reserve_next(questionnaire, one), word_key="sad")
    assert slots.reserve_next(questionnaire, late) is None


def test_a_lease_that_ran_out_is_renewed_while_there_is_room(make_track, questionnaire):
    make_track()
    (person,) = people(1)
    slot = slots.reserve_next(questionnaire, person)
    slots.save_draft(slot, {"word": "calm"})
    run_out(slot)
    again = slots.reserve_next(questionnaire, person)
    assert again.pk == slot.pk and again.draft == {"word": "calm"} and again.expires_at > timezone.now()


def test_a_lease_that_ran_out_and_was_given_away_is_not_renewed_and_its_late_rating_is_surplus(make_track, questionnaire):
    track = make_track()
    late, *others = people(6)
    slot = slots.reserve_next(questionnaire, late)
    run_out(slot)
    taken = [slots.reserve_next(questionnaire, person) for person in others]
    assert all(taken) and slots.reserve_next(questionnaire, late) is None
    kept = ratings.submit_rating(slot, word_key="angry")
    assert kept.not_counted == "surplus" and Consensus.objects.get().n_ratings == 0
    for one in taken:  # whoever holds a live lease counts
        assert ratings.submit_rating(one, word_key="happy").not_counted == ""
    row = Consensus.objects.get(track=track)
    assert (row.n_ratings, row.votes) == (5, {"positive": 5})


def test_a_draft_keeps_the_lease_alive_and_a_used_slot_takes_none(make_track, questionnaire):
    make_track()
    (person,) = people(1)
    slot = slots.reserve_next(questionnaire, person)
    Assignment.objects.filter(pk=slot.pk).update(expires_at=timezone.now() + timedelta(seconds=5))
    slots.save_draft(slot, {"word": "sad"})
    slot.refresh_from_db()
    assert slot.expires_at > timezone.now() + timedelta(minutes=29)
    ratings.submit_rating(slot, word_key="sad")
    with pytest.raises(SlotGone):
        slots.save_draft(slot, {"word": "happy"})


def test_a_declined_track_does_not_come_back_to_the_rater_and_is_free_for_others(make_track, questionnaire, curator):
    track = make_track()
    person, other = people(2)
    slot = slots.reserve_next(questionnaire, person)
    slots.decline(slot, reason="silent", note="nothing to hear")
    assert slots.reserve_next(questionnaire, person) is None
    assert slots.reserve_next(questionnaire, other).track == track
    assert not Rating.objects.exists() and Consensus.objects.get().n_ratings == 0
    slot.refresh_from_db()
    assert (slot.state, slot.reason, slot.note, slot.seen_at) == ("declined", "silent", "nothing to hear", None)
    slots.close_report(slot, by=curator)
    slot.refresh_from_db()
    assert slot.seen_at and Event.objects.filter(subject="assignment", to_state="seen", actor=curator).count() == 1
    with pytest.raises(SlotGone):
        ratings.submit_rating(slot, word_key="sad")


def test_a_rated_track_cannot_be_declined(make_track, questionnaire):
    make_track()
    (person,) = people(1)
    slot = slots.reserve_next(questionnaire, person)
    ratings.submit_rating(slot, word_key="sad")
    with pytest.raises(AlreadyRated):
        slots.decline(slot, reason="broken")


def test_two_tracks_of_one_artist_do_not_follow_each_other_where_possible(make_track, questionnaire):
    for number in range(6):
        make_track(f"T{number}", artist=f"Artist {number % 2}")
    (person,) = people(1)
    artists = []
    while slot := slots.reserve_next(questionnaire, person):
        artists.append(slot.track.artist)
        ratings.submit_rating(slot, word_key="calm")
    assert len(artists) == 6
    assert all(one != two for one, two in pairwise(artists))


def test_raters_meet_untouched_tracks_in_different_orders_and_the_same_seed_gives_the_same(make_track, questionnaire):
    for _ in range(8):
        make_track()
    first = [slots._candidates(questionnaire, person, timezone.now()) for person in people(4)]
    assert all(sorted(order) == sorted(first[0]) for order in first) and len({tuple(order) for order in first}) > 1
    again = [slots._candidates(questionnaire, person, timezone.now()) for person in raters.Rater.objects.order_by("pk")]
    assert first == again


def test_a_quota_ends_the_work(make_track, questionnaire):
    for _ in range(3):
        make_track()
    questionnaire = settings_of(questionnaire, tracks_per_rater=2)
    (person,) = people(1)
    for _ in range(2):
        ratings.submit_rating(slots.reserve_next(questionnaire, person), word_key="calm")
    assert slots.reserve_next(questionnaire, person) is None


def test_gold_tracks_come_at_their_turn_once_and_never_count(make_track, questionnaire):
    for _ in range(5):
        make_track()
    gold = make_track("Gold")
    Gold.objects.create(questionnaire=questionnaire, track=gold, word=Word.objects.get(key="happy"), use="check")
    questionnaire = settings_of(questionnaire, gold_every=3)
    (person,) = people(1)
    kinds = []
    while slot := slots.reserve_next(questionnaire, person):
        kinds.append(slot.kind)
        ratings.submit_rating(slot, word_key="happy")
    assert kinds == ["regular", "regular", "gold", "regular", "regular", "regular"]
    assert Consensus.objects.get(track=gold).n_ratings == 0
    assert Rating.objects.get(track=gold).kind == Kind.GOLD


def test_a_repeated_track_is_an_older_one_comes_once_and_does_not_count(make_track, questionnaire):
    for _ in range(8):
        make_track()
    questionnaire = settings_of(questionnaire, repeat_every=8)
    (person,) = people(1)
    met = []
    while slot := slots.reserve_next(questionnaire, person):
        met.append((slot.kind, slot.track_id))
        ratings.submit_rating(slot, word_key="happy")
    assert [kind for kind, _ in met] == ["regular"] * 7 + ["repeat", "regular"]
    assert met[7][1] in [track for _, track in met[:2]]
    assert set(Consensus.objects.values_list("n_ratings", flat=True)) == {1}


def test_a_target_that_a_curator_raised_is_filled(make_track, questionnaire):
    track = make_track()
    Consensus.objects.filter(track=track).update(target=7, asked=7)
    for person in people(8):
        if slot := slots.reserve_next(questionnaire, person):
            ratings.submit_rating(slot, word_key="happy")
    assert Consensus.objects.get().n_ratings == 7 == Rating.objects.count()


def test_the_number_of_queries_does_not_grow_with_the_tracks(make_track, questionnaire, dataset, monkeypatch):
    monkeypatch.setattr(selectors, "_minute", lambda: 0)  # what is kept in memory is read anew when a minute is over

    def queries(person) -> tuple[int, int]:
        with CaptureQueriesContext(connection) as reserving:
            slot = slots.reserve_next(questionnaire, person)
        slot = Assignment.objects.select_related("questionnaire", "track").get(pk=slot.pk)
        with CaptureQueriesContext(connection) as sending:
            ratings.submit_rating(slot, word_key="happy")
        return len(reserving), len(sending)

    make_track()
    warm, few, many = people(3)
    queries(warm)  # what is asked stays in memory from here on
    with_one = queries(few)
    for _ in range(12):
        make_track()
    for other in people(3, "busy"):
        slots.reserve_next(questionnaire, other)
    assert queries(many) == with_one
