"""The curators' chain in a real browser against the real processes: bring in, freeze, train, compare, export."""

import re
import time

import pytest
from playwright.sync_api import Error, expect

from tests.conftest import tone
from tests.methods.test_fingerprints import encoded, melody

pytestmark = [pytest.mark.browser, pytest.mark.stack]
HERE = "[data-files] li.good, [data-files] li.bad"  # files that have come in, whatever became of them since


def test_an_uploaded_file_becomes_a_track_with_waveform_and_spectrogram(log_in):
    page = log_in("curator")
    page.goto("/tracks/add/")
    page.get_by_label("Dataset").select_option("Demo")
    page.get_by_label("Audio files").set_input_files(
        [
            {"name": "Long tone.wav", "mimeType": "audio/wav", "buffer": tone(48.5, seed=77)},
            {"name": "Noise.mp3", "mimeType": "audio/mpeg", "buffer": b"no music" * 999},
        ]
    )
    expect(page.locator(HERE)).to_have_count(2)
    page.get_by_role("link", name="See how far they are").click()
    row = page.get_by_role("row", name=re.compile("Long tone"))
    expect(row.get_by_text("Ready")).to_be_visible(timeout=60_000)
    failed = page.get_by_role("row", name=re.compile("Noise"))
    expect(failed.get_by_text("Failed")).to_be_visible(timeout=60_000)
    expect(failed).to_contain_text("not a recording")
    row.get_by_role("link", name="Long tone").click()
    _reload_until_drawn(page)
    size = page.evaluate(
        "(() => { const i = document.querySelector('img.spectrogram'); return [i.naturalWidth, i.naturalHeight]; })()"
    )
    assert size == [256, 128]


def test_what_is_ticked_while_tracks_come_in_stays_ticked(studio, log_in):
    coming = "from datasets.models import *; t = Track.objects.create(dataset=Dataset.objects.get(name='Demo'), title='Coming', source='youtube', external_id='abcdefghijk', state='waiting')"
    studio.command("shell", "--no-imports", "-c", coming)
    try:
        page = log_in("curator")
        page.goto("/tracks/")
        box = page.get_by_role("row", name=re.compile("Sketch")).first.get_by_role("checkbox")
        box.check()
        asked = []
        page.on("request", lambda request: asked.append(request.url) if request.headers.get("hx-request") else None)
        page.wait_for_timeout(5000)
        expect(box).to_be_checked()
        assert asked == [], "the list was loaded anew under the hand"
        box.uncheck()
        page.wait_for_timeout(3000)
        assert asked, "nothing is ticked any more: it goes on by itself"
    finally:
        studio.command(
            "shell", "--no-imports", "-c", "from datasets.models import *; Track.objects.filter(title='Coming').delete()"
        )


def test_a_file_goes_on_by_itself_after_a_broken_connection_and_a_copy_of_it_is_shown_beside_it(log_in, tmp_path):
    page = log_in("curator")
    page.goto("/tracks/add/")
    page.get_by_label("Dataset").select_option("Demo")
    wav = melody(tmp_path / "melody.wav", seed=5, seconds=110)  # more than one piece of an upload
    pieces = []

    def flaky(route):
        pieces.append(route.request.headers["x-start"])
        route.abort() if len(pieces) == 2 else route.continue_()

    page.route(re.compile(r"/uploads/[\w-]+/$"), flaky)
    page.get_by_label("Audio files").set_input_files(wav)
    expect(page.locator(HERE)).to_be_visible(timeout=60_000)
    assert pieces == ["0", "4194304", "4194304"]
    page.problems.clear()
    copy = encoded(wav, tmp_path / "the same again.mp3", "-ss", "5")
    page.get_by_label("Audio files").set_input_files(copy)
    expect(page.locator(HERE)).to_have_count(2)
    for _ in range(60):
        page.goto("/tracks/duplicates/")
        if page.locator("[data-player]").count() == 2:
            break
        page.wait_for_timeout(500)
    page.get_by_role("button", name=re.compile("Keep both")).click()
    expect(page.get_by_text("Both are kept")).to_be_visible()
    assert page.problems == []


