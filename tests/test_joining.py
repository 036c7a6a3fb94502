"""Invite, consent, the steps to the first track, the way back, one's own data."""

import json
import re
from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.utils import timezone

from annotate.errors import NotInvited
from annotate.models import Gold, Invite, Participation, Question, Questionnaire, Rater, Rating
from annotate.services import raters, ratings, slots
from datasets import access
from datasets.models import Event, Word

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def text(response) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


@pytest.fixture
def invite(questionnaire) -> Invite:
    Questionnaire.objects.filter(pk=questionnaire.pk).update(with_consent=True)
    return raters.create_invite(questionnaire, note="class of 2026", max_uses=2)


def link(invite: Invite) -> str:
    return f"/join/{raters.invite_token(invite)}/"


def test_an_invite_makes_a_rater_who_agrees_and_leads_to_the_first_track(client, invite, make_track):
    make_track("Secret")
    page = text(client.get(link(invite)))
    assert "pseudonym" in page and "class of 2026" not in page and not User.objects.exists()
    page = client.post(link(invite), {"agree": "1"}, follow=True)
    assert "1 of 1" in text(page)
    rater = Rater.objects.get()
    assert rater.by_invite and not rater.user.has_usable_password()
    mine = Participation.objects.get()
    assert mine.invite == invite and "at" in mine.steps["consent"]
    invite.refresh_from_db()
    assert invite.uses == 1


def test_without_consent_nothing_is_kept(client, invite):
    page = client.post(link(invite), follow=True)
    assert "Tick the box" in text(page)
    assert not User.objects.exists() and not Rater.objects.exists() and Invite.objects.get().uses == 0


def test_an_invite_is_used_as_often_as_it_allows_and_coming_again_uses_nothing_up(client, invite):
    from django.test import Client

    for _ in range(2):
        one = Client()
        for _ in range(2):
            assert one.post(link(invite), {"agree": "1"}).status_code == 302
    refused = client.post(link(invite), {"agree": "1"})
    assert refused.status_code == 410 and "as many people" in text(refused) and User.objects.count() == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"revoked_at": timezone.now()}, "taken back"),
        ({"expires_at": timezone.now() - timedelta(seconds=1)}, "has expired"),
    ],
)
def test_an_invite_that_ended_says_why(client, invite, values, message):
    Invite.objects.update(**values)
    for response in (client.get(link(invite)), client.post(link(invite), {"agree": "1"})):
        assert response.status_code == 410 and message in text(response)
    assert not User.objects.exists()


@pytest.mark.parametrize("token", ["x", "1", "a:b:c", "%00", "x" * 500])
def test_a_link_that_is_none_says_so(client, token):
    for address in (f"/join/{token}/", f"/return/{token}/"):
        assert client.get(address).status_code == 410


def test_an_invited_rater_reaches_no_other_questionnaire(client, invite, rater):
    from datasets.services.tracks import create_dataset

    other = Questionnaire.objects.create(dataset=create_dataset(name="Other"), name="Other")
    client.post(link(invite), {"agree": "1"})
    assert client.get(f"/rate/{other.pk}/").status_code == 404
    assert client.post("/api/v1/assignments/", {"questionnaire": other.pk}).status_code == 404
    assert [row["name"] for row in client.get("/api/v1/questionnaires/").json()["results"]] == [str(invite.questionnaire)]
    assert "Other" not in text(client.get("/me/"))
    client.force_login(rater)  # an account that an admin made may take part anywhere
    assert client.get(f"/rate/{other.pk}/").status_code == 302


