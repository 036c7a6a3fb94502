"""kill -9 in the middle of a freeze and of an export: the release is whole or is not there, and asking again gives the same bundle."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from django.conf import settings

from tests.test_keeping import manage

pytestmark = pytest.mark.stack
N_TRACKS = 400
FILL = f"""
from django.db import transaction
from django.utils import timezone
from annotate.models import *
from annotate.services import questionnaires
from datasets.models import *
from datasets.services import tracks
dataset = tracks.create_dataset(name="Songs")
asked = questionnaires.questionnaire_of(dataset)
made = Track.objects.bulk_create(Track(dataset=dataset, title=f"Piece {{n}}", artist=f"Artist {{n % 50}}", source="file", state="ready",
    sha256=f"{{n:064x}}", duration_s=30.0, token=f"t{{n}}") for n in range({N_TRACKS}))
raters = Rater.objects.bulk_create(Rater(pseudonym=f"R{{n}}") for n in range(5))
words = list(Word.objects.filter(label__dataset=dataset).select_related("label"))
Rating.objects.bulk_create([Rating(questionnaire=asked, track=track, rater=rater, word=words[n % 9], label=words[n % 9].label,
    rated_at=timezone.now()) for n, track in enumerate(made) for rater in raters])
Consensus.objects.bulk_create(Consensus(questionnaire=asked, track=track, target=5, n_ratings=5, state="agreed", agreement=1.0,
    label=words[n % 9].label, votes={{words[n % 9].label.key: 5}}) for n, track in enumerate(made))
print("FILLED", Consensus.objects.count())
"""

HELD = """
SELECT (SELECT COUNT(*) FROM datasets_releaseitem WHERE release_id = release.id),
    (SELECT COUNT(*) FROM datasets_splitmember JOIN datasets_split split ON split.id = split_id WHERE split.release_id = release.id),
    content_hash
FROM datasets_release release
"""


def killed(folder: Path, *arguments: str, when: Callable[[], bool]) -> bool:
    """Start the command and kill it as soon as it is at the place; whether it got killed before it was done."""
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(folder), "HOME": str(folder)}
    line = [sys.executable, "manage.py", *arguments]
    with subprocess.Popen(
        line, cwd=settings.BASE_DIR, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None and not when():
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL


def rows(folder: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(folder / "db.sqlite3")) as database:
        return list(database.execute(sql))


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("killed") / "studio"
    manage(folder, "migrate", "-v0")
    assert f"FILLED {N_TRACKS}" in manage(folder, "shell", "-c", FILL)
    return folder


def test_a_freeze_that_was_killed_leaves_a_whole_release_or_none(study):
    wal = study / "db.sqlite3-wal"
    for number, bytes_written in enumerate((1, 100_000, 400_000)):
        before = wal.stat().st_size if wal.exists() else 0
        killed(study, "freeze", f"v{number}", when=lambda: wal.exists() and wal.stat().st_size >= before + bytes_written)  # noqa: B023
    for items, members, digest in rows(study, HELD):
        assert (items, members, len(digest)) == (N_TRACKS, 2 * N_TRACKS, 64)
    assert f"Froze {N_TRACKS} tracks" in manage(study, "freeze", "last")


def journalled(work: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in work.glob("job-*/*.journal"))


def test_an_export_that_was_killed_goes_on_and_is_the_same(study, tmp_path):
    manage(study, "freeze", "v9", "--seed", "3")
    whole, again = tmp_path / "whole.zip", tmp_path / "again.zip"
    manage(study, "export", "v9", "--format", "jams", "--out", str(whole))
    work = study / "tmp"
    assert killed(study, "export", "v9", "--format", "jams", "--out", str(again), when=lambda: journalled(work) > 50), (
        "it was done before it could be killed"
    )
    assert not again.exists()
    assert any(work.glob("job-*/*.zip"))
    manage(study, "export", "v9", "--format", "jams", "--out", str(again))
    assert again.read_bytes() == whole.read_bytes()
    assert rows(study, "SELECT COUNT(*) FROM datasets_export") == [(1,)]
    assert len(list((study / "media" / "exports").rglob("*.zip"))) == 1
    assert not any(work.glob("job-*")), "nothing is left behind"
