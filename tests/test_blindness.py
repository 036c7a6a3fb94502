"""Raters are blind: nothing that a rater can open depends on what the others chose."""

import re

import pytest
from django.contrib.auth.models import User

from annotate.models import Rater
from annotate.services import raters, ratings, slots
from annotate.services.ratings import Answer
from tests.test_permissions import ANYONE, RATERS, ROUTES

pytestmark = pytest.mark.django_db

CHANGING = re.compile(r'name="csrfmiddlewaretoken" value="\w+"|/return/[^"]+|"expires_at":\s?"[^"]*"|"shown_at":\s?"[^"]*"')


@pytest.fixture
def tracks(make_track):
    return [make_track(f"Secret {number}", artist=f"Hidden {number}") for number in range(4)]


def everything(client, questionnaire, slot) -> dict[str, tuple[int, str]]:
    """Every page and endpoint that the rater may open, with its answer."""
    seen = {}
    for name in sorted(ANYONE | RATERS):
        address = re.sub(r"/rate/1/", f"/rate/{questionnaire.pk}/", ROUTES[name])
        address = re.sub(r"/questionnaires/1/", f"/questionnaires/{questionnaire.pk}/", address)
        address = re.sub(r"6f1c2b0e-0000-4000-8000-000000000001", str(slot.key), address)
        if name in ("logout", "schema"):
            continue
        response = client.get(address, follow=True)
        body = b"".join(response.streaming_content) if response.streaming else response.content
        seen[name] = (
            response.status_code,
            CHANGING.sub("", body.decode("latin-1"))
            + str(sorted(item for item in response.headers.items() if item[0] not in ("Expires", "X-Request-ID"))),
        )
    return seen


def test_no_answer_to_a_rater_changes_with_the_ratings_of_others(client, rater, questionnaire, tracks):
    mine = raters.rater_of(rater)
    ratings.submit_rating(slots.reserve_next(questionnaire, mine), word_key="happy")
    slot = slots.reserve_next(questionnaire, mine)
    client.force_login(rater)
    everything(client, questionnaire, slot)  # counts that are kept in memory are there from now on
    before = everything(client, questionnaire, slot)
    for number, word in enumerate(("sad", "sad", "calm")):
        other = raters.rater_of(User.objects.create_user(f"other{number}"))
        while theirs := slots.reserve_next(questionnaire, other):
            ratings.submit_rating(theirs, word_key=word, answer=Answer(known=True, vocals=True))
    after = everything(client, questionnaire, slot)
    assert before == after


def test_nothing_names_the_track_its_artist_or_another_rater(client, rater, questionnaire, tracks):
    other = raters.rater_of(User.objects.create_user("other"))
    ratings.submit_rating(slots.reserve_next(questionnaire, other), word_key="angry")
    client.force_login(rater)
    slot = slots.reserve_next(questionnaire, raters.rater_of(rater))
    for name, (_status, answer) in everything(client, questionnaire, slot).items():
        assert "Secret" not in answer and "Hidden" not in answer, name
        assert other.pseudonym not in answer, name


def test_the_title_shows_only_where_an_admin_wants_it(client, rater, questionnaire, tracks):
    from annotate.models import Questionnaire

    Questionnaire.objects.update(show_title=True)
    client.force_login(rater)
    assert "Secret" in client.get("/rate/", follow=True).content.decode()


def test_the_sound_carries_neither_name_nor_tags(client, rater, questionnaire, tracks):
    client.force_login(rater)
    slot = slots.reserve_next(questionnaire, raters.rater_of(rater))
    answer = client.get(f"/assignments/{slot.key}/audio/")
    body = b"".join(answer.streaming_content)
    assert (
        b"Secret" not in body and "Secret" not in str(answer.headers) and str(slot.track_id) not in answer.headers.get("ETag", "")
    )


def test_own_names_of_slots_do_not_count_anything(client, rater, questionnaire, tracks):
    """Numbers that grow with every rating in the studio would tell how much the others rate."""
    client.force_login(rater)
    slot = client.post("/api/v1/assignments/", {"questionnaire": questionnaire.pk}).json()
    assert re.fullmatch(r"[0-9a-f-]{36}", slot["id"])
    made = client.post("/api/v1/ratings/", {"assignment": slot["id"], "word": "calm"}).json()
    assert "id" not in made and made["assignment"] == slot["id"]
    assert Rater.objects.count() == 1
