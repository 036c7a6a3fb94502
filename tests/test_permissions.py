"""Who may open what: every page and endpoint, for everybody. A new route that is not listed here fails the test."""

import re

import pytest
from django.contrib.auth.models import User
from django.urls import URLPattern, URLResolver, get_resolver

from annotate.api import UUID
from annotate.models import Rater, Rating
from annotate.services import raters, slots
from datasets import access

pytestmark = pytest.mark.django_db

ANYONE = {
    "healthz",
    "readyz",
    "metrics",
    "datasets:signed_audio",
    "datasets:label_colours",
    "home",
    "login",
    "logout",
    "schema",
    "set_language",
    "service_worker",
    "offline",
    "annotate:join",
    "annotate:come_back",
}
RATERS = {
    "datasets:token_list", "datasets:token_revoke",
    "annotate:rate", "annotate:rate_next", "annotate:rate_ahead", "annotate:rate_undo", "annotate:record", "annotate:gold_audio", "annotate:step",
    "annotate:rate_submit", "annotate:rate_audio", "annotate:rate_shown", "annotate:rate_draft", "annotate:rate_decline", "annotate:me",
    "annotate:my_data", "annotate:new_return_link", "annotate:erase_me", "questionnaire-list", "questionnaire-detail", "questionnaire-steps", "assignment-list",
    "assignment-audio", "assignment-shown", "assignment-draft", "assignment-decline", "rating-list", "rating-undo", "api-root",
}  # fmt: skip
CURATORS = {
    "annotate:preview", "doubt-list", "run-again", "run-promote", "run-notes", "run-predict", "inference-list", "inference-detail",
    "annotate:review", "mer:run_again", "mer:promote", "mer:notes", "mer:predict", "mer:learning_curve_draw",
    "annotate:disagreement", "annotate:doubted", "annotate:review_round", "datasets:saliency", "mer:prediction_table", "mer:inference",
    "mer:compare_data", "mer:round_panel", "mer:learning_curve",
    "datasets:track_list", "datasets:track_add", "datasets:track", "datasets:track_audio", "datasets:track_exclude", "datasets:track_restore",
    "datasets:tracks_bulk", "datasets:duplicate_list", "datasets:duplicate_rule", "datasets:upload_begin", "datasets:upload_part",
    "datasets:upload_finish", "datasets:check_sources", "annotate:laboratory", "annotate:rule_change", "annotate:tracks_send_back",
    "mer:track_spectrogram",
    "datasets:import_add", "datasets:release_import", "datasets:import", "datasets:import_confirm", "datasets:import_discard", "datasets:import_retry", "datasets:import_read_again",
    "datasets:ingest_health", "datasets:queue_pause", "datasets:queue_resume",
    "datasets:job_list", "datasets:job_panel", "datasets:job_retry", "datasets:job_cancel", "datasets:release_list", "datasets:release",
    "datasets:release_export", "datasets:export_download", "annotate:agreement_list", "annotate:agreement", "annotate:freeze", "annotate:label_scheme", "annotate:ratings_import", "annotate:breakdown", "annotate:breakdown_data", "annotate:adjudication", "annotate:rule_on", "annotate:track_panel",
    "datasets:erratum_add", "datasets:track_describe", "datasets:fault_add", "datasets:fault_answer",
    "annotate:report_close", "mer:run_list", "mer:run", "mer:run_live", "mer:network_download", "mer:compare", "mer:paper", "mer:train",
    "mer:release_panel", "mer:track_panel", "mer:spectrogram", "track-list", "track-detail", "questionnaire-freeze", "consensus-list", "consensus-rule", "consensus-more", "release-faults", "release-errata", "fault-list", "fault-detail", "fault-answer",
    "release-list", "release-detail", "release-export", "export-detail", "export-download", "compare-detail", "paper-detail", "paper-train", "run-list", "run-detail", "run-cancel", "run-retry", "prediction-list",
}  # fmt: skip
ADMINS = {
    "annotate:rater_list", "annotate:rater", "annotate:rating_table", "annotate:set_aside", "annotate:reinstate", "annotate:rater_erase", "annotate:invite_create",
    "annotate:invite_revoke", "invite-list", "invite-revoke", "rater-list", "rater-set-aside",
}  # fmt: skip
NOT_FOR_GUESTS = {  # pages of curators that do something as soon as they are filled in
    "datasets:track_add", "annotate:freeze", "annotate:label_scheme", "annotate:ratings_import", "datasets:import_add",
    "datasets:release_import", "mer:train", "mer:predict",
}  # fmt: skip
A_KEY = "6f1c2b0e-0000-4000-8000-000000000001"


