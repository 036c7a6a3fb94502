"""Fifty raters at once on a real database, with lost leases, killed requests and double submits: every track gets exactly its target."""

import random
import threading
import time
import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from annotate.errors import AnnotateError
from annotate.models import Assignment, Consensus, Rating
from annotate.services import raters, ratings, slots

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]
N_RATERS = 50
N_TRACKS = 15


class Killed(Exception):
    """The process of a request dies in the middle of its work."""


def rate_like_people_do(number: int, questionnaire, rater, problems: list[str]) -> None:
    """Random delays; a lease that runs out; a request that dies before its commit; the same rating twice; a track in advance."""
    rng = random.Random(number)
    try:
        idle = 0
        while idle < 6:
            slot = slots.reserve_next(questionnaire, rater)
            if slot is None:
                idle += 1  # others may hold the last places and lose them
                time.sleep(0.05)
                continue
            idle = 0
            if rng.random() < 0.3:
                slots.reserve_ahead(questionnaire, rater)
            time.sleep(rng.random() * 0.01)
            if rng.random() < 0.2:  # gone for a while: the lease ends, and the rating comes late or never
                Assignment.objects.filter(pk=slot.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
                if rng.random() < 0.5:
                    continue
            slot = Assignment.objects.select_related("questionnaire", "track").get(pk=slot.pk)
            key, word = uuid.uuid4(), rng.choice(["happy", "calm", "sad"])
            if rng.random() < 0.2:
                try:
                    with transaction.atomic():
                        ratings.submit_rating(slot, word_key=word, key=key)
                        raise Killed
                except Killed:
                    slot = Assignment.objects.select_related("questionnaire", "track").get(pk=slot.pk)
            for _ in range(2 if rng.random() < 0.3 else 1):
                ratings.submit_rating(slot, word_key=word, key=key)
    except Exception as error:
        problems.append(repr(error))
    finally:
        connection.close()


def test_fifty_raters_fill_every_track_with_exactly_five(make_track, questionnaire):
    for _ in range(N_TRACKS):
        make_track()
    people = [raters.rater_of(User.objects.create_user(f"p{number}")) for number in range(N_RATERS)]
    problems: list[str] = []
    threads = [
        threading.Thread(target=rate_like_people_do, args=(number, questionnaire, people[number], problems))
        for number in range(N_RATERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    counted = Rating.objects.filter(not_counted="")
    assert list(Consensus.objects.values_list("n_ratings", flat=True)) == [5] * N_TRACKS
    assert all(counted.filter(track=row.track_id).count() == 5 for row in Consensus.objects.all())
    assert all(sum(row.votes.values()) == 5 and row.state != "open" for row in Consensus.objects.all())
    pairs = list(Rating.objects.values_list("track_id", "rater_id"))
    assert len(pairs) == len(set(pairs))
    assert set(Rating.objects.values_list("not_counted", flat=True)) <= {"", "surplus"}


def test_the_same_rating_sent_twice_at_once_is_taken_once_and_both_are_told_so(make_track, questionnaire):
    make_track()
    person = raters.rater_of(User.objects.create_user("p"))
    slot = slots.reserve_next(questionnaire, person)
    key, answers = uuid.uuid4(), []
    barrier = threading.Barrier(6)

    def send(mine: uuid.UUID) -> None:
        own = Assignment.objects.select_related("questionnaire", "track").get(pk=slot.pk)
        barrier.wait()
        try:
            answers.append(ratings.submit_rating(own, word_key="happy", key=mine).pk)
        except AnnotateError as fact:
            answers.append(str(fact))
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(key,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [Rating.objects.get().pk] * 6
