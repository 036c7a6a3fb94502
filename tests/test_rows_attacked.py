"""Every row, asked for by whom it does not concern; every column, sent along with what may be sent; every filter that nobody offers."""

import json
import re
import uuid
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import models, transaction
from django.test import Client
from django.urls import reverse

from annotate.models import Assignment, Invite
from annotate.services import raters, ratings, slots
from datasets import access
from datasets.models import ApiToken, Release
from datasets.services import releases, tokens
from mer.models import Run
from tests.test_curators import trained
from tests.test_permissions import A_KEY, ROUTES

pytestmark = pytest.mark.django_db
OURS = [model for app in ("datasets", "annotate", "mer", "auth") for model in apps.get_app_config(app).get_models()]


def everything() -> dict[str, list[tuple]]:
    """All that is stored, but for what every visit moves along."""
    moves = {"last_login", "last_used_at", "expires_at", "opened_at"}
    return {
        model._meta.label: list(
            model._default_manager.order_by("pk").values_list(
                *(f.attname for f in model._meta.concrete_fields if f.name not in moves)
            )
        )
        for model in OURS
    }


@pytest.fixture
def study(release, questionnaire, make_track, rate, curator, admin_person) -> Release:
    """Something of each kind."""
    rate(make_track("Disputed"), "happy happy sad sad calm")
    make_track("Fresh")
    trained(release, "compact", wrong=2)
    releases.add_erratum(release, "One label was wrong.", by=curator)
    releases.report_fault(release, track_id=release.items.first().number, text="It is not sad.", by=curator)
    releases.request_export(release, format="csv", by=curator, wake_worker=False)
    Invite.objects.create(questionnaire=questionnaire, created_by=admin_person)
    Run.objects.update(created_by=admin_person)
    return release


# --- whose row is it -------------------------------------------------------------------------------------------------


@pytest.fixture
def two_raters(make_track, questionnaire) -> tuple[User, User, Assignment]:
    """One who asks, one whose slot it is, and the slot; each has rated one piece already."""
    for number in range(4):
        make_track(f"Piece {number}")
    found = []
    for name in ("asks", "rates"):
        person = User.objects.create_user(name)
        slot = slots.reserve_next(questionnaire, raters.rater_of(person))
        ratings.submit_rating(slot, word_key="happy", key=uuid.uuid4())
        found.append((person, slots.reserve_next(questionnaire, raters.rater_of(person))))
    (asking, _own), (other, slot) = found
    return asking, other, slot


KEYED = sorted(name for name, address in ROUTES.items() if A_KEY in address)


def test_another_rater_s_slot_is_not_there_and_stays_as_it_is(client, two_raters):
    asking, _other, slot = two_raters
    client.force_login(asking)
    before = everything()
    values = {"word": "sad", "reason": "broken", "note": "x", "draft": {}}
    for name in KEYED:
        for method in ("get", "post", "put", "patch", "delete"):
            body = {"data": values, "content_type": "application/json"} if method != "get" else {}
            answer = getattr(client, method)(ROUTES[name].replace(A_KEY, str(slot.key)), **body)
            refused = answer.status_code in (403, 404, 405) or answer.get("Location") == "/rate/"
            assert refused, (name, method, answer.content[:200])
            assert everything() == before, (name, method)
    assert len(KEYED) > 8


def test_somebody_takes_back_only_what_is_his(client, two_raters, questionnaire):
    asking, other, _slot = two_raters
    client.force_login(asking)
    theirs = list(other.rater.ratings.values()) if hasattr(other, "rater") else list(raters.rater_of(other).ratings.values())
    assert client.post("/api/v1/ratings/undo/", {"questionnaire": questionnaire.pk}).status_code in (200, 204, 409)
    client.post(f"/rate/{questionnaire.pk}/undo/")
    assert list(raters.rater_of(other).ratings.values()) == theirs


def test_a_token_is_seen_and_revoked_by_its_owner_alone(client, rater, curator):
    row, _secret = tokens.issue_token(curator, name="theirs")
    client.force_login(rater)
    assert "theirs" not in client.get("/tokens/").content.decode()
    assert client.post(f"/tokens/{row.pk}/revoke/").status_code in (302, 404)
    row.refresh_from_db()
    assert row.digest and ApiToken.objects.filter(pk=row.pk).exists()
    assert client.get("/api/v1/tracks/", headers={"Authorization": f"Token {_secret}"}).status_code == 200


