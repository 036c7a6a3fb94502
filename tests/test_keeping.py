"""Backup and restore: everything comes back, damage is noticed, nothing is overwritten; and the way up from the last version's tables."""

import gzip
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from django.conf import settings

from config import keeping
from tests.postgres import address, tools

pytestmark = pytest.mark.stack
FILL = """
from django.core.files.base import ContentFile
from django.contrib.auth.models import User
from datasets.models import *
from datasets.services import tracks
User.objects.create_user("citra", password="a long one")
dataset = tracks.create_dataset(name="Songs")
tracks.add_file(dataset=dataset, file=ContentFile(b"RIFF not a wav", name="a.wav"), filename="a.wav", title="A", wake_worker=False)
print("FILES", AudioFile.objects.count())
"""
LOOK = """
from django.contrib.auth.models import User
from datasets.models import *
file = AudioFile.objects.get()
print("BACK", User.objects.get().check_password("a long one"), file.file.read() == b"RIFF not a wav", Track.objects.get().title, Event.objects.count())
"""


def manage(folder: Path, *arguments: str, fails: bool = False, **extra: str) -> str:
    folder.mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(folder), "HOME": str(folder)} | extra
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert bool(done.returncode) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def made_once(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("keeping") / "studio"
    manage(folder, "migrate", "-v0")
    assert "FILES 1" in manage(folder, "shell", "-c", FILL)
    return folder


@pytest.fixture
def filled(made_once, tmp_path) -> Path:
    return Path(shutil.copytree(made_once, tmp_path / "old"))


def test_everything_comes_back_the_secret_key_too(filled, tmp_path):
    path = tmp_path / "studio.tar"
    said = manage(filled, "backup", str(path), "--json")
    assert json.loads(said.splitlines()[-1])["missing"] == [] and path.stat().st_mode & 0o077 == 0
    new = tmp_path / "new"
    manage(new, "restore", str(path))
    assert "BACK True True A" in manage(new, "shell", "-c", LOOK)
    assert (new / "secret_key").read_text() == (filled / "secret_key").read_text()


def test_a_damaged_or_cut_backup_is_refused_before_anything_is_written(filled, tmp_path):
    path = tmp_path / "studio.tar"
    manage(filled, "backup", str(path))
    content = bytearray(path.read_bytes())
    place = content.index(b"RIFF not a wav")
    content[place : place + 4] = b"FFIR"
    path.write_bytes(content)
    new = tmp_path / "new"
    assert "is damaged: take another backup" in manage(new, "restore", str(path), fails=True)
    path.write_bytes(content[: len(content) // 2])
    assert "is no backup" in manage(new, "restore", str(path), fails=True)
    assert not list((new / "media").rglob("*.wav")) if (new / "media").exists() else True


def test_neither_a_backup_nor_a_studio_in_use_is_overwritten(filled, tmp_path):
    path = tmp_path / "studio.tar"
    manage(filled, "backup", str(path))
    assert "exists already" in manage(filled, "backup", str(path), fails=True)
    assert "name a file in a folder that is there" in manage(filled, "backup", str(tmp_path / "no" / "studio.tar"), fails=True)
    assert "is not empty" in manage(filled, "restore", str(path), fails=True)
    new = tmp_path / "new"
    manage(new, "migrate", "-v0")
    (stored,) = (filled / "media").rglob("*.wav")
    other = new / stored.relative_to(filled)
    other.parent.mkdir(parents=True)
    other.write_bytes(b"another studio's")
    assert "The storage holds another" in manage(new, "restore", str(path), fails=True)
    assert other.read_bytes() == b"another studio's"


def test_a_backup_that_puts_back_other_rows_than_it_counted_fails(filled, tmp_path):
    path, other = tmp_path / "studio.tar", tmp_path / "other.tar"
    manage(filled, "backup", str(path))
    with tarfile.open(path) as source, tarfile.open(other, "w") as target:
        for member in source:
            content = source.extractfile(member).read()
            if member.name == keeping.MANIFEST:
                manifest = json.loads(content)
                assert manifest["counts"]["datasets_track"] == 1
                manifest["counts"]["datasets_track"] = 2
                content = json.dumps(manifest).encode()
            member.size = len(content)
            target.addfile(member, io.BytesIO(content))
    assert "datasets_track: 2 rows in the backup, 1 here" in manage(tmp_path / "new", "restore", str(other), fails=True)


def test_tables_of_another_application_are_not_thrown_away(filled, tmp_path):
    path, new = tmp_path / "studio.tar", tmp_path / "new"
    manage(filled, "backup", str(path))
    new.mkdir()
    with closing(sqlite3.connect(new / "db.sqlite3")) as database:
        database.execute("CREATE TABLE invoices (id int)")
        database.execute("INSERT INTO invoices VALUES (7)")
        database.commit()
    assert "not the studio's (invoices): is DATABASE_URL right?" in manage(new, "restore", str(path), fails=True)
    with closing(sqlite3.connect(new / "db.sqlite3")) as database:
        assert database.execute("SELECT id FROM invoices").fetchall() == [(7,)]


def _without_recordings(manifest: dict) -> None:
    for name in [name for name in manifest["sha256"] if name.startswith("files/")]:
        del manifest["sha256"][name]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_without_recordings, "lacks 1 files that its database names"),
        (lambda manifest: manifest["sha256"].pop("secret_key"), "holds no key"),
        (lambda manifest: manifest["sha256"].pop("database/db.sqlite3"), "holds no database"),
        (lambda manifest: manifest.pop("made_at"), "is no backup"),
        (lambda manifest: manifest.update(counts=[]), "is no backup"),
        (lambda manifest: manifest.update(sha256=[]), "is no backup"),
    ],
)
def test_a_backup_whose_list_was_changed_is_refused_with_a_sentence(filled, tmp_path, spoil, said):
    path, other = tmp_path / "studio.tar", tmp_path / "other.tar"
    manage(filled, "backup", str(path))
    with tarfile.open(path) as source, tarfile.open(other, "w") as target:
        content = {member.name: source.extractfile(member).read() for member in source}
        manifest = json.loads(content.pop(keeping.MANIFEST))
        spoil(manifest)
        kept = {name: held for name, held in content.items() if name in (manifest["sha256"] or content)}
        for name, held in (kept | {keeping.MANIFEST: json.dumps(manifest).encode()}).items():
            info = tarfile.TarInfo(name)
            info.size = len(held)
            target.addfile(info, io.BytesIO(held))
    told = manage(tmp_path / "new", "restore", str(other), fails=True)
    assert said in told and "Traceback" not in told


