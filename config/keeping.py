"""A backup is one tar: the database as it is at one moment, every file that its rows name, the secret key, and a list with checksums."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from django.apps import apps
from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import connection, models, transaction
from django.utils import timezone

from datasets.errors import MERError
from datasets.methods.audio import sha256_of

MANIFEST = "manifest.json"
FORMAT = 1
Tell = Callable[[str], None]


class BackupRefused(MERError):
    """It cannot be made, trusted or put back; the message says why and what to do."""


@dataclass(frozen=True)
class Dump:
    """The database as it is at one moment: its copy, the files that its rows name, and how many rows its tables have."""

    path: Path
    names: list[str]
    counts: dict[str, int]


Query = Callable[[str], Iterable[tuple[Any, ...]]]


def _query(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def _file_names(query: Query) -> list[str]:
    """Every stored file that a row names."""
    found: set[str] = set()
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, models.FileField):
                column, table = field.column, model._meta.db_table
                found |= {name for (name,) in query(f"SELECT {column} FROM {table} WHERE {column} <> ''")}  # noqa: S608
    return sorted(found)


def _counts(query: Query) -> dict[str, int]:
    """Rows by table, as far as they are the study's: sessions and the like come and go."""
    mine = [model._meta.db_table for model in apps.get_models() if model._meta.app_label in ("auth", "datasets", "annotate", "mer")]
    return {table: next(iter(query(f"SELECT COUNT(*) FROM {table}")))[0] for table in mine}  # noqa: S608


def write_backup(path: Path, tell: Tell) -> dict[str, Any]:
    """Write the backup and read it again; nothing is left at `path` if that fails. The studio may run meanwhile."""
    if path.exists():
        raise BackupRefused(f"{path} exists already: choose another name, or move it away.")
    part = path.with_name(path.name + ".part")
    try:
        part.touch(mode=0o600)
    except OSError as error:
        raise BackupRefused(f"{part} cannot be written ({error.strerror}): name a file in a folder that is there.") from None
    try:
        with tempfile.TemporaryDirectory(dir=settings.WORK_DIR) as folder:
            tell("The database")
            dump = _dump(Path(folder))
            with tarfile.open(part, "w") as tar:
                writer = _Writer(tar)
                with dump.path.open("rb") as file:
                    writer.add(f"database/{dump.path.name}", file, dump.path.stat().st_size)
                content = settings.SECRET_KEY.encode()
                writer.add("secret_key", io.BytesIO(content), len(content))
                missing = []
                for number, name in enumerate(dump.names, 1):
                    tell(f"File {number} of {len(dump.names)}")
                    try:
                        with default_storage.open(name) as file:
                            writer.add(f"files/{name}", file, file.size)
                    except FileNotFoundError:
                        missing.append(name)
                manifest = {
                    "format": FORMAT, "made_at": timezone.now().isoformat(), "vendor": connection.vendor, "missing": missing,
                    "counts": dump.counts, "sha256": writer.sums,
                }  # fmt: skip
                content = json.dumps(manifest, indent=1).encode()
                writer.add(MANIFEST, io.BytesIO(content), len(content))
        tell("Reading it again")
        check_backup(part)
        part.replace(path)
    except (OSError, sqlite3.Error) as error:
        raise BackupRefused(
            f"{path} was not written ({error}). Is the disk full? About as much is needed as the database and the files take."
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return manifest


class _Writer:
    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.sums: dict[str, str] = {}

    def add(self, name: str, file: IO[bytes] | File[bytes], size: int) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        reader = _Hashing(file)
        self._tar.addfile(info, reader)
        self.sums[name] = reader.digest.hexdigest()


class _Hashing:
    def __init__(self, file: IO[bytes] | File[bytes]) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def read(self, n: int = -1) -> bytes:
        block: bytes = self._file.read(n)
        self.digest.update(block)
        return block


def _dump(folder: Path) -> Dump:
    """While people work: what is counted and named is what is in the copy."""
    if connection.vendor == "sqlite":
        path = folder / "db.sqlite3"
        connection.ensure_connection()
        with closing(sqlite3.connect(path)) as copy:
            connection.connection.backup(copy, pages=4096)
            copy.execute("PRAGMA journal_mode=DELETE")
            return Dump(path, _file_names(copy.execute), _counts(copy.execute))
    path = folder / "db.dump"
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute("SELECT pg_export_snapshot()")
            (snapshot,) = cursor.fetchone()
        _run_tool("pg_dump", "--format=custom", "--no-owner", f"--snapshot={snapshot}", f"--file={path}", f"--dbname={_address()}")
        return Dump(path, _file_names(_query), _counts(_query))


def _address() -> str:
    """As the tools of PostgreSQL read it, with everything that Django connects with, such as `sslmode`; the password goes another way."""
    from psycopg import conninfo, pq

    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()} - {"password"}
    params = connection.get_connection_params()
    return conninfo.make_conninfo(**{name: value for name, value in params.items() if name in known and value is not None})


