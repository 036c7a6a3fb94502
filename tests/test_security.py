"""Headers, failed logins, tokens, signed addresses, what others' vulnerabilities teach."""

import json
import logging
import os
import re
import subprocess
import sys
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, OperationalError, connection, transaction
from django.http import UnreadablePostError
from django.test import Client, override_settings
from django.utils import timezone
from rest_framework.test import APIClient

from config import security
from datasets.errors import SourceRefused, ValueRefused
from datasets.models import ApiToken, Event
from datasets.services import tokens
from datasets.tracing import Strangers, Trace, tracing
from tests.conftest import tone

pytestmark = pytest.mark.django_db


def api(secret: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {secret}")
    return client


def test_every_page_forbids_inline_script_frames_and_sniffing(client, curator):
    client.force_login(curator)
    for address in ("/", "/login/", "/tracks/", "/runs/", "/rate/", "/nowhere/"):
        response = client.get(address, follow=True)
        policy = response["Content-Security-Policy"]
        scripts = next((part for part in policy.split("; ") if part.startswith(("script-src", "default-src"))), "")
        assert "unsafe-inline" not in scripts and "unsafe-eval" not in policy and "frame-ancestors 'none'" in policy
        assert response["X-Content-Type-Options"] == "nosniff" and response["X-Frame-Options"] == "DENY"
        assert "camera=()" in response["Permissions-Policy"] and response["Referrer-Policy"] == "same-origin"


def test_no_page_holds_an_inline_script_or_handler():
    for path in (settings.BASE_DIR / "templates").rglob("*.html"):
        text = path.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", text), path
        assert not re.search(r"\son[a-z]+=\"", text) and "javascript:" not in text, path


def test_the_admin_panel_alone_may_evaluate(client, admin_person):
    client.force_login(admin_person)
    scripts = re.search(r"script-src[^;]*", client.get("/admin/")["Content-Security-Policy"]).group()
    assert "'self'" in scripts and "'unsafe-eval'" in scripts and "'unsafe-inline'" not in scripts


def test_guessing_passwords_ends_after_ten_tries(client, curator):
    for _ in range(10):
        client.post("/login/", {"username": "citra", "password": "wrong"})
    response = client.post("/login/", {"username": "citra", "password": "x"})
    assert response.status_code == 429 and "Too many wrong passwords" in response.content.decode()
    other = client.post("/login/", {"username": "citra", "password": "x"}, REMOTE_ADDR="10.0.0.9")
    assert other.status_code == 302, "the person at another address is not locked out by it"


@pytest.mark.parametrize("door", ["/login/", "/admin/login/"])
def test_one_address_that_tries_many_names_is_closed_and_who_is_inside_stays(client, curator, door):
    inside = Client()
    inside.force_login(curator)
    for number in range(security.MOST_TRIES):
        assert client.post(door, {"username": f"person-{number}", "password": "wrong"}).status_code == 200
    closed = client.post(door, {"username": "citra", "password": "x"})
    assert closed.status_code == 429 and "Your address is closed" in closed.content.decode()
    assert client.get(door).status_code == 200 and inside.get("/tracks/").status_code == 200
    assert client.post(door, {"username": "citra", "password": "x"}, REMOTE_ADDR="10.0.0.9").status_code in (200, 302)


def test_behind_a_proxy_each_stranger_has_his_own_address(client, curator, settings):
    """Without that, a hundred wrong passwords from anywhere closed the studio for everybody."""
    settings.PROXY_COUNT = 1
    for number in range(security.MOST_TRIES):
        client.post(
            "/login/", {"username": f"person-{number}", "password": "wrong"}, headers={"X-Forwarded-For": "9.9.9.9, 203.0.113.5"}
        )
    who = {"username": "citra", "password": "x"}
    made_up = client.post("/login/", who, headers={"X-Forwarded-For": "198.51.100.7, 203.0.113.5"})
    assert made_up.status_code == 429, "what stands before the proxy's own word may be made up"
    assert client.post("/login/", who, headers={"X-Forwarded-For": "203.0.113.5, 198.51.100.7"}).status_code == 302


def test_wrong_tokens_close_no_login(client, curator):
    for number in range(security.MOST_TRIES + 1):
        api(f"mer_{number:043}").get("/api/v1/tracks/")
    assert client.post("/login/", {"username": "citra", "password": "x"}).status_code == 302


def test_an_address_that_tries_tokens_is_told_to_wait_and_a_valid_token_is_served_all_the_same(curator):
    _row, secret = tokens.issue_token(curator, name="notebook")
    answers = [api(f"mer_{number:043}").get("/api/v1/tracks/").status_code for number in range(security.MOST_TRIES + 2)]
    assert answers == [401] * security.MOST_TRIES + [429] * 2
    stranger = APIClient().get("/api/v1/runs/")
    assert stranger.status_code == 429 and stranger["Retry-After"] and "Wait" in stranger.json()["detail"]
    assert api(secret).get("/api/v1/tracks/").status_code == 200


@pytest.mark.parametrize("password", ["kucing", "12345678901", "password1234", "citra-citra"])
def test_a_password_that_others_would_guess_is_refused(password):
    with pytest.raises(ValidationError):
        validate_password(password, User(username="citra-citra"))


ELSEWHERE = (
    "https://evil.example/", "//evil.example/", "///evil.example", "/\\evil.example", "http:evil.example", "https:/evil.example",
    "javascript:alert(1)", "\thttps://evil.example", "https://testserver@evil.example/",
)  # fmt: skip


@pytest.mark.parametrize("address", ELSEWHERE)
def test_no_way_in_or_out_leads_to_another_site(client, admin_person, curator, address):
    def leads_to(response) -> str:
        assert response.status_code == 302, response.content[:200]
        return response["Location"]

    def stays(place: str) -> bool:
        return place.startswith("/") and not place.startswith(("//", "/\\")) and "evil" not in place

    who = {"username": "adi", "password": "x", "next": address}
    assert stays(leads_to(client.post("/login/", who)))
    assert stays(leads_to(client.get("/login/", {"next": address}))), "logged in already"
    assert stays(leads_to(client.post("/logout/", {"next": address})))
    assert stays(leads_to(client.post("/admin/login/", who)))
    assert stays(leads_to(client.post("/language/", {"language": "id", "next": address})))
    assert stays(leads_to(client.post("/language/", {"language": "en"}, headers={"Referer": address.strip()})))


def test_a_program_is_answered_in_json_whatever_went_wrong(client, curator, monkeypatch):
    client.force_login(curator)
    client.raise_request_exception = False
    nowhere = client.get("/api/v1/nowhere/")
    assert nowhere.status_code == 404 and "/api/v1/schema/" in nowhere.json()["detail"]
    many = client.post("/api/v1/runs/", {f"f{number}": "1" for number in range(2000)})
    assert many.status_code == 400 and "too many fields" in many.json()["detail"]

    def fail(error):
        def broken(*args, **kwargs):
            raise error

        monkeypatch.setattr("mer.api.RunViewSet.get_queryset", broken)
        return client.get("/api/v1/runs/1/")

    away = fail(OperationalError("gone"))
    assert away.status_code == 503 and "database" in away.json()["detail"] and away["Retry-After"]
    assert fail(ValueError("secret of ours")).status_code == 500
    assert "secret" not in fail(ValueError("secret of ours")).json()["detail"]


def test_a_token_is_shown_once_and_only_its_digest_is_kept(client, curator):
    client.force_login(curator)
    page = client.post("/tokens/", {"name": "notebook", "scope": "write", "days": 30}).content.decode()
    secret = re.search(r"mer_[\w-]{43}", page).group()
    assert secret not in client.get("/tokens/").content.decode()
    row = ApiToken.objects.get()
    assert secret not in str(vars(row)) and row.digest == tokens.digest_of(secret)
    assert not Event.objects.filter(reason__contains=secret).exists()
    assert api(secret).get("/api/v1/tracks/").status_code == 200


def test_a_reading_token_reads_and_an_expired_or_taken_one_opens_nothing(client, curator):
    row, secret = tokens.issue_token(curator, name="r", scope="read", days=1)
    assert api(secret).get("/api/v1/releases/").status_code == 200
    refused = api(secret).post("/api/v1/runs/", {})
    assert refused.status_code == 403 and "only reads" in refused.json()["detail"]
    ApiToken.objects.filter(pk=row.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert api(secret).get("/api/v1/releases/").status_code == 401
    second, secret = tokens.issue_token(curator, name="s")
    client.force_login(curator)
    client.post(f"/tokens/{second.pk}/revoke/")
    assert api(secret).get("/api/v1/releases/").status_code == 401


def test_nobody_takes_back_another_s_token_and_lifetimes_are_bounded(client, curator, rater):
    row, _secret = tokens.issue_token(curator, name="mine")
    client.force_login(rater)
    assert client.post(f"/tokens/{row.pk}/revoke/").status_code == 404
    with pytest.raises(ValueRefused, match="1 to 366 days, not 4000"):
        tokens.issue_token(curator, name="long", days=4000)
    for _ in range(tokens.MOST - 1):
        tokens.issue_token(curator, name="many")
    with pytest.raises(ValueRefused, match="take one back first"):
        tokens.issue_token(curator, name="one more")


def test_a_closed_account_s_token_opens_nothing(curator):
    _row, secret = tokens.issue_token(curator, name="t")
    User.objects.filter(pk=curator.pk).update(is_active=False)
    assert api(secret).get("/api/v1/tracks/").status_code == 401


def test_a_signed_address_plays_for_an_hour_and_a_changed_one_never(client, make_track, monkeypatch):
    track = make_track()
    address = tokens.signed_audio_url(track)
    played = client.get(address)
    assert played.status_code == 200 and played["Content-Type"].startswith("audio/")
    assert client.get(address[:-3] + "xy/").status_code == 404
    monkeypatch.setattr("django.core.signing.time.time", lambda: __import__("time").monotonic() + 4e9)
    assert client.get(address).status_code == 404


def test_a_language_switch_or_a_login_leads_to_no_other_host(client, curator):
    response = client.post("/language/", {"language": "id", "next": "https://evil.example/"})
    assert "evil.example" not in response["Location"]
    response = client.post("/login/?next=https://evil.example/", {"username": "citra", "password": "x"})
    assert "evil.example" not in response["Location"]


def test_filters_of_pages_and_api_leak_no_column(client, curator, make_track):
    """A filter by a column that is not offered changes nothing: letter by letter it would tell a password's hash."""
    make_track()
    client.force_login(curator)
    for name in ("created_by__password__startswith", "dataset__tracks__title", "user__password__regex"):
        for address in ("/api/v1/tracks/", "/api/v1/runs/", "/api/v1/predictions/", "/api/v1/releases/", "/api/v1/consensus/"):
            counts = {client.get(address, {name: value}).json()["count"] for value in ("p", "zzz")}
            assert len(counts) == 1, (address, name)
    for query in ("?order=created_by__password", "?sort=user__password", "?state=x' OR 1=1--", "?release=x' OR 1=1--"):
        for address in ("/tracks/", "/runs/", "/jobs/", "/releases/"):
            response = client.get(address + query)
            assert response.status_code in (200, 400) and b"pbkdf2" not in response.content


def test_what_people_write_is_text_wherever_it_is_shown(client, curator, make_track, admin_person):
    evil = "<img src=x onerror=alert(1)>"
    track = make_track(evil, artist=evil, licence=evil)
    client.force_login(curator)
    for address in ("/tracks/", f"/tracks/{track.pk}/", "/tracks/duplicates/", "/jobs/", f"/tracks/{track.pk}/ratings/"):
        assert "<img src=x" not in client.get(address).content.decode()
    client.force_login(admin_person)
    assert "<img src=x" not in client.get("/admin/datasets/track/").content.decode()


def test_a_form_cannot_set_what_it_does_not_show(client, curator, make_track):
    track = make_track()
    client.force_login(curator)
    client.post(f"/tracks/{track.pk}/describe/", {"title": "New", "state": "failed", "sha256": "0" * 64, "label": "positive"})
    before = track.sha256
    track.refresh_from_db()
    assert (track.state, track.sha256, track.label) == ("ready", before, "")


def test_deployed_as_described_django_finds_nothing_to_complain_of(tmp_path):
    environment = {
        "PATH": "/usr/bin:/bin", "DATA_DIR": str(tmp_path), "HTTPS": "true", "ALLOWED_HOSTS": "studio.example",
        "CSRF_TRUSTED_ORIGINS": "https://studio.example", "PROXY_COUNT": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_audit_log_has_no_way_to_be_changed_in_the_panel(client, admin_person):
    event = Event.objects.create(subject="track", subject_id=1, to_state="x", actor=admin_person)
    client.force_login(admin_person)
    address = f"/admin/datasets/event/{event.pk}"
    assert client.post(f"{address}/change/", {"reason": "no"}).status_code == 403
    assert client.post(f"{address}/delete/", {"post": "yes"}).status_code == 403
    assert client.get("/admin/datasets/event/add/").status_code == 403


def test_accounts_are_closed_not_deleted_and_what_changes_on_them_is_in_the_audit_log(client, admin_person, curator):
    client.force_login(admin_person)
    page = f"/admin/auth/user/{curator.pk}"
    assert client.get(f"{page}/delete/").status_code == 403 and client.get(f"{page}/change/").status_code == 200
    values = {
        "username": "citra",
        "is_active": "on",
        "is_superuser": "on",
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00:00",
    }
    assert client.post(f"{page}/change/", values).status_code == 302
    event = Event.objects.get(subject="user", to_state="account changed")
    assert event.actor == admin_person and "is_superuser" in event.reason and event.subject_id == curator.pk
    client.post(f"{page}/password/", {"password1": "long-enough-4711", "password2": "long-enough-4711", "usable_password": "true"})
    assert Event.objects.filter(subject="user", to_state="password changed").exists()
    made = {"username": "baru", "password1": "long-enough-4711", "password2": "long-enough-4711", "usable_password": "true"}
    assert client.post("/admin/auth/user/add/", made).status_code == 302
    assert Event.objects.filter(subject="user", to_state="account made", subject_id=User.objects.get(username="baru").pk).exists()


@pytest.mark.database
@pytest.mark.parametrize(
    "slip",
    [
        lambda old: Event(pk=old.pk, at=old.at, subject="track", subject_id=1, to_state="ready", reason="forged").save(),
        lambda old: Event(pk=old.pk, at=old.at, subject="track", subject_id=1, to_state="forged").save_base(raw=True),
        lambda old: Event.objects.bulk_create(
            [Event(pk=old.pk, subject="track", subject_id=2, to_state="ready")],
            update_conflicts=True,
            update_fields=["subject_id"],
            unique_fields=["id"],
        ),
        lambda old: Event._base_manager.update(reason="forged"),
        lambda old: Event._base_manager.filter(pk=old.pk).delete(),
        lambda old: connection.cursor().execute("UPDATE datasets_event SET to_state = 'forged'"),
        lambda old: connection.cursor().execute("UPDATE datasets_event SET actor_id = NULL, reason = 'forged'"),
        lambda old: connection.cursor().execute("DELETE FROM datasets_event"),
    ],
)
def test_the_database_itself_keeps_the_audit_log_as_it_was(curator, slip):
    event = Event.objects.create(subject="track", subject_id=1, to_state="ready", actor=curator)
    before = list(Event.objects.values())
    with pytest.raises(DatabaseError, match="only added to"), transaction.atomic():
        slip(event)
    assert list(Event.objects.values()) == before


@pytest.mark.database
def test_code_cannot_change_or_delete_a_row_of_the_audit_log(curator):
    event = Event.objects.create(subject="track", subject_id=1, to_state="ready", actor=curator)
    event.reason = "another"
    for slip in (
        event.save,
        event.delete,
        Event.objects.filter(pk=event.pk).delete,
        lambda: Event.objects.update(reason="another"),
    ):
        with pytest.raises(TypeError, match="only added to"):
            slip()
    curator.delete()
    assert list(Event.objects.filter(pk=event.pk).values_list("reason", "actor")) == [("", None)]


@pytest.mark.parametrize("year", ["0", "10000", "99999999999", "-5", "x"])
def test_a_year_that_no_calendar_has_leads_back_to_the_audit_log(client, admin_person, year):
    Event.objects.create(subject="track", subject_id=1, to_state="ready")
    client.force_login(admin_person)
    response = client.get("/admin/datasets/event/", {"at__year": year}, follow=True)
    assert response.status_code == 200 and b"track" in response.content


def test_a_request_is_found_again_by_its_number(client):
    assert client.get("/login/", headers={"X-Request-ID": "abcdef0123456789"})["X-Request-ID"] == "abcdef0123456789"
    made = client.get("/login/", headers={"X-Request-ID": "no\tgood"})["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{32}", made)


def test_a_line_of_the_log_tells_request_and_job():
    from pythonjsonlogger.json import JsonFormatter

    record = logging.LogRecord("mer", logging.ERROR, "x.py", 1, "it broke", None, None)
    with tracing(request="r1"), tracing(job="7"):
        Trace().filter(record)
    said = json.loads(JsonFormatter("{levelname}{message}{request}{job}", style="{").format(record))
    assert (said["request"], said["job"], said["message"]) == ("r1", "7", "it broke")


@override_settings(MEDIA_QUOTA_GB=0.000001)
def test_beyond_the_quota_a_recording_is_refused_with_figures(make_track):
    with pytest.raises(SourceRefused, match=r"take .* of 1e-06 GB \(the setting MEDIA_QUOTA_GB\)"):
        make_track()


@pytest.mark.parametrize(
    "body",
    [
        '{"questionnaire": 1e400}',
        '{"questionnaire": -1e999}',
        '{"questionnaire": NaN}',
        '{"questionnaire": "\\ud800"}',
        "[" * 100_000,
    ],
)
def test_what_json_cannot_say_is_refused_by_name(client, rater, body):
    client.force_login(rater)
    for address in ("/api/v1/assignments/", "/api/v1/ratings/undo/", "/api/v1/ratings/"):
        response = client.post(address, body, content_type="application/json")
        assert response.status_code == 400 and b"JSON" in response.content


@pytest.mark.database
@pytest.mark.parametrize(
    "address",
    ["/api/v1/releases/%00/", "/api/v1/releases/a%00b/", "/api/v1/doubts/?release=%00", "/admin/datasets/event/?subject__exact=%00",
     "/admin/datasets/track/?q=%00&state=%00", "/tracks/?search=%00&state=%00"],
)  # fmt: skip
def test_a_nul_in_an_address_is_no_fault_of_ours(client, admin_person, address):
    client.force_login(admin_person)
    client.raise_request_exception = False
    assert client.get(address).status_code < 500


@pytest.mark.database
def test_values_that_no_column_takes_are_refused(client, curator, db):
    client.raise_request_exception = False
    assert client.post("/login/", {"username": "x" * 300, "password": "x"}).status_code < 500
    client.force_login(curator)
    for address, body in (
        ("tracks", {"dataset": "\0"}),
        ("runs", {"release": "\0", "network": "cnn"}),
        ("doubts", {"release": "\0"}),
    ):
        assert client.post(f"/api/v1/{address}/", body, content_type="application/json").status_code < 500
    assert client.post("/uploads/%00/").status_code < 500


def test_a_storage_that_is_away_is_told_on_pages_and_in_the_api(client, curator, make_track, monkeypatch, settings):
    track = make_track()

    def away(self, name, *args):
        raise OSError(f"{name}: the folder is away")

    monkeypatch.setattr("django.core.files.storage.FileSystemStorage._open", away)
    monkeypatch.setattr("django.core.files.storage.FileSystemStorage._save", away)
    client.raise_request_exception = False
    client.force_login(curator)
    page = client.get(f"/tracks/{track.pk}/audio/")
    assert page.status_code == 503 and "The storage does not answer" in page.content.decode() and page["Retry-After"]
    sent = SimpleUploadedFile("a.wav", tone(1.0, seed=9), content_type="audio/wav")
    answer = client.post("/api/v1/tracks/", {"dataset": track.dataset.name, "file": sent})
    assert answer.status_code == 503 and "storage did not answer" in answer.json()["detail"]


@pytest.mark.parametrize("link", ["/join/abc123DEF/", "/return/abc123DEF/", "/audio/abc123DEF:xyz/?t=1"])
def test_links_that_let_their_holder_in_are_in_no_log(link):
    record = logging.LogRecord("django.request", logging.ERROR, "", 0, "Service Unavailable: %s", (link,), None)
    Trace().filter(record)
    assert "abc123DEF" not in record.getMessage() and record.getMessage().startswith("Service Unavailable: /")


@pytest.mark.parametrize(
    "address", ["/admin/annotate/questionnaire/", "/admin/axes/accessattempt/", "/admin/datasets/track/", "/admin/auth/user/"]
)
@pytest.mark.parametrize("odd", ["abc", "9" * 40])
def test_an_odd_id_in_the_panel_is_no_fault_of_ours(client, admin_person, address, odd):
    client.force_login(admin_person)
    client.raise_request_exception = False
    answer = client.post(address, {"action": "delete_selected", "_selected_action": odd})
    assert answer.status_code < 500


def test_nobody_changes_in_the_panel_what_curators_and_guests_may(client, admin_person):
    client.force_login(admin_person)
    assert client.get("/admin/auth/group/").status_code == 404


def test_a_new_password_opens_a_name_that_was_closed(client, curator):
    curator.set_password("right-horse-battery")
    curator.save()
    for _ in range(10):
        client.post("/login/", {"username": curator.username, "password": "wrong"})
    right = {"username": curator.username, "password": "new-horse-battery"}
    assert client.post("/login/", right).status_code == 429
    curator.set_password("new-horse-battery")
    curator.save()
    assert client.post("/login/", right).status_code == 302


def test_a_closed_name_is_told_until_when_and_the_way_back(client, curator):
    for _ in range(10):
        answer = client.post("/login/", {"username": curator.username, "password": "wrong"})
    assert answer.status_code == 429 and answer["Retry-After"] == "900"
    assert 'href="/"' in answer.content.decode()


@pytest.mark.parametrize(
    ("address", "counted"),
    [("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"), ("2001:db8:1:2::9", "2001:db8:1:2::"), ("::ffff:192.0.2.7", "192.0.2.7"),
     ("192.0.2.7", "192.0.2.7"), ("fe80::1%eth0", "fe80::"), ("nonsense", "nonsense"), ("", "")],
)  # fmt: skip
def test_a_whole_network_of_ipv6_is_one_address(rf, address, counted):
    assert security.address_of(rf.get("/", REMOTE_ADDR=address)) == counted


def test_guesses_from_all_over_a_network_of_ipv6_close_it(client, curator):
    for number in range(10):
        wrong = {"username": curator.username, "password": "wrong"}
        answer = client.post("/login/", wrong, REMOTE_ADDR=f"2001:db8::{number + 1:x}")
    assert answer.status_code == 429


def test_https_without_a_counted_proxy_is_warned_of(settings):
    settings.HTTPS, settings.PROXY_COUNT = True, 0
    (warning,) = security.check_proxy(None)
    assert warning.id == "mer.W001" and "PROXY_COUNT" in warning.hint
    settings.PROXY_COUNT = 1
    assert security.check_proxy(None) == []


def test_a_secret_key_is_made_whole_or_not_at_all_and_a_broken_one_is_refused_with_its_path(tmp_path, monkeypatch):
    from environs import EnvValidationError

    from config.settings import _generated_secret

    path = tmp_path / "secret_key"
    made = _generated_secret(path)
    assert len(made) >= 50 and path.stat().st_mode & 0o077 == 0 and _generated_secret(path) == made
    assert list(tmp_path.iterdir()) == [path], "nothing half is left"
    monkeypatch.setattr(os, "link", lambda *paths: (_ for _ in ()).throw(PermissionError(1, "Operation not permitted")))
    path.unlink()
    assert len(_generated_secret(path)) >= 50 and path.stat().st_mode & 0o077 == 0, "a file system without hard links"
    for broken in ("", "x"):
        path.write_text(broken)
        with pytest.raises(EnvValidationError, match=f"{re.escape(str(path))} holds no key"):
            _generated_secret(path)


def test_what_strangers_send_leaves_no_address_in_the_log():
    def told(message: str, error: BaseException | None = None) -> bool:
        exc_info = (type(error), error, None) if error else None
        return Strangers().filter(logging.LogRecord("gunicorn.error", logging.WARNING, "", 0, message, (), exc_info))

    assert not told("Invalid request from ip=203.0.113.7: Request Line is too large (8192 > 4094)")
    assert not told("Socket error processing request.", BlockingIOError(11, "Resource temporarily unavailable"))
    assert not told("Service Unavailable: /login/", UnreadablePostError("[Errno 11] Resource temporarily unavailable"))
    assert told("Socket error processing request.", OSError(5, "Input/output error")) and told("Worker failed to boot.")
    assert settings.LOGGING["loggers"]["gunicorn.error"]["filters"] == ["strangers"]


def test_a_broker_with_tls_has_to_prove_who_it_is():
    program = "from config.celery import app; print('SSL', app.connection().ssl, app.conf.broker_use_ssl)"
    environment = os.environ | {"REDIS_URL": "rediss://broker.example:6380/0"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True, check=True
    )
    assert "CERT_REQUIRED" in done.stdout and "'ssl_check_hostname': True" in done.stdout