@pytest.mark.parametrize("name", ["files/../../evil", "database//tmp/evil", "files//evil", "database/other", "elsewhere"])
def test_a_tar_that_leads_out_of_its_folder_is_refused(tmp_path, name):
    path = tmp_path / "evil.tar"
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo(name)
        info.size = 0
        tar.addfile(info)
    with tarfile.open(path) as tar, pytest.raises(keeping.BackupRefused, match="does not belong into a backup"):
        list(keeping._members(tar))


def test_a_file_that_is_gone_is_named_and_the_rest_is_kept(filled, tmp_path):
    (stored,) = (filled / "media").rglob("*.wav")
    stored.unlink()
    said = manage(filled, "backup", str(tmp_path / "studio.tar"), fails=True)
    assert "MISSING: a row names audio/" in said and (tmp_path / "studio.tar").exists()


def test_on_postgresql_it_is_dumped_and_put_back(tmp_path):
    extra = {"DATABASE_URL": address(), "PATH": f"{tools()}{os.pathsep}{os.environ['PATH']}"}
    old = tmp_path / "old"
    manage(old, "migrate", "-v0", **extra)
    manage(old, "shell", "-c", FILL, **extra)
    path = tmp_path / "studio.tar"
    said = manage(old, "backup", str(path), "--json", **extra)
    assert json.loads(said.splitlines()[-1])["counts"]["datasets_track"] == 1
    manage(old, "flush", "--no-input", **extra)
    new = tmp_path / "new"
    manage(new, "restore", str(path), **extra)
    assert "BACK True True A" in manage(new, "shell", "-c", LOOK, **extra)