def routes() -> dict[str, str]:
    """Every route outside the admin by name, with an address whose arguments are 1."""
    found: dict[str, str] = {}

    def walk(patterns, prefix: str, namespace: str) -> None:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                if pattern.namespace != "admin":
                    inner = f"{pattern.namespace}:" if pattern.namespace else namespace
                    walk(pattern.url_patterns, prefix + _address(pattern), inner)
            elif isinstance(pattern, URLPattern) and pattern.name:
                found.setdefault(namespace + pattern.name, "/" + prefix + _address(pattern))

    walk(get_resolver().url_patterns, "", "")
    return found


def _address(pattern) -> str:
    text = str(pattern.pattern).removeprefix("^").removesuffix(r"\Z").removesuffix("$")
    text = text.replace(f"(?P<key>{UUID})", A_KEY)
    text = re.sub(r"\(\?P<\w+>[^)]*\)", "1", text)
    text = re.sub(r"<uuid:[^>]*>", A_KEY, text)
    return re.sub(r"<[^>]*>", "1", text).replace(r"\.(1)/?", "").replace("\\", "")


ROUTES = {name: address for name, address in routes().items() if "format" not in address and "drf_format" not in address}


def test_every_route_is_listed():
    assert set(ROUTES) == ANYONE | RATERS | CURATORS | ADMINS


def answers(client, address: str) -> set[int]:
    return {client.get(address).status_code, client.post(address).status_code}


@pytest.mark.parametrize("name", sorted(RATERS | CURATORS | ADMINS))
def test_a_stranger_gets_nowhere(client, name):
    assert answers(client, ROUTES[name]) <= {302, 401, 403, 405}
    response = client.get(ROUTES[name])
    if response.status_code == 302:
        assert response["Location"].startswith("/login/")


@pytest.mark.parametrize("name", sorted(CURATORS | ADMINS))
def test_a_rater_is_refused_what_curators_do(client, rater, name):
    client.force_login(rater)
    assert answers(client, ROUTES[name]) <= {403, 405}
    assert 403 in answers(client, ROUTES[name])


@pytest.mark.parametrize("name", sorted(CURATORS | RATERS | ANYONE))
def test_a_curator_is_never_refused_and_nothing_breaks(client, curator, name):
    client.force_login(curator)
    assert answers(client, ROUTES[name]) <= {200, 204, 302, 400, 404, 405, 409, 410}


@pytest.fixture
def guest(db) -> User:
    user = User.objects.create_user("tamu", password="x")
    user.groups.add(access.guests())
    return user


SAID_BY_GUESTS = {"datasets:fault_add", "release-faults"}  # that a label is faulty: it changes nothing, a curator looks at it


@pytest.mark.parametrize("name", sorted(CURATORS | ADMINS))
def test_a_guest_reads_what_curators_read_and_changes_nothing(client, guest, name):
    client.force_login(guest)
    assert client.post(ROUTES[name]).status_code in ({302, 400, 404} if name in SAID_BY_GUESTS else {403, 405})
    for method in (client.put, client.patch, client.delete):
        assert method(ROUTES[name]).status_code in ({302, 405} if name in SAID_BY_GUESTS else {403, 405})
    status = client.get(ROUTES[name]).status_code
    if name in NOT_FOR_GUESTS | ADMINS:
        assert status in {403, 405}
    else:
        assert status in {200, 204, 302, 400, 403, 404, 405}