def test_an_upload_goes_on_after_the_page_was_loaded_again(log_in, tmp_path):
    page = log_in("curator")
    page.goto("/tracks/add/")
    page.get_by_label("Dataset").select_option("Demo")
    wav = melody(tmp_path / "second.wav", seed=9, seconds=110)
    pieces = []

    def silent(route):
        pieces.append(route.request.headers["x-start"])
        if len(pieces) != 2:  # the second piece is never answered
            route.continue_()

    page.route(re.compile(r"/uploads/[\w-]+/$"), silent)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_label("Audio files").set_input_files(wav)
    expect(page.get_by_role("progressbar")).to_have_attribute("value", re.compile("0.8"), timeout=60_000)
    page.goto("/tracks/add/")
    page.get_by_label("Dataset").select_option("Demo")
    page.get_by_label("Audio files").set_input_files(wav)
    expect(page.locator(HERE)).to_be_visible(timeout=60_000)
    assert pieces == ["0", "4194304", "4194304"]


def _reload_until_drawn(page) -> None:
    for _ in range(30):
        page.reload()
        page.wait_for_timeout(700)
        if page.locator("img.spectrogram").count() == 2:
            return
    raise AssertionError("no spectrograms came")


def test_both_networks_train_live_and_can_be_compared(log_in):
    page = log_in("curator")
    page.goto("/releases/demo-v1/compare/", wait_until="commit")  # it may reload itself before it is loaded
    seen = set()
    until = time.monotonic() + 420
    while time.monotonic() < until:  # the page is live: it goes on by itself, and reloads itself when a run is done
        try:
            text = page.locator("main").inner_text(timeout=60_000)
        except Error:
            continue
        seen |= set(re.findall(r"Epoch \d+ of \d+", text))
        if "apart" in text or "is better than" in text:
            break
        page.wait_for_timeout(1000)
    expect(page.get_by_role("link", name="cnn #1").first).to_be_visible()
    expect(page.get_by_role("link", name="crnn #2").first).to_be_visible()
    expect(page.get_by_text(re.compile("tracks can’t tell|is better than"))).to_be_visible()
    assert len(seen) >= 2, "progress was never seen live"
    page.get_by_role("cell", name=re.compile("crnn #2")).get_by_role("link").click()
    for caption in ("Accuracy by epoch", "Loss by epoch", "Confusion on the test part"):
        expect(page.get_by_text(caption)).to_be_visible()
    assert page.problems == []


def test_an_admin_freezes_and_exports_from_the_panel(log_in):
    page = log_in("admin")
    page.goto("/admin/annotate/questionnaire/")
    page.get_by_role("link", name=re.compile("Emotion of Demo")).first.click()
    page.get_by_role("link", name="Freeze a release").click()
    page.get_by_label("Name").fill("browser-v1")
    page.get_by_role("button", name=re.compile("Freeze")).click()
    expect(page.get_by_text("“browser-v1” is frozen")).to_be_visible()
    assert len(page.asked) == 1 and "never changed afterwards" in page.asked[0]
    page.goto("/admin/datasets/release/")
    page.get_by_role("link", name="browser-v1").first.click()
    page.get_by_role("link", name="Export").click()
    page.get_by_role("button", name="Write the bundle").click()
    link = page.get_by_role("link", name=re.compile(r"Download browser-v1-csv\.zip"))
    expect(link).to_be_visible(timeout=60_000)
    with page.expect_download() as download:
        link.click()
    assert download.value.suggested_filename == "browser-v1-csv.zip"
    page.goto("/admin/mer/run/")
    page.get_by_role("link", name="Train on the newest release").click()
    expect(page.get_by_role("heading", name="Train on browser-v1")).to_be_visible()
