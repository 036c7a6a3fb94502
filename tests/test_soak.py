"""Fifty raters, ingest and training at once on the real studio: no error, memory that does not grow, every count right at the end.

Thirty seconds of it in `make test`; twenty minutes with `make soak` (SOAK_S=1200).
"""

import json
import os
import random
import re
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.browser.conftest import Studio
from tests.conftest import tone

pytestmark = pytest.mark.stack
SECONDS = int(os.environ.get("SOAK_S", "30"))
RATERS = 50
WORDS = ("happy", "calm", "sad", "pleased", "relaxed", "angry")
PREPARE = f"""
from django.contrib.auth.models import User
from annotate.models import *
from annotate.services import questionnaires
from datasets import access
from datasets.services import tokens, tracks
dataset = tracks.create_dataset(name="Soak")
questionnaire = questionnaires.questionnaire_of(dataset)
Questionnaire.objects.filter(pk=questionnaire.pk).update(raters_per_track=15, minimum_s=0, with_consent=False, with_background=False,
    with_sound_check=False, with_guidelines=False, with_practice=False, gold_every=0, repeat_every=0)
people = [User.objects.create_user(f"rater-{{n}}") for n in range({RATERS})]
curator = User.objects.create_user("curator"); curator.groups.add(access.curators())
print("TOKENS", *[tokens.issue_token(person, name="soak")[1] for person in [*people, curator]])
print("QUESTIONNAIRE", questionnaire.pk)
"""
LOOK = """
import json
from django.db.models import Count, F, Q
from annotate.models import *
from datasets.models import *
from mer.models import *
rows = Consensus.objects.filter(questionnaire__dataset__name="Soak")
counted = dict(Rating.objects.filter(not_counted="").values_list("track").annotate(n=Count("pk")))
print("LOOK", json.dumps({
    "ratings": Rating.objects.count(), "wrong": sum(row.n_ratings != counted.get(row.track_id, 0) for row in rows),
    "over": rows.filter(n_ratings__gt=F("target")).count(), "votes": sum(sum(row.votes.values()) != row.n_ratings for row in rows),
    "twice": Rating.objects.values("track", "rater").annotate(n=Count("pk")).filter(n__gt=1).count(),
    "ready": Track.objects.filter(state="ready").count(), "failed": Track.objects.filter(state="failed").count(), "tracks": Track.objects.count(),
    "jobs": {state: Job.objects.filter(state=state).count() for state in ("queued", "running", "done", "failed")},
    "runs": [run.state for run in Run.objects.all()], "reasons": [job.reason for job in Job.objects.filter(state="failed")],
}))
"""
FREEZE = """
from annotate.models import *; from annotate.services import freezing
from mer.methods.params import *; from mer.services import runs
questionnaire = Questionnaire.objects.get(dataset__name="Soak")
Questionnaire.objects.filter(pk=questionnaire.pk).update(fewest_raters=1); questionnaire.refresh_from_db()
from annotate.services.questionnaires import settle_anew
settle_anew(questionnaire)
release = freezing.freeze(questionnaire, name="soak-v1", seed=1)
runs.create_run(release=release, training=TrainingParams.of("mel"), spectrograms=SpectrogramParams())
print("FROZEN", release.items.count())
"""


AGAIN = """
from datasets.models import Release; from mer.methods.params import *; from mer.services import runs
runs.create_run(release=Release.objects.get(), training=TrainingParams.of("mel", seed={seed}), spectrograms=SpectrogramParams())
"""


