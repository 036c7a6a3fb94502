"""What an attack found: each of these lost a rating, counted one too many, or opened a door."""

import json
import re
import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from annotate.errors import AlreadyRated, AnswerRefused, EraseRefused, NothingToUndo, TooFast
from annotate.models import Assignment, Consensus, Gold, Participation, Question, Questionnaire, Rating
from annotate.services import freezing, questionnaires, raters, ratings, slots
from annotate.services.ratings import Answer, ImportedRating, Listening
from datasets.errors import WrongState
from datasets.models import Track, Word
from datasets.services.tracks import create_dataset
from tests.test_joining import text

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def person(name: str):
    return raters.rater_of(User.objects.create_user(name))


def fresh(slot: Assignment) -> Assignment:
    return Assignment.objects.select_related("questionnaire", "track").get(pk=slot.pk)


def test_one_rater_never_holds_a_track_twice_however_requests_cross(make_track, questionnaire, monkeypatch):
    make_track(), make_track()
    rater = person("p")
    find = slots._candidates

    def cross(*arguments):
        monkeypatch.setattr(slots, "_candidates", find)
        found = find(*arguments)
        slots.reserve_next(questionnaire, rater)
        return found

    monkeypatch.setattr(slots, "_candidates", cross)
    slots.reserve_ahead(questionnaire, rater)
    held = list(Assignment.objects.filter(state__in=("open", "ahead")).values_list("track_id", flat=True))
    assert len(held) == len(set(held))
    while slot := slots.reserve_next(questionnaire, rater):
        ratings.submit_rating(fresh(slot), word_key="calm")
    assert Rating.objects.count() == 2


def test_return_links_open_rater_s_accounts_only(client, admin_person, curator):
    for strong in (admin_person, curator):
        client.force_login(strong)
        assert "/return/" not in text(client.get("/me/"))
        rater = raters.rater_of(strong)
        from django.core import signing

        token = signing.dumps([rater.pseudonym, rater.return_nonce], salt=raters.RETURN)
        assert Client().post(f"/return/{token}/").status_code == 410


def test_a_gold_track_of_another_dataset_is_refused_and_never_given_out(make_track, questionnaire):
    make_track()
    foreign = Track.objects.create(dataset=create_dataset(name="Other"), title="x", source="file", state="ready")
    gold = Gold(
        questionnaire=questionnaire,
        track=foreign,
        word=Word.objects.get(key="calm", label__dataset=questionnaire.dataset),
        use="check",
    )
    with pytest.raises(ValidationError, match="own dataset"):
        gold.full_clean()
    gold.save()
    Questionnaire.objects.update(gold_every=1)
    slot = slots.reserve_next(Questionnaire.objects.get(pk=questionnaire.pk), person("p"))
    assert slot.kind == "regular"


def test_nothing_is_rated_before_consent_by_any_route(client, rater, questionnaire, make_track):
    make_track()
    Questionnaire.objects.update(with_consent=True)
    client.force_login(rater)
    assert client.post(f"/rate/{questionnaire.pk}/ahead/").status_code == 204
    refused = client.post("/api/v1/assignments/", {"questionnaire": questionnaire.pk})
    assert refused.status_code == 409 and "consent" in refused.json()["detail"] and not Assignment.objects.exists()
    steps = f"/api/v1/questionnaires/{questionnaire.pk}/steps/"
    assert client.post(steps, {"step": "consent"}).status_code == 400
    assert client.post(steps, {"step": "consent", "agree": True}).json() == {"step": ""}
    assert client.post("/api/v1/assignments/", {"questionnaire": questionnaire.pk}).status_code == 200


