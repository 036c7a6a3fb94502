"""A round of review in a real browser: retrain from the panel, doubt, send back, rate again, freeze, see what it changed."""

import re
import time

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_raters_way import AXE, RULES, listen

pytestmark = [pytest.mark.browser, pytest.mark.stack]
# Nothing waits for raters but what the curator sends back.
PREPARE = """
from django.contrib.auth.models import User
from django.db.models import F
from annotate.models import *
User.objects.create(username="rater-2", password=User.objects.get(username="rater").password)  # who has seen no prediction either
Questionnaire.objects.filter(dataset__name="Demo").update(
    minimum_s=0, tracks_per_rater=None, gold_every=0, repeat_every=0, with_consent=False, with_background=False, with_sound_check=False,
    with_guidelines=False, with_practice=False, is_open=True)
Consensus.objects.filter(n_ratings__lt=F("target")).update(target=F("n_ratings"))
"""


@pytest.fixture(scope="module", autouse=True)
def demo_is_trained(studio) -> None:
    """Its networks are under way since the studio was started."""
    look = 'from datasets.models import *; print("LEFT", Job.objects.filter(task="mer.tasks.train_run", state__in=["queued", "running"]).count())'
    for _ in range(100):
        if "LEFT 0" in studio.command("shell", "-c", look):
            return
        time.sleep(4)
    raise AssertionError("the demo's runs did not end")


def accessible(page: Page, within: str = "main", rules: list[str] = RULES) -> list[str]:
    page.evaluate(AXE)
    result = page.evaluate("([within, rules]) => axe.run(within, {runOnly: rules})", [within, rules])
    return [f"{page.url}: {row['id']}: {row['nodes'][0]['html'][:200]}" for row in result["violations"]]


def test_a_whole_round_from_the_panel_to_the_next_release(studio, log_in):
    studio.command("shell", "-c", PREPARE)
    admin = log_in("admin")
    admin.goto("/admin/")
    admin.get_by_role("link", name=re.compile("Retrain on")).click()
    admin.goto("/releases/demo-v1/train/")
    admin.get_by_label("Network").select_option("features")
    admin.get_by_label("In folds").check()
    admin.get_by_label("Seed:", exact=True).fill("7")
    admin.get_by_role("button", name="Train").click()
    expect(
        admin.get_by_text(re.compile("Waiting for a worker|Features of track|Fitting|Test tracks, hardest first")).first
    ).to_be_visible()
    expect(admin.get_by_text("Test tracks, hardest first")).to_be_visible(timeout=400_000)  # by itself, without a reload of ours

    curator = log_in("curator")
    curator.goto("/runs/?release=demo-v1")
    boxes = curator.get_by_role("checkbox")
    for number in range(2):
        boxes.nth(number).check()
    curator.get_by_role("button", name="Compare the ticked runs").click()
    expect(curator.get_by_role("heading", name="Track by track")).to_be_visible()
    curator.goto("/releases/demo-v1/disagreement/?order=models")
    curator.locator("td.title a").first.click()
    titles = []
    for _ in range(3):
        titles.append(curator.get_by_role("heading", level=1).inner_text())
        curator.get_by_role("button", name="Send back to the raters").click()
        expect(curator.locator(".messages")).to_contain_text("Sent back to the raters")
    assert len(set(titles)) == 3

    for name in ("rater", "rater-2"):
        person = log_in(name, width=390, height=844)
        person.goto("/rate/")
        for number in range(3):
            expect(person.locator(".rate-progress")).to_be_visible()
            listen(person, "Calm")
            person.get_by_role("button", name="Next").click()
            if number < 2:
                expect(person.get_by_role("radio", name="Calm")).not_to_be_checked()
        expect(person.get_by_role("heading", level=1)).not_to_contain_text("Which word")
        assert person.problems == []

    admin.goto("/agreement/")
    admin.locator("a[href$='/freeze/']").first.click()
    admin.get_by_label("Name").fill("round-v2")
    admin.get_by_role("button", name=re.compile("Freeze")).click()
    expect(admin.get_by_text("“round-v2” is frozen")).to_be_visible()
    admin.get_by_role("link", name="What it changed").click()
    expect(admin.get_by_role("heading", name="Prompted by models")).to_be_visible()
    admin.goto("/releases/round-v2/#export")
    admin.get_by_role("button", name="Write the bundle").click()
    expect(admin.get_by_role("link", name=re.compile(r"Download round-v2-csv\.zip"))).to_be_visible(timeout=60_000)
    assert admin.problems == [] and curator.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_curators_pages_have_no_fault_that_axe_knows(studio, log_in, scheme):
    page = log_in("curator", scheme=scheme)
    run = re.search(
        r"RUN (\d+)",
        studio.command("shell", "-c", 'from mer.models import *; print("RUN", Run.objects.filter(network="features").last().pk)'),
    )
    track = re.search(
        r"T (\d+)",
        studio.command(
            "shell", "-c", 'from datasets.models import *; print("T", Signal.objects.exclude(picture="").first().track_id)'
        ),
    )
    addresses = [
        "/runs/?release=demo-v1", f"/runs/{run.group(1)}/", "/releases/demo-v1/compare/", "/releases/demo-v1/disagreement/",
        f"/releases/demo-v1/disagreement/{track.group(1)}/", "/releases/demo-v1/round/", "/releases/demo-v1/learning-curve/",
        "/runs/1/predict/", "/releases/demo-v1/train/", "/questionnaires/1/preview/",
    ]  # fmt: skip
    faults = []
    for address in addresses:
        page.goto(address)
        faults += accessible(page)
    assert faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_panel_has_no_fault_against_wcag_that_axe_knows(log_in, scheme):
    page = log_in("admin", scheme=scheme)
    faults = []
    for address in (
        "", "annotate/questionnaire/", "annotate/questionnaire/1/change/", "datasets/event/", "datasets/job/", "datasets/job/1/change/",
        "datasets/dataset/1/change/", "mer/run/", "auth/user/", "auth/user/1/change/",
    ):  # fmt: skip
        page.goto(f"/admin/{address}")
        faults += accessible(page, "body", [rule for rule in RULES if rule.startswith("wcag")])
    assert faults == []


def test_a_guest_looks_around_and_meets_no_button_that_changes_anything(log_in):
    page = log_in("guest")
    for address in ("/", "/tracks/", "/releases/demo-v1/", "/runs/", "/releases/demo-v1/disagreement/", "/agreement/"):
        page.goto(address)
        expect(page.locator("main")).to_be_visible()
        assert page.locator("main form[method='post']:visible").count() == 0
        for link in ("Train a network", "Add tracks", "Freeze"):
            assert page.get_by_role("link", name=link, exact=True).count() == 0, (address, link)
    assert page.problems == []
