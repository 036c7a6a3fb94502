"""Signs of quality, setting raters aside with a preview, reinstating them, reports."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from annotate import selectors
from annotate.models import Consensus, Gold, Invite, Questionnaire, Rater, Rating
from annotate.services import raters, ratings, slots
from datasets.models import Event, Word
from tests.test_joining import text

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def person(name: str) -> Rater:
    return raters.rater_of(User.objects.create_user(name))


@pytest.fixture
def contrarian(make_track, rate, questionnaire) -> Rater:
    """Three tracks with four ratings each; the fifth rater decides two of them."""
    for words in ("happy happy calm calm", "sad sad sad sad", "calm calm sad sad"):
        rate(make_track(), words)
    rater = person("contra")
    for _ in range(3):
        ratings.submit_rating(slots.reserve_next(questionnaire, rater), word_key="happy")
    return rater


YESTERDAY = timezone.now() - timedelta(days=1)


def states() -> list[tuple[str, int]]:
    return [(row.label.key if row.label else row.state, row.n_ratings) for row in Consensus.objects.select_related("label")]


def test_setting_aside_is_shown_before_it_is_applied(contrarian, questionnaire, admin_person):
    assert states() == [("positive", 5), ("negative", 5), ("split", 5)]
    changes = raters.preview_set_aside(contrarian, YESTERDAY)
    assert [(change.before, change.after, change.n_after, change.flips) for change in changes] == [
        ("positive", "open", 4, True), ("negative", "open", 4, True), ("split", "open", 4, True),
    ]  # fmt: skip
    assert states() == [("positive", 5), ("negative", 5), ("split", 5)]
    assert raters.set_aside(contrarian, YESTERDAY, by=admin_person) == changes
    assert states() == [("open", 4)] * 3
    assert set(Rating.objects.filter(rater=contrarian).values_list("not_counted", flat=True)) == {"set aside"}
    assert Event.objects.filter(subject="rater", to_state="set aside", actor=admin_person).count() == 1
    assert Event.objects.filter(subject="consensus", to_state="open").count() == 3


def test_ratings_before_the_day_go_on_counting_and_no_more_tracks_are_given_out(
    contrarian, questionnaire, make_track, admin_person
):
    Rating.objects.filter(rater=contrarian, track__pk=Consensus.objects.first().track_id).update(
        rated_at=YESTERDAY - timedelta(days=5)
    )
    raters.set_aside(contrarian, YESTERDAY, by=admin_person)
    assert [n for _, n in states()] == [5, 4, 4]
    make_track()
    assert slots.reserve_next(questionnaire, Rater.objects.get(pk=contrarian.pk)) is None


def test_reinstating_counts_again_but_never_more_than_the_target(contrarian, questionnaire, admin_person):
    raters.set_aside(contrarian, YESTERDAY, by=admin_person)
    ratings.submit_rating(slots.reserve_next(questionnaire, person("other")), word_key="sad")
    full = Consensus.objects.get(n_ratings=5).track_id
    assert raters.reinstate(contrarian, by=admin_person) == 2
    assert [n for _, n in states()] == [5, 5, 5]
    assert Rating.objects.get(rater=contrarian, track=full).not_counted == "surplus"


def test_a_rating_that_is_set_aside_is_not_in_a_release(contrarian, questionnaire, admin_person, rate, make_track):
    from annotate.services import freezing

    rate(make_track(), "happy happy happy happy happy")
    raters.set_aside(contrarian, YESTERDAY, by=admin_person)
    release = freezing.freeze(questionnaire, name="v1", seed=1)
    assert release.items.count() == 1 and not release.ratings.filter(pseudonym=contrarian.pseudonym).exists()


def test_the_signs_of_one_rater(contrarian, questionnaire, make_track):
    Gold.objects.create(questionnaire=questionnaire, track=make_track("Gold"), word=Word.objects.get(key="sad"), use="check")
    (quality,) = selectors.quality_of(questionnaire, [contrarian])
    # With the others: 2 of 4, 0 of 4, 0 of 4. Against their majority: only the second track has one.
    assert (quality.n, quality.agreement, quality.agreement_n) == (3, pytest.approx(1 / 6), 3)
    assert quality.confusion_n == 1 and quality.confusion[2][0] == 1
    assert (quality.gold, quality.gold_n, quality.consistency_n, quality.longest_run) == (None, 0, 0, 3)


def test_fast_and_uniform_raters_are_flagged(make_track, questionnaire):
    for _ in range(12):
        make_track()
    quick = person("quick")
    while slot := slots.reserve_next(questionnaire, quick):
        ratings.submit_rating(slot, word_key="calm")
    Rating.objects.update(elapsed_s=16.0)
    Questionnaire.objects.update(minimum_s=15)
    questionnaire.refresh_from_db()
    rows = Rating.objects.all()
    rows.update(elapsed_s=2.5)  # tracks of one second: the shortest time is a second
    (quality,) = selectors.quality_of(questionnaire, [quick])
    assert quality.flags == ["too fast", "straight-lining"] and quality.pace.fast_share == 1
    rows.update(elapsed_s=40)
    (quality,) = selectors.quality_of(questionnaire, [quick])
    assert quality.flags == ["straight-lining"]


def test_the_pages_of_an_admin(client, admin_person, contrarian, questionnaire):
    client.force_login(admin_person)
    page = f"/questionnaires/{questionnaire.pk}/raters/"
    assert contrarian.pseudonym in text(client.get(page)) and "17%" in text(client.get(page))
    one = f"{page}{contrarian.pk}/"
    day = YESTERDAY.date().isoformat()
    preview = text(client.get(one, {"since": day}))
    assert "Set aside: 3 ratings stop counting" in preview and "5 → 4" in preview
    assert "3 ratings do not count any more" in text(client.post(f"{one}set-aside/", {"since": day}, follow=True))
    assert "3 ratings count again" in text(client.post(f"{one}reinstate/", follow=True))
    assert "Choose the day" in text(client.post(f"{one}set-aside/", {"since": "soon"}, follow=True))
    assert "erased" in text(client.post(f"{one}erase/", follow=True))
    assert not User.objects.filter(username="contra").exists() and Rating.objects.filter(rater=contrarian).count() == 3


def test_an_admin_makes_and_takes_back_invites(client, admin_person, questionnaire):
    client.force_login(admin_person)
    page = f"/questionnaires/{questionnaire.pk}/"
    made = client.post(f"{page}invites/", {"note": "friends", "max_uses": "", "days": "7"}, follow=True)
    invite = Invite.objects.get()
    assert "http://testserver/join/" in text(made) and invite.max_uses is None and invite.created_by == admin_person
    assert (invite.expires_at - timezone.now()).days in (6, 7)
    assert "taken back" in text(client.post(f"/invites/{invite.pk}/revoke/", follow=True))
    invite.refresh_from_db()
    assert invite.revoked_at and Event.objects.filter(subject="invite").count() == 2
    client.post(f"{page}invites/", {"max_uses": "0"}, follow=True)
    assert Invite.objects.count() == 1


def test_a_report_goes_to_the_curators_and_not_into_the_agreement(client, rater, curator, questionnaire, make_track):
    track = make_track("Odd one")
    client.force_login(rater)
    page = text(client.get("/rate/", follow=True))
    address = re.search(r'action="(/assignments/[\w-]+/)"', page).group(1) + "decline/"
    assert "Choose why" in text(client.post(address, {"reason": "ugly"}, follow=True))
    assert "Thank you" in text(client.post(address, {"reason": "not_music", "note": "a speech"}, follow=True))
    assert selectors.summarise(questionnaire).n_ratings == 0
    client.force_login(curator)
    page = text(client.get(f"/agreement/{questionnaire.pk}/"))
    assert "Odd one" in page and "This is not music" in page and "a speech" in page
    assert "a speech" in text(client.get(f"/tracks/{track.pk}/ratings/"))
    close = re.search(r'action="(/reports/\d+/close/)"', page).group(1)
    assert "a speech" not in text(client.post(close, follow=True))


def test_the_api_of_an_admin(admin_person, contrarian, questionnaire):
    from rest_framework.test import APIClient

    api = APIClient()
    api.force_authenticate(admin_person)
    rows = api.get("/api/v1/raters/", {"questionnaire": questionnaire.pk}).data["results"]
    mine = next(row for row in rows if row["pseudonym"] == contrarian.pseudonym)
    assert mine["n"] == 3 and mine["agreement_n"] == 3
    body = {"since": YESTERDAY.isoformat()}
    preview = api.post(f"/api/v1/raters/{contrarian.pk}/set_aside/", body).data
    assert [row["after"] for row in preview] == ["open"] * 3 and states()[0] == ("positive", 5)
    api.post(f"/api/v1/raters/{contrarian.pk}/set_aside/", body | {"apply": True})
    assert states() == [("open", 4)] * 3
    made = api.post("/api/v1/invites/", {"questionnaire": questionnaire.pk, "max_uses": 3})
    assert made.status_code == 201 and "/join/" in made.data["link"]
    assert api.post(f"/api/v1/invites/{made.data['id']}/revoke/").status_code == 204


def test_the_table_of_ratings_has_evidence_and_answers_and_is_spreadsheet_safe(client, admin_person, questionnaire, make_track):
    import csv
    import io

    from annotate.models import Question
    from annotate.services.ratings import Answer, Listening

    Question.objects.create(questionnaire=questionnaire, key="note", kind="text", text="Anything else?")
    make_track()
    rater = person("p")
    answer = Answer(confidence=2, known=True, answers={"note": "=HYPERLINK(1)"})
    ratings.submit_rating(slots.reserve_next(questionnaire, rater), word_key="sad", answer=answer, listening=Listening(heard_s=31))
    client.force_login(admin_person)
    response = client.get(f"/questionnaires/{questionnaire.pk}/ratings.csv")
    (row,) = csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode()))
    assert (row["rater"], row["word"], row["label"], row["confidence"], row["known"]) == (
        rater.pseudonym,
        "sad",
        "negative",
        "2",
        "True",
    )
    assert float(row["heard_s"]) == 31 and row["answer_note"] == "'=HYPERLINK(1)" and "p," not in row["rater"]