def test_every_page_of_the_admin_panel_is_closed_to_whoever_is_no_admin(study, rater, curator):
    guest = User.objects.create_user("tamu")
    guest.groups.add(access.guests())
    people = {
        "nobody": None,
        "rater": rater,
        "curator": curator,
        "guest": guest,
        "staff": User.objects.create_user("x", is_staff=True),
    }
    addresses: list[str] = []
    for model, panel in admin.site._registry.items():
        row, place = model._default_manager.first(), f"admin:{model._meta.app_label}_{model._meta.model_name}_"
        addresses += [reverse(f"{place}{name}") for name in ("changelist", "add")]
        addresses += [reverse(f"{place}{name}", args=[row.pk]) for name in ("change", "delete", "history") if row]
        own = [
            pattern
            for pattern in panel.get_urls()
            if pattern.name and not pattern.name.endswith(("list", "add", "change", "delete", "history"))
        ]
        addresses += [reverse(f"admin:{pattern.name}", args=[row.pk] * pattern.pattern.regex.groups) for pattern in own if row]
    assert len(addresses) > 30
    for who, person in people.items():
        client = Client()
        if person:
            client.force_login(person)
        before = everything()
        for address in addresses:
            for answer in (client.get(address), client.post(address, {"post": "yes", "is_superuser": "on"})):
                assert answer.status_code in (302, 403, 405), (who, address, answer.status_code)
                if answer.status_code == 302 and "/login/" not in answer["Location"]:
                    assert client.get(answer["Location"]).status_code == 403, (who, address)
        assert everything() == before, who


def test_staff_without_all_rights_are_no_admins(study, client, questionnaire):
    person = User.objects.create_user("half", is_staff=True)
    client.force_login(person)
    for address in (f"/questionnaires/{questionnaire.pk}/raters/", "/api/v1/raters/", "/api/v1/invites/", "/metrics"):
        assert client.get(address).status_code in (403, 404), address


# --- what is sent along ----------------------------------------------------------------------------------------------

SENT = "smuggled77123"
NUMBER = 77_123


def smuggled(offered: set[str]) -> dict[str, object]:
    """A value for every column of every table that is not offered."""
    values: dict[str, object] = {}
    for model in OURS:
        for field in model._meta.concrete_fields:
            if field.name in offered or field.name in ("id", "pk"):
                continue
            is_number = isinstance(field, models.IntegerField | models.FloatField | models.ForeignKey | models.BooleanField)
            values[field.name] = NUMBER if is_number else SENT
    return values


def cells() -> Iterator[tuple[str, object]]:
    for model in OURS:
        for field in model._meta.concrete_fields:
            for value in model._default_manager.values_list(field.attname, flat=True):
                yield f"{model._meta.label}.{field.name}", value


ANSWERS = {"key", "valence", "arousal", "confidence", "known", "vocals", "answers", "heard_share", "replays", "hidden_s", "note"}


