"""The rater's way in a real browser on a phone: invite to thank-you, keyboard, bad connections, other devices, accessibility."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.stack]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PREPARE = """
from annotate.models import *
from annotate.services import raters
Questionnaire.objects.filter(dataset__name="Demo").update(minimum_s=2, tracks_per_rater=None, with_background=True, with_headphone_check=True)
Consensus.objects.filter(n_ratings__lt=5).update(target=50)
print("JOIN", raters.invite_token(raters.create_invite(Questionnaire.objects.get(dataset__name="Demo"))))
"""
COUNT = """
from annotate.models import Rating
rows = Rating.objects.filter(rater__pseudonym="{}").order_by("pk")
print("ROWS", __import__("json").dumps([[row.word.key, row.heard_s, row.heard_share, row.elapsed_s, row.hidden_s] for row in rows]))
"""


@pytest.fixture(scope="module")
def invite(studio) -> str:
    out = studio.command("shell", "-c", PREPARE)
    return f"/join/{re.search(r'JOIN (.+)', out).group(1)}/"


@pytest.fixture
def phone(studio, browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    opened = []

    def make(**options) -> BrowserContext:
        values = {"viewport": {"width": 390, "height": 844}, "base_url": studio.address, "locale": "en-US"} | options
        opened.append(browser.new_context(**values))
        return opened[-1]

    yield make
    for context in opened:
        context.close()


def watched(context: BrowserContext) -> Page:
    page = context.new_page()
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    return page


def walk(page: Page, invite: str, look: Callable[[str], None] = lambda name: None) -> None:
    """From the invite to the first track."""
    page.goto(invite)
    look("join")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Begin").click()
    look("background")
    page.get_by_role("button", name="Go on").click()
    look("sound")
    page.get_by_role("button", name="Play the chord").click()
    page.get_by_role("button", name="The volume is right").click()
    look("guidelines")
    page.get_by_role("button", name="Understood").click()
    look("practice")
    page.get_by_role("radio", name="Happy").check()
    page.get_by_role("button", name="Compare").click()
    look("feedback")
    page.get_by_role("link", name="Go on").click()
    expect(page.locator(".rate-progress")).to_contain_text("1 of ")


def listen(page: Page, word: str = "Calm") -> None:
    page.get_by_role("button", name="Play").click()
    page.get_by_role("radio", name=word).check()
    expect(page.get_by_role("button", name="Next")).to_be_enabled(timeout=60_000)


def pseudonym(page: Page) -> str:
    return page.locator("body").get_attribute("data-rater")


def rows(studio, name: str) -> list[list]:
    return json.loads(re.search(r"ROWS (.+)", studio.command("shell", "-c", COUNT.format(name))).group(1))


def test_from_the_invite_to_a_rating_with_its_evidence_and_back_again(studio, phone, invite):
    page = watched(phone())
    walk(page, invite)
    send = page.get_by_role("button", name="Next")
    page.get_by_role("radio", name="Sad").check()
    expect(send).to_be_disabled()  # nothing was heard yet
    listen(page, "Calm")
    length = page.evaluate("document.querySelector('audio').duration")
    assert length > 45
    send.click()
    expect(page.locator(".rate-progress")).to_contain_text("2 of ")
    ((word, heard, share, elapsed, _hidden),) = rows(studio, pseudonym(page))
    assert word == "calm" and 1.5 <= heard <= elapsed + 0.5 and share == pytest.approx(heard / length, abs=0.04)
    page.get_by_role("button", name="Change my last answer").click()
    expect(page.get_by_role("radio", name="Calm")).to_be_checked()
    page.get_by_role("radio", name="Angry").check()
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".rate-progress")).to_contain_text("2 of ")
    assert [row[0] for row in rows(studio, pseudonym(page))] == ["angry"]
    assert page.problems == []


def test_the_keyboard_alone_leads_the_whole_way(studio, phone, invite):
    page = watched(phone(viewport={"width": 1280, "height": 900}))
    page.goto(invite)

    def tab_to(label: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            name = page.evaluate(
                "(e => (e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent || e.value || '').trim())(document.activeElement)"
            )
            if name.startswith(label):
                return
        raise AssertionError(f"{label} cannot be reached by keyboard")

    tab_to("I have read this"), page.keyboard.press("Space")
    tab_to("Begin"), page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="About you")).to_be_visible()
    tab_to("Go on"), page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Sound check")).to_be_visible()
    tab_to("Play the chord"), page.keyboard.press("Enter")
    tab_to("The volume is right"), page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="How to rate")).to_be_visible()
    tab_to("Understood"), page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Practice")).to_be_visible()
    tab_to("Excited"), page.keyboard.press("ArrowDown")
    tab_to("Compare"), page.keyboard.press("Enter")
    expect(page.get_by_text("for this piece we would say")).to_be_visible()
    tab_to("Go on"), page.keyboard.press("Enter")
    expect(page.locator("[data-send]")).to_be_disabled()  # the page's script is at work
    page.keyboard.press("Space")
    page.wait_for_function("!document.querySelector('audio').paused")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('audio').currentTime > 4")
    page.keyboard.press("3")
    expect(page.get_by_role("radio", name="Pleased")).to_be_checked()
    expect(page.get_by_role("button", name="Next")).to_be_enabled(timeout=60_000)
    page.keyboard.press("Enter")
    expect(page.locator(".rate-progress")).to_contain_text("2 of ")
    assert [row[0] for row in rows(studio, pseudonym(page))] == ["pleased"] and page.problems == []


def test_a_rating_without_a_connection_is_kept_and_sent_once(studio, phone, invite):
    context = phone()
    page = watched(context)
    walk(page, invite)
    listen(page, "Bored")
    context.set_offline(True)
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("Kept on this device")).to_be_visible()
    context.set_offline(False)
    expect(page.locator(".rate-progress")).to_contain_text("2 of ", timeout=60_000)
    page.reload()
    assert [row[0] for row in rows(studio, pseudonym(page))] == ["bored"]
    assert page.evaluate("localStorage.getItem('outbox')") == "[]"


def test_a_choice_survives_a_reload_and_a_second_tab_cannot_rate_twice(studio, phone, invite):
    context = phone()
    page = watched(context)
    walk(page, invite)
    listen(page, "Relaxed")
    page.get_by_label("I know this piece").check()
    with page.expect_request(lambda request: "draft" in request.url and request.method == "POST"):
        pass
    page.reload()
    expect(page.get_by_role("radio", name="Relaxed")).to_be_checked()
    expect(page.get_by_label("I know this piece")).to_be_checked()
    other = watched(context)
    other.goto(page.url)
    expect(other.get_by_role("radio", name="Relaxed")).to_be_checked()
    expect(other.get_by_role("button", name="Next")).to_be_enabled(timeout=60_000)
    expect(page.get_by_role("button", name="Next")).to_be_enabled(timeout=60_000)
    other.get_by_role("button", name="Next").click()
    expect(other.locator(".rate-progress")).to_contain_text("2 of ")
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".rate-progress")).to_contain_text("2 of ")
    expect(page.get_by_text("your first answer counts")).to_be_visible()
    assert [row[0] for row in rows(studio, pseudonym(page))] == ["relaxed"]
    page.goto("/me/")
    page.go_back()  # what is to be rated now, not a used page
    expect(page.locator(".rate-progress")).to_contain_text("2 of ")


def test_a_session_that_ends_while_rating_loses_nothing(studio, phone, invite):
    context = phone()
    page = watched(context)
    walk(page, invite)
    page.goto("/me/")
    back = page.get_by_label("Return link").input_value()
    page.goto("/rate/")
    listen(page, "Excited")
    context.clear_cookies(name="sessionid")
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.goto(back)
    page.get_by_role("button", name="Go on").click()
    expect(page.locator(".rate-progress")).to_contain_text("2 of ", timeout=60_000)
    assert [row[0] for row in rows(studio, pseudonym(page))] == ["excited"]


def test_nothing_of_a_piece_is_left_on_the_next_and_a_reload_loses_nothing(studio, phone, invite):
    page = watched(phone())
    walk(page, invite)
    page.get_by_text("I can’t rate this").click()
    page.get_by_role("radio", name="There is only silence").check()
    page.get_by_label("Anything to add").fill("not this one")
    page.get_by_text("I can’t rate this").click()
    listen(page, "Pleased")
    page.evaluate("document.querySelector('audio').pause()")
    heard = page.evaluate("document.querySelector('[data-player]').heard.seconds")
    page.get_by_role("radio", name="Angry").check()
    page.reload()  # at once: nothing had time to reach the server
    expect(page.get_by_role("radio", name="Angry")).to_be_checked()
    assert page.evaluate("document.querySelector('[data-player]').heard.seconds") == pytest.approx(heard, abs=0.3)
    loads = page.evaluate("performance.getEntriesByType('navigation').length")
    first = page.locator("[data-rate]").get_attribute("action")
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".rate-progress")).to_contain_text("2 of ")
    assert page.locator("[data-rate]").get_attribute("action") != first
    assert page.evaluate("performance.getEntriesByType('navigation').length") == loads
    expect(page.get_by_role("radio", name="Angry")).not_to_be_checked()
    expect(page.get_by_role("button", name="Play")).to_be_focused()
    page.get_by_text("I can’t rate this").click()
    expect(page.get_by_role("radio", name="There is only silence")).not_to_be_checked()
    expect(page.get_by_label("Anything to add")).to_have_value("")
    assert page.problems == []


def test_what_cannot_be_sent_beside_a_rating_stays_on_the_page(studio, phone, invite):
    context = phone()
    page = watched(context)
    walk(page, invite)
    page.get_by_text("I can’t rate this").click()
    page.get_by_role("radio", name="This is not music").check()
    page.get_by_label("Anything to add").fill("a speech")
    context.set_offline(True)
    page.get_by_role("button", name="Send, and give me another piece").click()
    expect(page.get_by_text("No connection: nothing was sent")).to_be_visible()
    expect(page.get_by_label("Anything to add")).to_have_value("a speech")
    context.set_offline(False)
    page.get_by_role("button", name="Send, and give me another piece").click()
    expect(page.get_by_text("Thank you. A curator will look at that piece")).to_be_visible()
    expect(page.locator(".rate-progress")).to_contain_text("1 of ")
    context.clear_cookies(name="sessionid")
    page.get_by_text("I can’t rate this").click()
    page.get_by_role("radio", name="This is not music").check()
    page.get_by_role("button", name="Send, and give me another piece").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_the_next_track_is_loaded_early_and_the_page_is_small(phone, invite):
    page = watched(phone())
    walk(page, invite)
    with page.expect_response(
        lambda response: "/audio/" in response.url and response.request.resource_type == "fetch", timeout=60_000
    ):
        page.goto("/rate/", wait_until="networkidle")
    transferred = page.evaluate(
        "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation')).filter(e => !e.name.includes('/audio/'))"
        ".reduce((sum, e) => sum + e.encodedBodySize, 0)"
    )
    assert 5_000 < transferred < 100_000


def test_it_can_be_installed_and_says_when_there_is_no_connection(phone, invite):
    context = phone()
    page = watched(context)
    walk(page, invite)
    manifest = page.request.get(page.locator("link[rel=manifest]").get_attribute("href")).json()
    assert manifest["display"] == "standalone" and {icon["sizes"] for icon in manifest["icons"]} == {"192x192", "512x512"}
    for icon in manifest["icons"]:
        assert page.request.get(icon["src"]).ok
    page.wait_for_function("navigator.serviceWorker.controller !== null")
    context.set_offline(True)
    page.goto("/rate/")
    expect(page.get_by_role("heading", name="No connection")).to_be_visible()


def problems_of(page: Page) -> list[str]:
    page.wait_for_load_state("load")
    expect(
        page.get_by_role("heading", level=1)
    ).to_be_attached()  # a click has led here: the page before may be gone, this one not in
    page.evaluate(AXE)
    result = page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)
    return [f"{row['id']}: {row['help']} {[node['target'] for node in row['nodes']][:3]}" for row in result["violations"]]


SMALL = """[...document.querySelectorAll('a, button, input, summary, select, textarea')]
  .filter(e => e.offsetParent && !e.classList.contains('skip') && e.type !== 'hidden')
  .map(e => [e.type === 'radio' || e.type === 'checkbox' ? e.closest('label') : e, e])
  .map(([t, e]) => [e.outerHTML.slice(0, 60), t.getBoundingClientRect()]).filter(([, r]) => r.height < 43.5 || r.width < 43.5).map(([h]) => h)"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_of_the_way_is_accessible(phone, invite, scheme):
    page = watched(phone(color_scheme=scheme, reduced_motion="reduce"))
    found: dict[str, list[str]] = {}

    def look(name: str) -> None:
        problems = problems_of(page)
        problems += [f"smaller than 44 px: {one}" for one in page.evaluate(SMALL)]
        page.set_viewport_size({"width": 195, "height": 422})  # 200%
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            problems.append("does not fit at 200%")
        page.set_viewport_size({"width": 390, "height": 844})
        if problems:
            found[name] = problems

    walk(page, invite, look)
    look("rate")
    page.get_by_text("I can’t rate this").click()
    look("can't rate")
    for address in ("/me/", "/", "/rate/1/record/", "/join/x/", "/offline/", "/nowhere/"):
        page.goto(address)
        look(address)
    page.locator(".language button").first.click() if page.locator(".language button").count() else None
    page.goto("/rate/")
    look("rate in the other language")
    assert found == {}