READ_BY_GUESTS = {
    "datasets:track_list", "datasets:release_list", "annotate:agreement_list", "mer:run_list", "datasets:job_list", "home", "track-list",
    "release-list", "run-list", "consensus-list", "prediction-list", "inference-list", "datasets:ingest_health", "datasets:duplicate_list",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(READ_BY_GUESTS))
def test_a_guest_is_let_in_where_there_is_only_something_to_read(client, guest, name):
    client.force_login(guest)
    assert client.get(ROUTES[name]).status_code in {200, 302}


def test_a_guest_does_not_rate(client, guest, questionnaire, make_track):
    make_track()
    client.force_login(guest)
    assert client.get(f"/rate/{questionnaire.pk}/").status_code == 404
    assert client.post("/api/v1/assignments/", {"questionnaire": questionnaire.pk}).status_code in {400, 404}
    assert not Rater.objects.filter(user=guest).exists()


def test_a_number_too_large_for_a_database_breaks_nothing(client, admin_person, questionnaire, release):
    huge, broken = "99999999999999999999", []
    client.force_login(admin_person)
    for name in sorted(RATERS | CURATORS | ADMINS):
        address = (
            ROUTES[name].replace(A_KEY, "KEY").replace("v1/", "V/").replace("1", huge).replace("V/", "v1/").replace("KEY", A_KEY)
        )
        within = address.replace(f"/releases/{huge}/", f"/releases/{release.name}/")
        within = within.replace(f"/agreement/{huge}/", f"/agreement/{questionnaire.pk}/")
        broken += [asked for asked in {address, within} if max(answers(client, asked)) >= 500]
    assert broken == []


@pytest.mark.parametrize("name", sorted(ADMINS))
def test_a_curator_is_refused_what_admins_do_and_an_admin_is_not(client, curator, admin_person, questionnaire, name):
    client.force_login(curator)
    assert answers(client, ROUTES[name]) <= {403, 405}
    client.force_login(admin_person)
    assert answers(client, ROUTES[name]) <= {200, 204, 302, 400, 404, 405, 409, 410}


def test_a_rater_cannot_reach_another_rater_s_slot(client, rater, curator, make_track, questionnaire):
    make_track()
    slot = slots.reserve_next(questionnaire, raters.rater_of(curator))
    client.force_login(rater)
    assert client.get(f"/assignments/{slot.key}/audio/").status_code == 404
    for address in ("", "shown/", "draft/", "decline/"):
        body = (
            {"data": "{}", "content_type": "application/json"}
            if address == "draft/"
            else {"data": {"word": "happy", "reason": "broken"}}
        )
        assert client.post(f"/assignments/{slot.key}/{address}", **body).status_code == 404
        if address:
            assert client.post(f"/api/v1/assignments/{slot.key}/{address}", {"reason": "broken", "draft": "{}"}).status_code == 404
    assert client.post("/api/v1/ratings/", {"assignment": str(slot.key), "word": "happy"}).status_code == 404


def test_the_admin_panel_is_for_admins(client, rater, curator, admin_person):
    for person, status in ((rater, 302), (curator, 302), (admin_person, 200)):
        client.force_login(person)
        assert client.get("/admin/").status_code == status


def test_ratings_runs_and_releases_are_read_only_in_the_admin_panel(client, admin_person, make_track, rate):
    rate(make_track(), "happy")
    client.force_login(admin_person)
    rating = Rating.objects.get()
    assert client.get(f"/admin/annotate/rating/{rating.pk}/change/").status_code == 200
    assert client.post(f"/admin/annotate/rating/{rating.pk}/change/", {"valence": 1}).status_code == 403
    assert client.post(f"/admin/annotate/rating/{rating.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.get("/admin/annotate/rating/add/").status_code == 403