def schema_of(client: Client) -> dict:
    return client.get("/api/v1/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).json()


def offered(client: Client, address: str) -> set[str]:
    """What the schema says may be sent."""
    schema = schema_of(client)
    shape = re.sub(r"\{\w+\}", "*", f"/{address}")
    path = next(path for path in schema["paths"] if re.sub(r"\{\w+\}", "*", path) == shape)
    content = schema["paths"][path]["post"].get("requestBody", {}).get("content", {})
    names: set[str] = set()
    for kind in content.values():
        reference = kind["schema"].get("$ref", "").rpartition("/")[2]
        found = schema["components"]["schemas"].get(reference, kind["schema"])
        names |= {name for name, value in found.get("properties", {}).items() if not value.get("readOnly")}
    return names


WRITES = {  # what may be sent; {names} are filled in from the study
    "tracks/{track}/describe/": {"title": "Other", "artist": "", "licence": "", "genre": "", "country": "", "external_id": "", "description": ""},
    "tracks/{track}/exclude/": {"reason": "vocals"},
    "releases/{release}/errata/": {"text": "Another mistake."},
    "releases/{release}/faults/": {"track_id": "{track}", "text": "It is not happy."},
    "releases/{release}/export/": {"format": "jams"},
    "runs/{run}/notes/": {"notes": "Good.", "was": ""},
    "runs/{run}/promote/": {"reason": "best"},
    "runs/{run}/again/": {},
    "tokens/": {"name": "mine", "scope": "read", "days": "5"},
    "assignments/{slot}/": {"word": "happy", "heard_s": "5"},
    "questionnaires/{questionnaire}/invites/": {"note": "For you", "max_uses": "3", "days": "5"},
    "api/v1/releases/{release}/errata/": {"text": "Another mistake."},
    "api/v1/releases/{release}/faults/": {"track_id": "{number}", "text": "It is not happy."},
    "api/v1/releases/{release}/export/": {"format": "jams"},
    "api/v1/questionnaires/{questionnaire}/freeze/": {"name": "later", "seed": 1},
    "api/v1/runs/": {"release": "{release}", "network": "mel"},
    "api/v1/paper/{release}/train/": {"recipe": "robust"},
    "api/v1/runs/{run}/notes/": {"notes": "Good."},
    "api/v1/runs/{run}/again/": {},
    "api/v1/runs/{run}/promote/": {"reason": "best"},
    "api/v1/assignments/": {"questionnaire": "{questionnaire}"},
    "api/v1/assignments/{slot}/decline/": {"reason": "broken"},
    "api/v1/ratings/": {"assignment": "{slot}", "word": "happy", "heard_s": 5},
    "api/v1/invites/": {"questionnaire": "{questionnaire}", "note": "For you", "max_uses": 3},
}  # fmt: skip


REFUSES_UNKNOWN = (  # a setting that is misspelt must not train something else
    "api/v1/runs/", "api/v1/paper/{release}/train/", "api/v1/runs/{run}/again/", "api/v1/runs/{run}/promote/", "api/v1/runs/{run}/notes/",
)  # fmt: skip


def test_columns_that_are_sent_along_are_not_stored(study, client, admin_person, questionnaire):
    client.force_login(admin_person)
    slot = slots.reserve_next(questionnaire, raters.rater_of(admin_person))
    assert slot is not None
    known = {
        "track": study.items.first().track_id, "release": study.name, "run": Run.objects.get().pk, "questionnaire": questionnaire.pk,
        "slot": slot.key, "number": study.items.first().number,
    }  # fmt: skip
    assert not [name for name, value in cells() if value in (SENT, NUMBER)]
    before = everything()
    for address, values in WRITES.items():
        is_api = address.startswith("api/")
        sent = {name: value.format(**known) if isinstance(value, str) and "{" in value else value for name, value in values.items()}
        body = smuggled(set(sent) | (offered(client, address) if is_api else ANSWERS)) | sent
        if address in REFUSES_UNKNOWN:
            assert (
                client.post("/" + address.format(**known), body, content_type="application/json").status_code == 400
                and everything() == before
            )
            body = sent
        with transaction.atomic():
            answer = client.post("/" + address.format(**known), body, **({"content_type": "application/json"} if is_api else {}))
            assert answer.status_code in (200, 201, 202, 204, 302), (address, answer.status_code, answer.content[:300])
            assert [name for name, value in cells() if value == SENT or (value == NUMBER and value is not True)] == [], address
            assert everything() != before, f"{address} did nothing: it proves nothing"
            person = User.objects.get(pk=admin_person.pk)
            assert (person.username, person.password) == (admin_person.username, admin_person.password)
            transaction.set_rollback(True)
        assert everything() == before


def test_the_list_of_writes_misses_no_endpoint_that_takes_a_body(study, client, admin_person):
    client.force_login(admin_person)
    with_body = {path for path, item in schema_of(client)["paths"].items() if "requestBody" in item.get("post", {})}
    shape = {re.sub(r"\{\w+\}", "*", "/" + address) for address in WRITES if address.startswith("api/")}
    elsewhere = {  # files, which other tests send; what takes a state for itself; what only adds rows a curator sees
        "/api/v1/tracks/", "/api/v1/runs/*/predict/", "/api/v1/doubts/", "/api/v1/assignments/*/draft/", "/api/v1/consensus/*/rule/",
        "/api/v1/consensus/*/more/", "/api/v1/faults/*/answer/", "/api/v1/raters/*/set_aside/", "/api/v1/ratings/undo/",
        "/api/v1/questionnaires/*/steps/",
    }  # fmt: skip
    assert {re.sub(r"\{\w+\}", "*", path) for path in with_body} - shape - elsewhere == set()


# --- filters that nobody offers --------------------------------------------------------------------------------------

LISTS = (
    "tracks",
    "runs",
    "predictions",
    "releases",
    "consensus",
    "faults",
    "inferences",
    "invites",
    "raters",
    "questionnaires",
    "doubts",
)
OFFERED = {"doubts": {"order"}, "tracks": {"search", "q", "query", "order", "sort"}}  # words or a choice of names, never columns
PREFIXES = (
    "",
    "created_by__",
    "user__",
    "by__",
    "rater__user__",
    "release__runs__created_by__",
    "track__created_by__",
    "run__created_by__",
    "actor__",
)
FIELDS = ("password__startswith", "password__regex", "username__startswith", "email__isnull")
PAGES = ("/tracks/", "/runs/", "/jobs/", "/releases/", "/agreement/")


def test_the_probe_finds_a_filter_that_leaks(study, admin_person):
    """The same names, given to the ORM: it would tell the first letter of a password's hash."""
    kept = Run.objects.filter(created_by__password__startswith=admin_person.password[:1]).count()
    assert kept and not Run.objects.filter(created_by__password__startswith="~").count()


def test_no_filter_search_or_order_of_the_api_tells_a_column_that_it_does_not_offer(study, client, admin_person, questionnaire):
    client.force_login(admin_person)
    wanted = {"doubts": {"release": study.name}, "raters": {"questionnaire": questionnaire.pk}}

    def asked(name: str, **more: str) -> str:
        answer = client.get(f"/api/v1/{name}/", wanted.get(name, {}) | more)
        assert answer.status_code == 200, answer.content[:200]
        return re.sub(r"/(audio|join)/[^\"]+", "", answer.content.decode())  # signed addresses tell the second

    names = [f"{prefix}{field}" for prefix in PREFIXES for field in FIELDS]
    for name in LISTS:
        plain = asked(name)
        found = json.loads(plain)
        assert name == "inferences" or (found["results"] if isinstance(found, dict) else found), "a list without rows leaks nothing"
        for sent in {*names, "ordering", "search", "order", "order_by", "sort", "filter", "q", "query"} - OFFERED.get(name, set()):
            values = (admin_person.password[:1], "~") if sent in names else ("created_by__password", "-user__password")
            for value in values:
                assert asked(name, **{sent: value}) == plain, (name, sent, value)


PANELS = ("auth/user", "datasets/track", "datasets/release", "datasets/job", "datasets/event", "annotate/rater", "annotate/rating",
    "annotate/questionnaire", "mer/run")  # fmt: skip


def test_no_page_is_filtered_by_a_column_that_it_does_not_offer(study, client, admin_person):
    client.force_login(admin_person)

    def rows(address: str, **sent: str) -> tuple[int, int]:
        answer = client.get(address, sent, follow=True)
        assert answer.status_code in (200, 400, 403), (address, sent, answer.status_code)
        assert b"pbkdf2" not in answer.content and b"md5$" not in answer.content
        return answer.status_code, len(re.findall(rb"<tr\b", answer.content))

    for address in (*PAGES, *(f"/admin/{panel}/" for panel in PANELS)):
        plain = rows(address)
        for name in [f"{prefix}{FIELDS[0]}" for prefix in PREFIXES]:
            told = {rows(address, **{name: value}) for value in (admin_person.password[:1], "~")}
            assert len(told) == 1 and told <= {plain, (400, 0)}, (address, name, told)
        for name in ("order", "sort", "o", "state", "release"):
            rows(address, **{name: "created_by__password"})
