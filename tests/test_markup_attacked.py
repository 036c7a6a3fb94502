"""Markup in every text that is stored: whatever page a curator, a guest or an admin comes to by its links, none of it is markup there."""

import re
from collections import deque
from html import unescape

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import models

from annotate.models import Invite, Questionnaire, Rater
from datasets import access
from datasets.models import Event, Release
from datasets.services import releases
from datasets.services.audit import record

pytestmark = pytest.mark.django_db
MARKUP = "<svg onload=alert(1)>"
EVIL = f"'\">{MARKUP}"
NOT_TEXT = {
    "token",
    "claim",
    "task",
    "subject",
    "sha256",
    "content_hash",
    "digest",
    "external_id",
    "address",
    "url",
    "mark",
    "hint",
}
NOT_FOLLOWED = re.compile(r"/(logout|language|static|api|audio|sw\.js)|\.(csv|svg|zip|png|mp3|ics)|/(download|stream|original)")


def poison() -> set[str]:
    """Every stored text that no code reads as a value of its own; returns which."""
    found = set()
    for model in [*(model for app in ("datasets", "annotate", "mer") for model in apps.get_app_config(app).get_models()), User]:
        for field in model._meta.concrete_fields:
            is_text = isinstance(field, models.CharField | models.TextField) and not isinstance(field, models.SlugField)
            if not is_text or field.choices or field.name in NOT_TEXT or (field.max_length or 999) < 40 or field.name == "password":
                continue
            if model is Event:
                continue  # its rows stay as they are: one is added below
            for row in model._default_manager.all():
                text = (
                    f"{EVIL}{row.pk}"
                    if field.unique or any(field.name in c.fields for c in model._meta.constraints if hasattr(c, "fields"))
                    else EVIL
                )
                models.QuerySet(model).filter(pk=row.pk).update(**{field.name: text})
                found.add(f"{model._meta.model_name}.{field.name}")
    record(Release.objects.get(), to="ready", reason=EVIL)
    return found | {"event.reason"}


def pages(client, start: str, most: int) -> dict[str, str]:
    """What is reached from there by links, in the order of finding."""
    found: dict[str, str] = {}
    waiting = deque([start])
    while waiting and len(found) < most:
        address = waiting.popleft()
        if address in found or NOT_FOLLOWED.search(address):
            continue
        answer = client.get(address, follow=True)
        assert answer.status_code < 500, address
        if "text/html" not in answer.get("Content-Type", "") or answer.streaming:
            continue
        found[address] = answer.content.decode()
        for link in re.findall(r'(?:href|hx-get)="(/[^"#]*)', found[address]):
            plain = unescape(link)
            shape = re.sub(r"\d+", "1", plain.partition("?")[0])
            if (
                sum(re.sub(r"\d+", "1", known.partition("?")[0]) == shape for known in [*found, *waiting]) < 2
            ):  # two of a kind say enough
                waiting.append(plain)
    return found


@pytest.fixture
def studio(release, questionnaire, make_track, rate, curator):
    rate(make_track("Disputed"), "happy happy sad sad calm")
    item = release.items.first()
    releases.add_erratum(release, EVIL, by=curator)
    fault = releases.report_fault(release, track_id=item.number, text=EVIL, by=curator)
    releases.report_fault(release, track_id=item.number, text=EVIL, by=curator)
    releases.answer_fault(fault, accepted=False, answer=EVIL, by=curator)
    Rater.objects.update(background={"languages": EVIL, "training": EVIL})
    Invite.objects.create(questionnaire=questionnaire, created_by=curator)
    poisoned = poison()
    Release.objects.update(
        left_out=[{"track": 1, "title": EVIL, "reason": EVIL}], funnel=[{"name": EVIL, "n": 3}], authors=[EVIL],
        leakage=release.leakage | {"groups_over_releases": [EVIL], "groups_in_two_folds": [EVIL]},
    )  # fmt: skip
    for label in questionnaire.dataset.labels.all():
        label.translations = {"id": EVIL[:30]}
        label.save()
    return poisoned


@pytest.mark.parametrize("person", ["rater", "newcomer"])
def test_nor_on_the_pages_of_those_who_rate(studio, client, questionnaire, make_track, person):
    user = User.objects.create_user(person)
    if person == "newcomer":  # with the whole way before it
        Questionnaire.objects.filter(pk=questionnaire.pk).update(
            **{f"with_{step}": True for step in ("consent", "background", "sound_check", "guidelines", "practice")}
        )
    Questionnaire.objects.filter(pk=questionnaire.pk).update(is_open=True)
    make_track("Fresh")
    client.force_login(user)
    start = f"/rate/{questionnaire.pk}/"
    found = pages(client, start, 30)
    for step in ("consent", "background", "sound", "guidelines", "practice"):
        found |= {f"{start}{step}/": client.get(f"{start}{step}/", follow=True).content.decode()}
    found |= pages(client, "/me/", 10) | {"/me/data/": client.get("/me/data/").content.decode()}
    assert len(found) > 6
    raw = {address for address, page in found.items() if MARKUP in page and address != "/me/data/"}  # a file of JSON, to be saved
    assert raw == set()
    assert any("&lt;svg onload=alert(1)&gt;" in page for page in found.values()), "nothing that was stored came to a page"


def test_names_are_text_in_the_drawings_too(studio, client, curator, questionnaire, release):
    from xml.etree import ElementTree

    client.force_login(curator)
    page = client.get(f"/agreement/{questionnaire.pk}/figures/").content.decode()
    addresses = set(re.findall(r'href="(/[^"]+\.svg[^"]*)"', page)) | {f"/releases/{Release.objects.get().name}/compare.svg"}
    n = 0
    for address in addresses:
        answer = client.get(unescape(address))
        if answer.status_code != 200:
            continue
        drawn = ElementTree.fromstring(answer.content)  # noqa: S314  (ours)
        assert not [one for one in drawn.iter() if "onload" in one.attrib or one.tag.endswith("script")], address
        n += 1
    assert n > 0


@pytest.mark.parametrize("person", ["curator", "guest", "admin"])
def test_no_stored_text_is_markup_on_any_page(studio, client, curator, admin_person, person):
    assert {
        "track.title",
        "dataset.name",
        "fault.text",
        "erratum.text",
        "label.name",
        "word.name",
        "event.reason",
        "job.title",
    } <= studio
    guest = User.objects.create_user("tamu", password="x")
    guest.groups.add(access.guests())
    client.force_login({"curator": curator, "guest": guest, "admin": admin_person}[person])
    found = pages(client, "/", 120) | (pages(client, "/admin/", 60) if person == "admin" else {})
    assert len(found) > 25, sorted(found)
    raw = {address for address, page in found.items() if MARKUP in page}
    assert raw == set()
    assert sum("&lt;svg onload=alert(1)&gt;" in page for page in found.values()) > 5, "nothing that was stored came to a page"
