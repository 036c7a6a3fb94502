"""Every page at both widths in both themes: nothing sticks out, nothing breaks, the web processes stay small."""

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.stack]
PAGES = (
    "/", "/rate/", "/tracks/", "/tracks/add/", "/tracks/1/", "/agreement/", "/releases/", "/releases/demo-v1/", "/releases/demo-v1/train/",
    "/releases/demo-v1/compare/", "/runs/", "/runs/1/", "/jobs/", "/nowhere/",
)  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_sticks_out_or_logs_an_error(log_in, width, scheme):
    page = log_in("curator", width=width, scheme=scheme)
    for address in PAGES:
        response = page.goto(address)
        assert response.status == (404 if address == "/nowhere/" else 200)
        page.wait_for_load_state("networkidle") if address not in (
            "/",
            "/tracks/",
            "/runs/1/",
            "/releases/demo-v1/compare/",
        ) else None
        # Asked until it holds: a page on which work ends may load itself anew between two questions.
        expect(page.locator("html"), f"{address} is wider than the window").to_have_js_property("scrollWidth", width)
    assert [problem for problem in page.problems if "404" not in problem] == []


def test_the_web_processes_stay_under_150_mb(studio, log_in):
    page = log_in("admin")
    for address in (*PAGES, "/admin/", "/api/v1/tracks/", "/api/v1/schema/"):
        for _ in range(4):
            page.goto(address) if "schema" not in address else page.request.get(address)
    for pid in studio.processes("gunicorn"):
        with open(f"/proc/{pid}/status") as file:  # noqa: PTH123
            resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
        assert resident < 150_000, f"web process {pid} holds {resident} kB"