def test_all_that_a_questionnaire_can_ask_in_the_plane(studio, phone, invite):
    studio.command(
        "shell",
        "-c",
        "from annotate.models import *; q = Questionnaire.objects.get(dataset__name='Demo'); "
        "q.layout, q.ask_point, q.ask_confidence = 'plane', True, True; q.save(); "
        "Question.objects.create(questionnaire=q, key='like', kind='likert', text='I like it', required=True); "
        "Question.objects.create(questionnaire=q, key='where', kind='choice', text='Where are you?', options='home\\nbus'); q.save()",
    )
    try:
        page = watched(phone())
        walk(page, invite)
        assert problems_of(page) == []
        boxes = [word.bounding_box() for word in page.locator(".plane .word span").all()]
        for number, one in enumerate(boxes):
            for other in boxes[number + 1 :]:
                apart = (
                    one["x"] + one["width"] <= other["x"] + 0.5
                    or other["x"] + other["width"] <= one["x"] + 0.5
                    or one["y"] + one["height"] <= other["y"] + 0.5
                    or other["y"] + other["height"] <= one["y"] + 0.5
                )
                assert apart, "words of the plane overlap"
        page.locator("[data-pad]").click(position={"x": 20, "y": 20})
        page.get_by_role("radio", name="Certain").check()
        page.get_by_role("radio", name="bus").check()
        page.get_by_role("group", name="I like it").get_by_role("radio", name="4").check()
        listen(page, "Frustrated")
        page.get_by_role("button", name="Next").click()
        expect(page.locator(".rate-progress")).to_contain_text("2 of ")
        out = studio.command(
            "shell", "-c", f"from annotate.models import Rating; r = Rating.objects.get(rater__pseudonym='{pseudonym(page)}'); "
            "print('GOT', r.confidence, r.valence < -0.5, r.arousal > 0.5, r.answers)",
        )  # fmt: skip
        assert "GOT 3 True True {'like': '4', 'where': 'bus'}" in out
    finally:
        studio.command(
            "shell", "-c", "from annotate.models import *; Question.objects.all().delete(); q = Questionnaire.objects.get(dataset__name='Demo'); "
            "q.layout, q.ask_point, q.ask_confidence = 'groups', False, False; q.save()",
        )  # fmt: skip
