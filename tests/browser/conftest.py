"""The studio as a user starts it: its own processes, data folder and port; Chromium in front of it."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.needs import chromium

ROOT = Path(__file__).resolve().parent.parent.parent
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


expect.set_options(timeout=30_000)  # a busy machine; what is there is found at once


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Studio:
    folder: Path
    port: int = field(default_factory=free_port)
    extra: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """A home without the system's tools: no ffmpeg, no redis, no node on PATH."""
        kept = {name: value for name, value in os.environ.items() if name in ("LANG", "TMPDIR", "XDG_RUNTIME_DIR")}
        return (
            kept | {"PATH": "/nowhere", "HOME": str(self.folder), "DATA_DIR": str(self.folder), "PORT": str(self.port)} | self.extra
        )

    @property
    def password(self) -> str:
        return (self.folder / "demo_password").read_text().strip()

    def start(self) -> None:
        """Start it and wait until it answers."""
        began = time.monotonic()
        log = (self.folder / "studio.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "studio"], cwd=ROOT, env=self.environment, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        while time.monotonic() - began < 300:
            try:
                urllib.request.urlopen(f"{self.address}/login/", timeout=2).close()
                return
            except (urllib.error.URLError, OSError):
                assert self.process.poll() is None, (self.folder / "studio.log").read_text()[-3000:]
                time.sleep(0.3)
        raise AssertionError((self.folder / "studio.log").read_text()[-3000:])

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(timeout=90)

    def command(self, *arguments: str) -> str:
        line = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(line, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def processes(self, *words: str) -> list[int]:
        """Processes of this studio whose command line holds all the words, oldest first."""
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdecimal():
                continue
            try:
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                # Valkey writes its title over its environment, but names its socket in it.
                mine = (
                    f"DATA_DIR={self.folder}".encode() in (folder / "environ").read_bytes().split(b"\0") or str(self.folder) in line
                )
            except (OSError, ValueError):
                continue
            if mine and all(word in line for word in words):
                found.append(int(folder.name))
        return sorted(found)


@contextmanager
def running(folder: Path, **extra: str) -> Iterator[Studio]:
    studio = Studio(folder, extra=extra)
    studio.start()
    try:
        yield studio
    finally:
        if studio.process and studio.process.poll() is None:
            studio.stop()


@pytest.fixture(scope="session")
def studio(tmp_path_factory) -> Iterator[Studio]:
    with running(tmp_path_factory.mktemp("studio")) as started:
        yield started


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium()
    assert path, "Chromium is missing: python -m tests.needs says how to install it"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def log_in(studio: Studio, browser: Browser) -> Iterator:
    contexts = []

    def open_page(name: str, *, width: int = 1280, height: int = 900, scheme: str = "light", on: Studio | None = None) -> Page:
        where = on or studio
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, base_url=where.address)
        contexts.append(context)
        page = context.new_page()
        page.problems, page.asked = [], []
        page.on("dialog", lambda dialog: (page.asked.append(dialog.message), dialog.accept()))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
        page.goto("/login/")
        page.get_by_label("Username").fill(name)
        page.get_by_label("Password").fill(where.password)
        page.locator("main").get_by_role("button", name="Log in").click()
        expect(page.get_by_role("button", name="Log out")).to_be_visible()
        return page

    yield open_page
    for context in contexts:
        context.close()