def test_each_step_is_asked_once_and_in_order_and_only_if_it_is_switched_on(client, rater, questionnaire, make_track):
    track = make_track("Known piece")
    Gold.objects.create(
        questionnaire=questionnaire, track=track, word=Word.objects.get(key="calm"), use="practice", why="Slow, major."
    )
    example = make_track("Example piece")
    Gold.objects.create(questionnaire=questionnaire, track=example, word=Word.objects.get(key="angry"), use="example")
    make_track("To rate")
    steps = ("consent", "background", "sound_check", "guidelines", "practice")
    Questionnaire.objects.update(**{f"with_{step}": True for step in steps}, with_headphone_check=True)
    client.force_login(rater)
    at = f"/rate/{questionnaire.pk}/"
    assert client.get(at)["Location"] == f"{at}consent/"
    client.post(f"{at}consent/", {})
    assert client.get(at)["Location"] == f"{at}consent/"
    client.post(f"{at}consent/", {"agree": "1"})
    assert client.get(at)["Location"] == f"{at}background/"
    client.post(f"{at}background/", {"age": "25-34", "training": "", "languages": "Indonesian"})
    assert client.get(at)["Location"] == f"{at}sound/"
    client.post(f"{at}sound/", {"right": "5"})
    page = client.get(at, follow=True)
    assert "Angry" in text(page) and "Example piece" not in text(page)
    assert client.get(re.search(r'src="([^"]+audio/)"', text(page)).group(1)).status_code == 200
    client.post(f"{at}guidelines/")
    page = client.get(at, follow=True)
    assert page.redirect_chain[-1][0] == f"{at}practice/" and "Known piece" not in text(page)
    page = client.post(f"{at}practice/", {"word": "sad"})
    assert "You chose “Sad”; for this piece we would say “Calm”" in text(page) and "Slow, major." in text(page)
    assert "1 of 1" in text(client.get(f"{at}practice/?piece=2", follow=True))
    mine = Participation.objects.get()
    assert set(mine.steps) == {"consent", "background", "sound", "guidelines", "practice"}
    assert mine.steps["sound"]["headphones"] == "5 of 6" and not Rating.objects.exists()
    assert mine.rater.background == {"age": "25-34", "languages": "Indonesian"}
    assert client.get(at).status_code == 200


def test_a_hidden_check_is_not_to_be_heard_as_a_gold_track(client, rater, questionnaire, make_track):
    gold = Gold.objects.create(questionnaire=questionnaire, track=make_track(), word=Word.objects.get(key="calm"), use="check")
    client.force_login(rater)
    assert client.get(f"/rate/{questionnaire.pk}/gold/{gold.pk}/audio/").status_code == 404


def test_the_return_link_leads_back_on_another_device_until_a_new_one_is_made(client, invite, make_track):
    from django.test import Client

    make_track(), make_track()
    client.post(link(invite), {"agree": "1"})
    address = re.search(r'value="http://testserver(/return/[^"]+)"', text(client.get("/me/"))).group(1)
    phone = Client()
    assert "Go on as" in text(phone.get(address)) and "_auth_user_id" not in phone.session
    assert phone.post(address).status_code == 302 and phone.session["_auth_user_id"] == client.session["_auth_user_id"]
    client.post("/me/link/")
    assert Client().get(address).status_code == 410 and Client().post(address).status_code == 410


def test_a_completion_record_can_be_checked_and_not_be_forged(client, rater, admin_person, questionnaire, make_track):
    make_track()
    mine = raters.rater_of(rater)
    slot = slots.reserve_next(questionnaire, mine)
    ratings.submit_rating(slot, word_key="happy")
    client.force_login(rater)
    code = re.search(r'class="code">([^<]+)<', text(client.get(f"/rate/{questionnaire.pk}/record/"))).group(1)
    assert code.startswith(f"{mine.pseudonym}-1-")
    client.force_login(admin_person)
    page = f"/questionnaires/{questionnaire.pk}/raters/"
    assert f"{mine.pseudonym} rated 1 pieces" in text(client.get(page, {"code": code}))
    for forged in (code.replace("-1-", "-900-"), "R-1-2", "x", code[:-1] + "0" if code[-1] != "0" else code[:-1] + "1", "\0"):
        assert "has not made that code" in text(client.get(page, {"code": forged}))