EARLIER = (
    Path(__file__).parent / "kept"
)  # databases of a studio of 2026-11-25, with its demo and one run: written by the code of that day
COUNTS = """
import json
from django.db import connection
names = [name for name in connection.introspection.table_names() if name.startswith(("datasets_", "annotate_", "mer_", "auth_user"))]
with connection.cursor() as cursor:
    print("COUNTS", json.dumps({name: (cursor.execute(f"SELECT count(*) FROM {name}"), cursor.fetchone()[0])[1] for name in names}))
"""
PAGES = r"""
import re
from collections import deque
from html import unescape
from django.contrib.auth.models import User
from django.test import Client
from datasets.models import *; from annotate.models import *; from mer.models import *
client = Client(raise_request_exception=False, SERVER_NAME="localhost"); client.force_login(User.objects.get(username="admin"))
seen, waiting = {}, deque(["/", "/admin/"])
while waiting and len(seen) < 90:
    address = waiting.popleft()
    if address in seen or re.search(r"/(logout|language|static|api|audio|sw\.js)|\.(csv|svg|zip|png)|/(download|network)", address):
        continue
    answer = client.get(address, follow=True)
    seen[address] = answer.status_code
    if "text/html" in answer.get("Content-Type", "") and not answer.streaming:
        for link in re.findall(r'href="(/[^"#]*)', answer.content.decode()):
            plain = unescape(link)
            shape = re.sub(r"\d+", "1", plain.partition("?")[0])
            if sum(re.sub(r"\d+", "1", one.partition("?")[0]) == shape for one in [*seen, *waiting]) < 2:
                waiting.append(plain)
release, run = Release.objects.get(), Run.objects.filter(evaluations__isnull=False).distinct().get()
print("UP", len(seen), sorted({code for code in seen.values() if code >= 400}), sorted(a for a, code in seen.items() if code >= 500),
    release.content_hash[:8], run.evaluations.count(),
    Rating.objects.filter(elsewhere=True).count() == Rating.objects.filter(assignment=None).count() > 0, Job.objects.exclude(log="").count(), Event.objects.count() > 50)
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_database_of_an_earlier_version_comes_up_with_all_its_rows_and_every_page_opens(tmp_path, kind):
    folder = tmp_path / "studio"
    folder.mkdir()
    dump = gzip.decompress((EARLIER / f"studio-2026-11-25.{kind}.sql.gz").read_bytes()).decode()
    extra: dict[str, str] = {}
    if kind == "sqlite":
        with closing(sqlite3.connect(folder / "db.sqlite3")) as database:
            database.executescript(dump)
    else:
        name = f"earlier_{os.getpid()}"
        with psycopg.connect(address(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        uri = re.sub(r"/postgres(?=\?|$)", f"/{name}", address())
        subprocess.run(
            [f"{tools()}/psql", "--quiet", "--set", "ON_ERROR_STOP=1", uri], input=dump.encode(), capture_output=True, check=True
        )
        extra = {"DATABASE_URL": uri}
    before = json.loads(re.search(r"COUNTS (.+)", manage(folder, "shell", "-c", COUNTS, **extra))[1])
    assert before["annotate_rating"] > 50 and before["mer_prediction"] > 5 and before["datasets_event"] > 50
    manage(folder, "migrate", "-v0", **extra)
    after = json.loads(re.search(r"COUNTS (.+)", manage(folder, "shell", "-c", COUNTS, **extra))[1])
    assert {name: after.get(name) for name in before} == before, "rows were lost or added on the way up"
    assert "No changes detected" in manage(folder, "makemigrations", "--check", "--dry-run", **extra)
    manage(folder, "collectstatic", "--noinput", "-v0", **extra)
    said = manage(folder, "shell", "-c", PAGES, **extra)
    n, codes, broken, digest, n_parts, n_elsewhere, n_logs, has_events = re.search(
        r"UP (\d+) (\[.*?\]) (\[.*?\]) (\w+) (\d+) (\w+) (\d+) (\w+)", said
    ).groups()
    assert int(n) > 40 and broken == "[]" and json.loads(codes) in ([], [404]), said
    assert re.fullmatch("[0-9a-f]{8}", digest) and (n_parts, n_elsewhere, n_logs, has_events) == ("3", "True", "0", "True"), said
