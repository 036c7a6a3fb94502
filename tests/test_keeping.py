"""Backup and restore: everything comes back, damage is noticed, nothing is overwritten; and the way up from the last version's tables."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

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


OLD = {"datasets": "0014", "annotate": "0006", "mer": "0006"}  # the release before this one
ROWS = """
import json
from django.db import connection
from django.utils import timezone
now = timezone.now()
def put(table, **values):
    values = {name: json.dumps(value) if isinstance(value, (dict, list)) else value for name, value in values.items()}
    with connection.cursor() as cursor:
        columns = [column.name for column in connection.introspection.get_table_description(cursor, table)]
        names = [name for name in values if name in columns]
        cursor.execute(f"INSERT INTO {table} ({','.join(names)}) VALUES ({','.join(['%s'] * len(names))})", [values[name] for name in names])
        return cursor.lastrowid
user = put("auth_user", username="citra", password="!", is_superuser=False, is_staff=False, is_active=True, date_joined=now, first_name="", last_name="", email="")
put("authtoken_token", key="a" * 40, user_id=user, created=now) if "authtoken_token" in connection.introspection.table_names() else None
dataset = put("datasets_dataset", name="Songs", description="", synthetic=False, shortest_s=0.5, licence_required=False, age_restricted=True, live_recordings=True, created_at=now)
track = put("datasets_track", dataset_id=dataset, token="t", title="A", artist="", licence="", genre="", country="", source="file", source_url="", external_id="", reference="", sha256="", state="ready", reason="", problem="", source_gone="", label="", created_at=now)
release = put("datasets_release", dataset_id=dataset, name="v1", rule="r", labels=["a"], funnel=[], left_out=[], reliability={}, leakage={}, description="", licence="", authors=[], content_hash="h", frozen_at=now, is_complete=True)
split = put("datasets_split", release_id=release, name="paper", seed=1, parts={})
put("mer_run", release_id=release, split_id=split, network="crnn", params={"seed": 1}, release_hash="h", members=[], excluded=[], environment={}, one_class=False, network_file="", created_at=now)
print("PUT")
"""


def test_the_tables_of_the_version_before_come_up_with_all_their_rows(tmp_path):
    folder = tmp_path / "old"
    manage(folder, "migrate", "-v0", "auth")
    for app, number in OLD.items():
        manage(folder, "migrate", app, number, "-v0")
    manage(
        folder,
        "shell",
        "-c",
        "import sqlite3, os; c = sqlite3.connect(os.environ['DATA_DIR'] + '/db.sqlite3'); c.execute('CREATE TABLE authtoken_token (key varchar(40), created datetime, user_id integer REFERENCES auth_user (id))'); c.commit()",
    )
    assert "PUT" in manage(folder, "shell", "-c", ROWS)
    manage(folder, "migrate", "-v0")
    look = """
from django.contrib.auth.models import User
from datasets.models import *; from mer.models import *
run = Run.objects.get()
print("UP", run.seed, run.notes == "", run.release.name, Track.objects.get().title, User.objects.get().delete()[0] > 0)
"""
    assert re.search(r"UP 1 True v1 A True", manage(folder, "shell", "-c", look))
    assert "No changes detected" in manage(folder, "makemigrations", "--check", "--dry-run")