@pytest.fixture
def told(client, invite, make_track):
    """A rater by invite who has rated and told of himself."""
    make_track()
    Question.objects.create(questionnaire=invite.questionnaire, key="note", kind="text", text="Anything else?")
    client.post(link(invite), {"agree": "1"})
    person = Rater.objects.get()
    raters.save_background(person, {"age": "18-24", "languages": "Sundanese"})
    slot = slots.reserve_next(invite.questionnaire, person)
    ratings.submit_rating(slot, word_key="sad", answer=ratings.Answer(answers={"note": "I am Budi"}))
    return person


def test_a_rater_can_download_all_that_is_kept(client, told):
    data = json.loads(client.get("/me/data/").content)
    assert data["pseudonym"] == told.pseudonym and data["background"] == {"age": "18-24", "languages": "Sundanese"}
    assert [row["word"] for row in data["ratings"]] == ["sad"] and data["ratings"][0]["answers"] == {"note": "I am Budi"}
    assert "consent" in data["questionnaires"][0]["steps"]


def test_erasing_destroys_the_person_and_keeps_the_rating(client, told):
    assert "Nothing was erased" in text(client.post("/me/erase/", follow=True))
    assert "is erased" in text(client.post("/me/erase/", {"sure": "1"}, follow=True))
    told.refresh_from_db()
    assert (told.user, told.background) == (None, {}) and told.erased_at and not User.objects.exists()
    rating = Rating.objects.get()
    assert rating.word.key == "sad" and rating.answers == {} and Participation.objects.get().invite is None
    assert "Budi" not in json.dumps(list(Event.objects.values_list("reason", flat=True)))
    assert client.get("/me/").status_code == 302


def test_the_language_can_be_switched_everywhere(client, rater, invite, make_track):
    make_track()
    assert '<html lang="id">' in text(client.get(link(invite), headers={"accept-language": "id-ID,id;q=0.9"}))
    client.post("/language/", {"language": "id", "next": "/"})
    client.post(link(invite), {"agree": "1"})
    page = text(client.get("/rate/", follow=True))
    assert "Tenang" in page and "Lanjut" in page and "Calm" not in page
    client.post("/language/", {"language": "en", "next": "/"})
    assert "Calm" in text(client.get("/rate/", follow=True))


def test_the_admin_s_own_texts_come_in_both_languages(client, rater, questionnaire, make_track):
    make_track()
    Questionnaire.objects.update(question="How does it feel?", question_indonesian="Bagaimana rasanya?")
    client.force_login(rater)
    assert "How does it feel?" in text(client.get("/rate/", follow=True))
    assert "Bagaimana rasanya?" in text(client.get("/rate/", follow=True, headers={"accept-language": "id"}))


def test_an_account_that_an_admin_made_is_erased_with_its_name_in_every_log(client, admin_person, questionnaire):
    client.force_login(admin_person)
    name = "siti.rahma@example.org"
    made = {"username": name, "password1": "long-enough-4711", "password2": "long-enough-4711", "usable_password": "true"}
    assert client.post("/admin/auth/user/add/", made).status_code == 302
    client.logout()
    client.post("/login/", {"username": name, "password": "wrong"})
    assert client.post("/login/", {"username": name, "password": "long-enough-4711"}).status_code == 302
    raters.erase(raters.rater_of(User.objects.get(username=name)), by=None)
    for model in apps.get_models():
        for row in model._base_manager.values_list():
            assert name not in str(row), model


def test_a_guest_is_not_invited(client, invite):
    guest = User.objects.create_user("guest")
    guest.groups.add(access.guests())
    client.force_login(guest)
    assert "Guests look; they do not rate" in text(client.post(link(invite), {"agree": "1"}))
    assert not Participation.objects.exists()
    Participation.objects.create(
        questionnaire=invite.questionnaire, rater=raters.rater_of(guest)
    )  # from before somebody made her a guest
    with pytest.raises(NotInvited):
        raters.participation_of(guest, invite.questionnaire)
