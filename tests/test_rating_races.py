"""Many raters at once on a real database: no track gets more than five ratings, no rater rates twice."""

import random
import threading

import pytest
from django.contrib.auth.models import User
from django.db import connection

from annotate import services
from annotate.errors import AnnotateError
from annotate.models import Consensus, Rating

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]


def test_twelve_raters_in_parallel_fill_every_track_with_exactly_five(make_track, questionnaire):
    for _ in range(6):
        make_track()
    raters = [services.rater_of(User.objects.create_user(f"p{number}")) for number in range(12)]
    problems: list[str] = []

    def work(number: int) -> None:
        rng = random.Random(number)
        try:
            while slot := services.reserve_next(questionnaire, raters[number]):
                words = [rng.choice(["happy", "calm", "sad"])] * (2 if rng.random() < 0.3 else 1)
                for word in words:  # a double click sends the same rating twice
                    try:
                        services.submit_rating(slot, word_key=word)
                    except AnnotateError:
                        continue
        except Exception as error:
            problems.append(repr(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert list(Consensus.objects.values_list("n_ratings", flat=True)) == [5] * 6
    assert Rating.objects.count() == 30
    assert all(Rating.objects.filter(track=row.track_id).count() == 5 for row in Consensus.objects.all())