def test_undo_takes_back_the_last_rating_only(make_track, questionnaire, admin_person):
    for _ in range(4):
        make_track()
    rater = person("p")
    for _ in range(3):
        ratings.submit_rating(fresh(slots.reserve_next(questionnaire, rater)), word_key="sad")
    slots.reserve_next(questionnaire, rater)
    ratings.undo_last(questionnaire, rater)
    with pytest.raises(NothingToUndo, match="open already"):
        ratings.undo_last(questionnaire, rater)
    assert Rating.objects.count() == 2
    ratings.submit_rating(fresh(slots.reserve_next(questionnaire, rater)), word_key="calm")
    raters.set_aside(rater, timezone.now(), by=admin_person)
    with pytest.raises(NothingToUndo):
        ratings.undo_last(questionnaire, rater)
    assert Rating.objects.count() == 3


def test_undoing_a_surplus_rating_takes_nobody_s_place(make_track, questionnaire, rate):
    rate(make_track(), "happy happy happy happy")
    late, punctual = person("late"), person("punctual")
    slot = slots.reserve_next(questionnaire, late)
    Assignment.objects.filter(pk=slot.pk).update(expires_at=timezone.now() - timedelta(minutes=1))
    theirs = slots.reserve_next(questionnaire, punctual)
    assert ratings.submit_rating(fresh(slot), word_key="sad").not_counted == "surplus"
    ratings.undo_last(questionnaire, late)
    assert slots.reserve_next(questionnaire, late).pk == slot.pk  # it is still there to be answered
    assert ratings.submit_rating(fresh(slot), word_key="angry").not_counted == "surplus"
    assert ratings.submit_rating(fresh(theirs), word_key="happy").not_counted == ""
    assert Consensus.objects.get().n_ratings == 5


def test_setting_aside_reaches_every_questionnaire_and_is_done_once(make_track, questionnaire, rate, admin_person):
    rate(make_track(), "happy happy")
    other = create_dataset(name="Other")
    second = Questionnaire.objects.create(dataset=other, name="Second", with_consent=False, minimum_s=0)
    track = Track.objects.create(dataset=other, title="x", source="file", state="ready", duration_s=1)
    Consensus.objects.create(questionnaire=second, track=track)
    rater = person("p")
    for one in (questionnaire, second):
        ratings.submit_rating(fresh(slots.reserve_next(one, rater)), word_key="sad")
    day = timezone.now() - timedelta(days=1)
    assert len(raters.set_aside(rater, day, by=admin_person)) == 2
    assert set(Rating.objects.filter(rater=rater).values_list("not_counted", flat=True)) == {"set aside"}
    with pytest.raises(WrongState, match="set aside already"):
        raters.set_aside(rater, timezone.now(), by=admin_person)
    assert raters.reinstate(rater, by=admin_person) == 2


def test_reinstating_does_not_count_what_came_after_the_questionnaire_was_closed(make_track, questionnaire, admin_person):
    make_track()
    rater = person("p")
    slot = slots.reserve_next(questionnaire, rater)
    raters.set_aside(rater, timezone.now(), by=admin_person)
    Questionnaire.objects.update(is_open=False)
    assert ratings.submit_rating(fresh(slot), word_key="sad").not_counted == "closed"
    assert raters.reinstate(rater, by=admin_person) == 0 and Consensus.objects.get().n_ratings == 0


def test_an_import_does_not_fill_a_track_beyond_its_target_and_what_is_left_waits_for_a_rule_that_counts_more(
    make_track, questionnaire, rate
):
    track = make_track()
    rate(track, "happy happy happy happy")
    word = Word.objects.get(key="sad", label__dataset=questionnaire.dataset)
    rows = [ImportedRating(track.pk, f"x{n}", word, word.label, None, None, None) for n in range(6)]
    ratings.import_ratings(questionnaire, rows)
    assert Consensus.objects.get().votes == {"positive": 4, "negative": 1}
    assert Rating.objects.filter(not_counted="beyond").count() == 5
    questionnaires.change_rule(questionnaire, questionnaires.Rule(raters=9, fewest=9, threshold=0.5))
    assert Consensus.objects.get().votes == {"negative": 5, "positive": 4}
    assert Rating.objects.filter(not_counted="beyond").count() == 1