def _run_tool(tool: str, *arguments: str) -> None:
    program = shutil.which(tool)
    if program is None:
        raise BackupRefused(f"{tool} is not on PATH: install PostgreSQL's client (Debian: apt-get install postgresql-client).")
    environment = {"PGPASSWORD": connection.settings_dict["PASSWORD"] or "", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise BackupRefused(f"{tool} failed: {done.stderr.strip()[-500:]}")


def check_backup(path: Path) -> dict[str, Any]:
    """Read every member and compare it with the list; BackupRefused names the first that differs."""
    try:
        with tarfile.open(path) as tar:
            manifest, found = {}, {}
            for member, file in _members(tar):
                if member.name == MANIFEST:
                    manifest = json.load(file)
                    continue
                digest = hashlib.sha256()
                while block := file.read(1 << 20):
                    digest.update(block)
                found[member.name] = digest.hexdigest()
    except (tarfile.TarError, OSError, ValueError, RecursionError) as error:
        raise BackupRefused(f"{path} is no backup of a studio: {error}") from None
    wanted = {"vendor": str, "made_at": str, "missing": list, "counts": dict, "sha256": dict}
    is_whole = isinstance(manifest, dict) and all(isinstance(manifest.get(name), kind) for name, kind in wanted.items())
    if not is_whole or manifest.get("format") != FORMAT:
        raise BackupRefused(f"{path} has no {MANIFEST} that this version knows: it was cut off, or is no backup.")
    if "secret_key" not in found or not {"database/db.sqlite3", "database/db.dump"} & found.keys():
        raise BackupRefused(f"{path} holds no {'key' if 'secret_key' not in found else 'database'}: take another backup.")
    for name, sha256 in manifest["sha256"].items():
        if found.get(name) != sha256:
            raise BackupRefused(f"{name} in {path} is {'missing' if name not in found else 'damaged'}: take another backup.")
    if set(found) != set(manifest["sha256"]):
        raise BackupRefused(f"{path} holds files that its list does not name.")
    return manifest


def _members(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    for member in tar:
        file = tar.extractfile(member) if member.isfile() else None
        if file is None or not _is_ours(member.name):
            raise BackupRefused(f"“{member.name}” does not belong into a backup.")
        yield member, file


def _is_ours(name: str) -> bool:
    """Only what a backup is made of, and no name that leads anywhere else: not even by a part that is empty."""
    parts = name.split("/")
    if "\\" in name or any(part in ("", ".", "..") for part in parts):
        return False
    return name in ("manifest.json", "secret_key", "database/db.sqlite3", "database/db.dump") or (
        parts[0] == "files" and len(parts) > 1
    )


def _guard_empty() -> None:
    """No account, no dataset, and no table of anybody else: all that is here goes."""
    here = {name for name in connection.introspection.table_names() if not name.startswith("sqlite_")}
    ours = {model._meta.db_table for model in apps.get_models(include_auto_created=True)} | {"django_migrations"}
    if foreign := sorted(here - ours):
        raise BackupRefused(
            f"The database holds tables that are not the studio's ({', '.join(foreign[:5])}): is DATABASE_URL right? Restore into one of its own."
        )
    for table in here & {"auth_user", "datasets_dataset"}:
        if _query(f"SELECT COUNT(*) FROM {table}")[0][0]:  # noqa: S608
            raise BackupRefused("This studio is not empty: restore into a fresh DATA_DIR (or an empty database), then change over.")


def put_back(path: Path, tell: Tell) -> dict[str, Any]:
    """Into an empty studio: checked first as a whole, then the files, then the database, and the key at the end."""
    _guard_empty()
    tell("Checking the backup")
    manifest = check_backup(path)
    if manifest["vendor"] != connection.vendor:
        raise BackupRefused(
            f"The backup is of {manifest['vendor']}, this studio runs on {connection.vendor}: set DATABASE_URL to match."
        )
    try:
        _guard_files(path, manifest["sha256"], tell)
        return _put_back(path, manifest, tell)
    except (OSError, sqlite3.Error) as error:
        raise BackupRefused(
            f"{path} was not put back ({error}). Is the disk full? As much is needed as the backup takes, and as much as its database once more."
        ) from None


def _put_back(path: Path, manifest: dict[str, Any], tell: Tell) -> dict[str, Any]:
    with tarfile.open(path) as tar, tempfile.TemporaryDirectory(dir=settings.WORK_DIR) as folder:
        database, content = Path(folder, "none"), b""
        for number, (member, file) in enumerate(_members(tar), 1):
            tell(f"File {number} of {len(manifest['sha256'])}")
            top, _, name = member.name.partition("/")
            if top == "files":
                default_storage.delete(name)
                stored = default_storage.save(name, File(file))
                if stored != name:
                    raise BackupRefused(f"The storage kept {name} as {stored}: it is not empty.")
            elif top == "database":
                database = Path(folder, name)
                with database.open("wb") as copy:
                    shutil.copyfileobj(file, copy, 1 << 20)
            elif member.name == "secret_key":
                content = file.read()
        tell("The database")
        _load(database)
    found = _counts_of(manifest["counts"])
    if wrong := {table: (n, found[table]) for table, n in manifest["counts"].items() if found[table] != n}:
        lines = "; ".join(f"{table}: {n} rows in the backup, {now} here" for table, (n, now) in wrong.items())
        raise BackupRefused(f"What was put back is not what the backup counted ({lines}). Do not use it: take another backup.")
    key = settings.DATA_DIR / "secret_key"
    key.touch(mode=0o600)
    key.write_bytes(content)
    manifest["other_key"] = os.environ.get("SECRET_KEY", "").encode() not in (b"", content)
    return manifest


def guard_whole(path: Path, manifest: Mapping[str, Any]) -> None:
    """Every file that the rows name came along, but for those that were gone already; asked of tables that are up to date."""
    came = {name.removeprefix("files/") for name in manifest["sha256"] if name.startswith("files/")}
    if lost := sorted(set(_file_names(_query)) - came - set(manifest["missing"])):
        raise BackupRefused(
            f"{path} lacks {len(lost)} files that its database names, such as {lost[0]}. Do not use it: take another backup."
        )


def _guard_files(path: Path, sums: Mapping[str, str], tell: Tell) -> None:
    """Files of another studio are not overwritten; those of an attempt before this one are the same."""
    for name, sha256 in sums.items():
        top, _, inner = name.partition("/")
        if top != "files" or not default_storage.exists(inner):
            continue
        tell(f"Comparing {inner}")
        with default_storage.open(inner) as file:
            found = sha256_of(file)
        if found != sha256:
            raise BackupRefused(
                f"The storage holds another {inner}: it is not empty. Restore {path} into a fresh folder (or a fresh bucket)."
            )


def _counts_of(tables: Iterable[str]) -> dict[str, int]:
    """As they were put back, before they are brought up to date."""
    here = set(connection.introspection.table_names())
    return {table: _query(f'SELECT COUNT(*) FROM "{table}"')[0][0] if table in here else 0 for table in tables}  # noqa: S608


def _load(database: Path) -> None:
    if connection.vendor == "sqlite":
        connection.ensure_connection()
        with closing(sqlite3.connect(database)) as copy:
            copy.backup(connection.connection)
        connection.close()
        return
    with connection.cursor() as cursor:  # the empty tables of a studio that was started once
        cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    connection.close()
    _run_tool("pg_restore", "--no-owner", "--exit-on-error", "--single-transaction", f"--dbname={_address()}", str(database))
