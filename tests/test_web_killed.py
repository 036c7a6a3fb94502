"""Web processes that are killed while people rate: nothing is lost, nothing is there twice, every track gets exactly its target.

And lines that are slow or silent: they hold up nobody else.
"""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import requests
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.db import connection

from annotate.models import Assignment, Consensus, Rating
from config.sessions import SessionStore
from config.wsgi import PATIENCE_S
from datasets.models import Event
from tests.browser.conftest import free_port

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]
ROOT = Path(__file__).resolve().parent.parent
N_RATERS = 12
N_TRACKS = 30
TOKEN = "a" * 32  # of CSRF: the page's own, sent back


@pytest.fixture
def server():
    """The product's web server on the tests' database."""
    port, name = free_port(), str(connection.settings_dict["NAME"])
    address = f"sqlite:///{name}"
    if connection.vendor == "postgresql":
        address = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()
    environment = os.environ | {
        "DATABASE_URL": address, "PORT": str(port), "WEB_CONCURRENCY": "3", "LOG_LEVEL": "ERROR", "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "config.settings", "METRICS_TOKEN": "a-long-token",
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "gunicorn", "--config", "python:config.gunicorn"], cwd=ROOT, env=environment)
    yield process, f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(timeout=30)


def workers(master: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]


def session_of(name: str) -> requests.Session:
    user = User.objects.create_user(name)
    store = SessionStore()
    store[SESSION_KEY], store[BACKEND_SESSION_KEY] = str(user.pk), settings.AUTHENTICATION_BACKENDS[-1]
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.save()
    session = requests.Session()
    session.cookies.update({"sessionid": store.session_key, "csrftoken": TOKEN})
    session.headers.update({"Accept": "application/json", "X-CSRFToken": TOKEN})
    return session


def until_answered(session: requests.Session, method: str, url: str, **values) -> requests.Response:
    """As the page does: what got no answer is sent again, with the same key."""
    for _ in range(200):
        try:
            return session.request(method, url, timeout=10, **values)
        except requests.RequestException:
            time.sleep(0.05)
    raise AssertionError(f"no answer from {url}")


def rate_until_nothing_is_left(
    session: requests.Session, base: str, questionnaire: int, seen: Counter, problems: list[str]
) -> None:
    try:
        while True:
            piece = until_answered(session, "GET", f"{base}/rate/{questionnaire}/")
            seen[piece.status_code] += 1
            if piece.status_code == 204:
                return
            time.sleep(random.random() * 0.2)
            values = {"word": random.choice(["happy", "calm", "sad"]), "key": uuid.uuid4().hex, "heard_s": "20"}
            answer = until_answered(session, "POST", base + piece.json()["url"], data=values)
            seen[answer.status_code] += 1
    except Exception as error:
        problems.append(repr(error))


def test_kill_9_of_web_processes_while_people_rate(server, make_track, questionnaire):
    master, base = server
    for _ in range(N_TRACKS):
        make_track()
    sessions = [session_of(f"k{number}") for number in range(N_RATERS)]
    seen: Counter[int] = Counter()
    problems: list[str] = []
    threads = [
        threading.Thread(target=rate_until_nothing_is_left, args=(session, base, questionnaire.pk, seen, problems))
        for session in sessions
    ]
    for thread in threads:
        thread.start()
    kills = 0
    rng = random.Random(1)
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.1)
        if (alive := workers(master.pid)) and seen:
            os.kill(rng.choice(alive), signal.SIGKILL)
            kills += 1
    assert problems == []
    assert kills >= 3, "nothing was killed: the test proves nothing"
    assert set(seen) <= {200, 201, 204}, seen
    counted = Counter(Rating.objects.filter(not_counted="").values_list("track_id", flat=True))
    left = Assignment.objects.filter(state__in=["open", "ahead"]).count()
    assert left == 0 and set(counted.values()) == {5} and len(counted) == N_TRACKS
    assert all(row.n_ratings == 5 == sum(row.votes.values()) for row in Consensus.objects.all())
    assert Event.objects.filter(subject="assignment", to_state="rated").count() == Rating.objects.count()
    assert master.poll() is None, "the server itself is gone"


def test_metrics_add_up_what_all_web_processes_did(server):
    _master, base = server
    until_answered(requests.Session(), "GET", f"{base}/healthz")
    for _ in range(30):
        requests.get(f"{base}/healthz", timeout=10, headers={"Connection": "close"})
    page = requests.get(f"{base}/metrics", headers={"Authorization": "Bearer a-long-token"}, timeout=10).text
    [counted] = re.findall(r'^mer_request_seconds_count\{code="2xx",method="GET",route="healthz"\} (\S+)', page, re.MULTILINE)
    assert float(counted) >= 31, "one process tells of itself only"


def test_who_falls_silent_in_the_middle_of_a_request_is_hung_up_on(monkeypatch):
    """Each holds a thread, and there are few of them."""
    from config import gunicorn

    monkeypatch.setattr(gunicorn, "RECEIVE_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as door:
        gunicorn.when_ready(SimpleNamespace(LISTENERS=[SimpleNamespace(sock=door)]))
        with socket.create_connection(door.getsockname()) as silent:
            silent.sendall(b"GET / HTTP/1.1\r\n")
            served, _address = door.accept()
            with served:
                served.setblocking(True)
                assert served.recv(100)
                with pytest.raises(BlockingIOError):
                    served.recv(100)


def test_a_sender_that_falls_silent_holds_up_nobody(server, make_track, questionnaire):
    _master, base = server
    make_track()
    session = session_of("quick")
    address = base.removeprefix("http://").split(":")
    until_answered(session, "GET", f"{base}/rate/{questionnaire.pk}/")
    head = f"POST /login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: csrftoken={TOKEN}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    silent = [socket.create_connection((address[0], int(address[1]))) for _ in range(3)]
    for one in silent:
        one.sendall(f"{head}Content-Length: 500\r\n\r\nx=".encode())
    time.sleep(0.5)
    waited = []
    for _ in range(10):
        began = time.monotonic()
        assert session.get(f"{base}/rate/{questionnaire.pk}/", timeout=20).status_code == 200
        waited.append(time.monotonic() - began)
    for one in silent:
        one.close()
    assert sorted(waited)[5] < PATIENCE_S, f"each request waited for the silent ones: {waited}"