def test_the_clock_of_a_track_reserved_ahead_does_not_run(make_track, questionnaire):
    make_track(seconds=20), make_track(seconds=20)
    Questionnaire.objects.update(minimum_s=15)
    questionnaire = Questionnaire.objects.get()
    rater = person("p")
    slots.reserve_next(questionnaire, rater)
    ahead = fresh(slots.reserve_ahead(questionnaire, rater))
    slots.report_shown(ahead)
    assert fresh(ahead).shown_at is None
    with pytest.raises(TooFast):
        ratings.submit_rating(fresh(ahead), word_key="sad", listening=Listening(heard_s=20))


@pytest.mark.parametrize(
    "body",
    [
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": {"b": 1}}',
        '{"a": [1]}',
        "[" * 3000 + "]" * 3000,
        '{"a": ',
        "7",
        '{"a": "' + "x" * 9000 + '"}',
    ],
)
def test_an_odd_draft_is_refused_and_the_old_one_stays(client, rater, questionnaire, make_track, body):
    make_track()
    client.force_login(rater)
    slot = slots.reserve_next(questionnaire, raters.rater_of(rater))
    slots.save_draft(slot, {"word": "calm"})
    for address in (f"/assignments/{slot.key}/draft/", f"/api/v1/assignments/{slot.key}/draft/"):
        sent = body if address.startswith("/assign") else f'{{"draft": {body}}}'
        assert client.post(address, sent, content_type="application/json").status_code in (400, 409)
    assert fresh(slot).draft == {"word": "calm"}


def test_a_draft_with_what_a_pasted_text_may_hold_is_kept(client, rater, questionnaire, make_track):
    make_track()
    client.force_login(rater)
    slot = slots.reserve_next(questionnaire, raters.rater_of(rater))
    body = json.dumps({"q-note": "a\0b\ud800c", "known": True, "valence": 0.5})
    assert client.post(f"/assignments/{slot.key}/draft/", body, content_type="application/json").status_code == 204
    assert fresh(slot).draft == {"q-note": "abc", "known": True, "valence": 0.5}
    assert client.get("/rate/", follow=True).status_code == 200


def test_erasing_leaves_no_free_text_even_of_a_question_that_is_gone(make_track, questionnaire):
    make_track()
    question = Question.objects.create(questionnaire=questionnaire, key="why", kind="text", text="Why?")
    rater = person("p")
    slot = fresh(slots.reserve_next(questionnaire, rater))
    Assignment.objects.update(created_at=timezone.now())
    ratings.submit_rating(slot, word_key="sad", answer=Answer(answers={"why": "I am Budi"}))
    question.delete()
    raters.erase(rater, by=None)
    assert Rating.objects.get().answers == {}


def test_an_account_with_other_work_is_not_erased_to_rate_again(client, curator, questionnaire, make_track):
    make_track()
    client.force_login(curator)
    ratings.submit_rating(fresh(slots.reserve_next(questionnaire, raters.rater_of(curator))), word_key="sad")
    assert "other work here" in text(client.post("/me/erase/", {"sure": "1"}, follow=True))
    with pytest.raises(EraseRefused):
        raters.erase(raters.rater_of(curator), by=curator)
    assert slots.reserve_next(questionnaire, raters.rater_of(curator)) is None


def test_a_join_whose_answer_was_lost_can_be_sent_again(questionnaire):
    invite = raters.create_invite(questionnaire, max_uses=1)
    address = f"/join/{raters.invite_token(invite)}/"
    nonce = re.search(r'name="nonce" value="(\w+)"', text(Client().get(address))).group(1)
    for _ in range(2):
        phone = Client()
        assert phone.post(address, {"nonce": nonce}).status_code == 302 and "_auth_user_id" in phone.session
    assert User.objects.count() == 1 == Participation.objects.count()
    assert Client().post(address, {"nonce": "another"}).status_code == 410