class Load:
    """What happened, from all threads."""

    def __init__(self, studio: Studio, questionnaire: str) -> None:
        self.studio, self.questionnaire = studio, questionnaire
        self.codes: Counter[str] = Counter()
        self.accepted = self.sent = 0
        self.problems: list[str] = []
        self.lock = threading.Lock()
        self.until = time.monotonic() + SECONDS

    def call(self, path: str, token: str, body: bytes | None = None, kind: str = "application/json") -> tuple[int, dict]:
        headers = {"Authorization": f"Token {token}", "Content-Type": kind, "Accept": "application/json"}
        request = urllib.request.Request(f"{self.studio.address}/api/v1/{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, content = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, content = error.code, error.read()
        with self.lock:
            self.codes[f"{path.partition('/')[0]} {status}"] += 1
            if status >= 500:
                self.problems.append(f"{path}: {status} {content[:200]!r}")
        return status, json.loads(content) if content else {}

    def word(self, chance: random.Random) -> str:
        """Mostly what is in the air at the moment: tracks are finished one after the other, so that each gets a majority of its own."""
        return WORDS[int(time.monotonic() / 2) % 3] if chance.random() < 0.8 else chance.choice(WORDS)

    def rate(self, token: str, seed: int) -> None:
        chance = random.Random(seed)
        while time.monotonic() < self.until:
            time.sleep(chance.uniform(0.2, 2.0))
            status, slot = self.call("assignments/", token, json.dumps({"questionnaire": self.questionnaire}).encode())
            if status != 201 and status != 200:
                continue
            self.call(f"assignments/{slot['id']}/shown/", token, b"{}")
            body = json.dumps({"assignment": slot["id"], "word": self.word(chance), "heard_s": 3}).encode()
            status, _answer = self.call("ratings/", token, body)
            if status == 201:
                with self.lock:
                    self.accepted += 1

    def ingest(self, token: str) -> None:
        while time.monotonic() < self.until - 3:
            self.sent += 1
            boundary = "x7x7x7"
            sound = tone(4.0, frequency=200 + self.sent % 900, seed=self.sent)
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="dataset"\r\n\r\nSoak\r\n--{boundary}\r\n'
            head += f'Content-Disposition: form-data; name="file"; filename="{self.sent}.wav"\r\nContent-Type: audio/wav\r\n\r\n'
            body = head.encode() + sound + f"\r\n--{boundary}--\r\n".encode()
            status, answer = self.call("tracks/", token, body, f"multipart/form-data; boundary={boundary}")
            if status != 202:
                self.problems.append(f"upload {self.sent}: {status} {answer}")
            time.sleep(0.1 if self.sent < 30 else 2.0)


KINDS = {"web": "gunicorn", "workers": "celery", "broker": "valkey"}


def memory_mb(studio: Studio, kind: str) -> float:
    """Resident memory of the processes of a kind."""
    total = 0
    for pid in studio.processes(KINDS[kind]):
        with suppress(OSError):  # it ended a moment ago
            text = Path(f"/proc/{pid}/status").read_text()
            total += int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) if "VmRSS" in text else 0
    return total / 1024


def watch_memory(studio: Studio, until: float, seen: dict[str, list[float]]) -> None:
    while time.monotonic() < until:
        time.sleep(min(10.0, SECONDS / 10))
        for kind in KINDS:
            seen[kind].append(memory_mb(studio, kind))


def test_many_raters_ingest_and_training_together_leave_every_count_right(tmp_path):
    studio = Studio(tmp_path)
    studio.command("migrate", "-v0")
    said = studio.command("shell", "-c", PREPARE)
    *tokens, curator = re.search(r"TOKENS (.+)", said).group(1).split()
    studio.start()
    try:
        load = Load(studio, re.search(r"QUESTIONNAIRE (\d+)", said).group(1))
        threads = [threading.Thread(target=load.rate, args=(token, n)) for n, token in enumerate(tokens)]
        threads.append(threading.Thread(target=load.ingest, args=(curator,)))
        for thread in threads:
            thread.start()
        seen: dict[str, list[float]] = {kind: [] for kind in KINDS}
        threads.append(threading.Thread(target=watch_memory, args=(studio, load.until, seen)))
        threads[-1].start()
        time.sleep(SECONDS * 0.6)
        frozen = studio.command("shell", "-c", FREEZE)  # and trainings beside the raters, one after the other
        n_runs = 1
        while time.monotonic() < load.until - 20:
            studio.command("shell", "-c", AGAIN.format(seed=100 + n_runs))
            n_runs += 1
            time.sleep(15)
        for thread in threads:
            thread.join(timeout=SECONDS + 60)
        for _ in range(240):
            found = json.loads(re.search(r"LOOK (.+)", studio.command("shell", "-c", LOOK)).group(1))
            if not found["jobs"]["queued"] and not found["jobs"]["running"]:
                break
            time.sleep(1)
    finally:
        studio.stop()
    middle = {
        kind: (sum(half) / len(half) for half in (found[len(found) // 4 : len(found) // 2], found[-(len(found) // 4) :]))
        for kind, found in seen.items()
    }
    memory = {kind: tuple(round(value) for value in values) for kind, values in middle.items()}
    print(
        f"\n{SECONDS} s, {RATERS} raters: {load.accepted} ratings, {load.sent} recordings, {n_runs} trainings; MB in the second and the last quarter:"
        f" {memory}; {dict(load.codes)}"
    )
    assert load.problems == []
    assert {code.rpartition(" ")[2] for code in load.codes} <= {"200", "201", "202", "204", "404", "409"}, load.codes
    said = (tmp_path / "studio.log").read_text()
    assert "Traceback" not in said and " ERROR " not in said, said[-3000:]
    assert load.accepted > SECONDS and "FROZEN" in frozen
    assert (found["ratings"], found["wrong"], found["over"], found["votes"], found["twice"]) == (load.accepted, 0, 0, 0, 0)
    assert (found["tracks"], found["ready"], found["failed"]) == (load.sent, load.sent, 0)
    assert found["reasons"] == [] and found["runs"] == ["done"] * n_runs
    for kind, (early, late) in memory.items():  # thirty seconds are all warming up; twenty minutes must be flat
        assert late < early * (1.15 if SECONDS >= 300 else 1.5) + 30, (kind, early, late)