def test_a_form_that_was_left_open_for_hours_joins_anew(questionnaire):
    address = f"/join/{raters.invite_token(raters.create_invite(questionnaire))}/"
    assert Client().post(address, {"nonce": "n" * 32}).status_code == 302
    Participation.objects.update(joined_at=timezone.now() - timedelta(hours=2))
    assert Client().post(address, {"nonce": "n" * 32}).status_code == 302
    assert User.objects.count() == 2


def test_one_key_on_two_slots_is_refused_and_the_second_is_not_lost(make_track, questionnaire):
    make_track(), make_track()
    rater, key = person("p"), uuid.uuid4()
    ratings.submit_rating(fresh(slots.reserve_next(questionnaire, rater)), word_key="sad", key=key)
    second = fresh(slots.reserve_next(questionnaire, rater))
    with pytest.raises(AnswerRefused, match="another piece"):
        ratings.submit_rating(second, word_key="calm", key=key)
    assert fresh(second).state == "open"
    assert ratings.submit_rating(fresh(second), word_key="calm", key=uuid.uuid4()).pk
    with pytest.raises(AlreadyRated):
        ratings.submit_rating(fresh(second), word_key="calm", key=uuid.uuid4())


def test_a_required_question_that_is_newer_than_the_slot_refuses_no_late_rating(make_track, questionnaire):
    make_track()
    slot = slots.reserve_next(questionnaire, person("p"))
    Question.objects.create(questionnaire=questionnaire, key="new", kind="likert", text="New?", required=True)
    Questionnaire.objects.update(name="edited")
    assert ratings.submit_rating(fresh(slot), word_key="calm").pk


@pytest.mark.parametrize("address", ["/rate/{n}/", "/rate/{n}/record/", "/rate/{n}/practice/", "/rate/1/practice/?piece={n}"])
def test_huge_numbers_are_not_found(client, rater, questionnaire, address):
    Questionnaire.objects.update(with_practice=True)
    client.force_login(rater)
    assert client.get(address.format(n="9" * 30)).status_code in (302, 404)


def test_progress_never_runs_past_its_total(client, rater, questionnaire, make_track):
    make_track()
    gold = make_track()
    Gold.objects.create(questionnaire=questionnaire, track=gold, word=Word.objects.get(key="calm"), use="check")
    Questionnaire.objects.update(gold_every=2)
    client.force_login(rater)
    questionnaire = Questionnaire.objects.get()
    ratings.submit_rating(fresh(slots.reserve_next(questionnaire, raters.rater_of(rater))), word_key="calm")
    assert "2 of 2" in text(client.get("/rate/", follow=True))


def test_a_gold_track_is_in_no_release_even_when_it_was_rated_before(make_track, rate, questionnaire):
    rate(make_track("Kept"), "happy happy happy happy happy")
    gold = make_track("Gold")
    rate(gold, "sad sad sad sad sad")
    Gold.objects.create(questionnaire=questionnaire, track=gold, word=Word.objects.get(key="sad"), use="practice")
    release = freezing.freeze(questionnaire, name="v1", seed=1)
    assert [item.title for item in release.items.all()] == ["Kept"]
    assert release.left_out[0]["reason"].startswith("Gold track")


def test_practice_is_not_passed_by_opening_an_address(client, rater, questionnaire, make_track):
    gold = Gold.objects.create(questionnaire=questionnaire, track=make_track(), word=Word.objects.get(key="calm"), use="practice")
    Questionnaire.objects.update(with_practice=True)
    client.force_login(rater)
    client.get(f"/rate/{questionnaire.pk}/practice/?piece=99")
    assert "practice" not in Participation.objects.get().steps
    client.post(f"/rate/{questionnaire.pk}/practice/", {"word": "sad"})
    client.get(f"/rate/{questionnaire.pk}/practice/?piece=2")
    assert Participation.objects.get().practice == {str(gold.pk): "sad"} and "practice" in Participation.objects.get().steps
