"""A bundle: one zip file of tables and files with a `SHA256SUMS` list, the same bytes every time it is made.

Tables are CSV for people and spreadsheets: a cell that a spreadsheet would run as a formula gets a leading apostrophe.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import json
import re
import struct
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from datasets.errors import DatasetsError

SUMS = "SHA256SUMS"
BLOCK = 1 << 20
# What a zip says of a file.
JOURNALLED = ("header_offset", "file_size", "compress_size", "CRC", "create_version", "extract_version")
EPOCH = (1980, 1, 1, 0, 0, 0)  # a zip file's earliest date: a bundle carries no time of its own
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # the wide ones where spreadsheets read them alike

FORMULA_INSIDE = re.compile(r"[;\t\r\n]\s*[=+@\-＝＋－＠]")  # where a spreadsheet splits at semicolons, as where 1,5 is a number


def neutral(value: object) -> object:
    """A cell that no spreadsheet takes for a formula (OWASP, CSV injection); numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and (value.startswith(FORMULA_STARTS) or FORMULA_INSIDE.search(value)) else value


def csv_table(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> bytes:
    return b"".join(csv_lines(columns, rows))


def csv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> Iterator[bytes]:
    """The table line by line, for tables that do not fit into memory."""
    yield _csv_line(columns)
    for row in rows:
        yield _csv_line([neutral(row[column]) for column in columns])


def _csv_line(cells: Iterable[object]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue().encode()


class BundleWriter:
    """Writes files into a zip in constant memory and keeps their checksums.

    Beside the zip stands a journal of the files that are whole in it. Where a writer that broke off left both, the next one goes on:
    as long as it is told of the same files in the same order, it asks for none that is there; from the first that differs on, all are
    written anew. Nobody else writes the zip inside the `with`.

    on_file : called with the number of files so far; what it raises stops the writing.
    Raises BlockingIOError where another process still writes this zip.
    """

    def __init__(self, path: Path, folder: str, on_file: Callable[[int], None] | None = None) -> None:
        self._folder, self._path, self._on_file = folder, path, on_file
        self._sums: dict[str, bytes] = {}  # by the whole name, which the zip's own list holds anyway
        path.touch()
        self._file = path.open("r+b")
        self._journal = path.with_suffix(".journal").open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._left = deque(self._left_whole())
        except BaseException:
            self.__exit__()
            raise
        self._journal.truncate(0)
        self._file.seek(0)
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED, allowZip64=True)

    def __enter__(self) -> BundleWriter:
        return self

    def __exit__(self, *_error: object) -> None:
        if hasattr(self, "_zip"):
            self._zip.fp = None  # else it would still write its list when it is forgotten
        self._file.close()
        self._journal.close()

    def add(self, name: str, open_file: Callable[[], IO[bytes]]) -> None:
        def blocks() -> Iterator[bytes]:
            with open_file() as file:
                yield from iter(lambda: file.read(BLOCK), b"")

        self.add_lines(name, blocks())

    def add_bytes(self, name: str, content: bytes) -> None:
        self.add_lines(name, [content])

    def add_lines(self, name: str, lines: Iterable[bytes]) -> None:
        """Raises ValueError for a name that is there already."""
        entry = self._named(name)
        if entry.filename in self._sums:
            raise ValueError(f"{name} is in the bundle already")
        if not self._goes_on(entry.filename):
            digest = hashlib.sha256()
            with self._zip.open(entry, "w", force_zip64=True) as target:
                for line in lines:
                    digest.update(line)
                    target.write(line)
            self._file.flush()
            self._sums[entry.filename] = digest.digest()
            self._note(entry)
        if self._on_file:
            self._on_file(len(self._sums))

    def sum_of(self, name: str) -> str:
        """SHA-256 of a file that was written."""
        return self._sums[f"{self._folder}/{name}"].hex()

    def blocks_of(self, name: str) -> Iterator[bytes]:
        """A file that was written, read back."""
        with self._path.open("rb") as file:
            yield from _stored(file, self._zip.getinfo(f"{self._folder}/{name}"))

    def close(self) -> None:
        """The list of checksums, and the zip's own: the bundle is whole."""
        with self._zip.open(self._named(SUMS), "w", force_zip64=True) as target:
            for name in sorted(self._sums):
                target.write(f"{self._sums[name].hex()}  {name.removeprefix(self._folder + '/')}\n".encode())
        self._zip.close()
        self._file.truncate()
        self._file.flush()

    def _named(self, name: str) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(f"{self._folder}/{name}", EPOCH)
        info.external_attr = 0o644 << 16
        return info

    def _goes_on(self, filename: str) -> bool:
        """Whether this is the next file that an earlier writer left."""
        if not self._left:
            return False
        entry, digest = self._left.popleft()
        if entry.filename != filename:
            self._left.clear()
            return False
        self._sums[filename] = digest
        self._zip.filelist.append(entry)
        self._zip.NameToInfo[filename] = entry
        self._zip.start_dir = _end_of(self._file, entry)  # where the next one is written
        self._note(entry)
        return True

    def _note(self, entry: zipfile.ZipInfo) -> None:
        facts = {name: getattr(entry, name) for name in JOURNALLED}
        self._journal.write(json.dumps([entry.filename, self._sums[entry.filename].hex(), facts]).encode() + b"\n")
        self._journal.flush()

    def _left_whole(self) -> Iterator[tuple[zipfile.ZipInfo, bytes]]:
        """The files that an earlier writer left, with their checksums, up to the first that is not as its journal says."""
        self._journal.seek(0)
        end = 0
        for number, line in enumerate(self._journal):
            digest = hashlib.sha256()
            try:
                name, said, facts = json.loads(line)
                entry = self._named(name.removeprefix(f"{self._folder}/"))
                for fact in JOURNALLED:
                    setattr(entry, fact, facts[fact])
                for block in _stored(self._file, entry):
                    digest.update(block)
                is_whole = (
                    digest.hexdigest() == said
                    and entry.header_offset == end
                    and _header(self._file, entry) == entry.FileHeader(True)
                )
                end = _end_of(self._file, entry)
            except (ValueError, TypeError, LookupError, AttributeError, OSError, struct.error):
                return  # it was killed, or the power went, while it wrote this line
            if not is_whole:
                return
            if self._on_file:
                self._on_file(number)
            yield entry, digest.digest()


def _header(file: IO[bytes], entry: zipfile.ZipInfo) -> bytes:
    """What stands before the bytes of a file (APPNOTE 4.3.7)."""
    file.seek(entry.header_offset)
    head = file.read(30)
    return head + file.read(sum(struct.unpack("<HH", head[26:30])))


def _end_of(file: IO[bytes], entry: zipfile.ZipInfo) -> int:
    return entry.header_offset + len(_header(file, entry)) + entry.compress_size


def _stored(file: IO[bytes], entry: zipfile.ZipInfo) -> Iterator[bytes]:
    _header(file, entry)
    left = entry.file_size
    while left and (block := file.read(min(left, BLOCK))):
        left -= len(block)
        yield block


class BundleRefused(DatasetsError):
    """Not a bundle of MER Studio, damaged, or one that says what a release cannot say."""


class BundleReader:
    """The files of a bundle that `verify` found whole. Raises BundleRefused for a file that is not there."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path)
        entries = self._zip.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise BundleRefused("The bundle was packed anew: bring in the zip file as the studio wrote it.")
        self._folder = next(entry.filename for entry in entries if entry.filename.endswith(f"/{SUMS}")).removesuffix(SUMS)
        self.names = [entry.filename.removeprefix(self._folder) for entry in entries]

    def open(self, name: str) -> IO[bytes]:
        try:
            return self._zip.open(self._folder + name)
        except KeyError:
            raise BundleRefused(f"There is no {name} in the bundle.") from None

    def close(self) -> None:
        self._zip.close()


def verify(path: Path, on_file: Callable[[int, int], None] | None = None) -> list[str]:
    """Everything wrong with a bundle, in words; an empty list means that it is whole.

    Every listed file must be there with its checksum, and nothing else may be.
    """
    try:
        bundle = zipfile.ZipFile(path)
    except DAMAGE as error:
        return [f"{path} cannot be read as a bundle: {error}"]
    with bundle:
        if problems := _built_wrong(path, bundle):
            return problems
        names = set(bundle.namelist())
        lists = [name for name in names if name.count("/") == 1 and name.endswith(f"/{SUMS}")]
        if len(lists) != 1:
            return [f"{path} holds no {SUMS}: it is not a bundle of MER Studio, or its end is missing."]
        folder = lists[0].removesuffix(SUMS)
        listed = {}
        try:
            most = 1000 * len(names)
            with bundle.open(lists[0]) as file:
                content = file.read(most + 1)
            if len(content) > most:
                return [f"{lists[0]} is far longer than a list of {len(names)} files."]
            text = content.decode("utf-8", "replace")
        except DAMAGE as error:
            return [f"{lists[0]} is damaged: {error}"]
        for line in text.splitlines():
            digest, _, name = line.partition("  ")
            listed[folder + name] = digest
        problems = [f"{name} is in the bundle but not in {SUMS}" for name in sorted(names - set(listed) - set(lists))]
        for number, (name, digest) in enumerate(sorted(listed.items()), 1):
            problems += _check(bundle, name, digest)
            if on_file:
                on_file(number, len(listed))
    return problems


def _built_wrong(path: Path, bundle: zipfile.ZipFile) -> list[str]:
    """What no bundle of ours has, because a reader could take it for something else: looked for before anything is read."""
    problems, entries = [], bundle.infolist()
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        if name in seen:
            problems.append(f"{name} is in the bundle twice")
        seen.add(name)
        if name.startswith("/") or "\\" in name or any(part in ("", ".", "..") for part in name.split("/")):
            problems.append(f"{name!r} is no name of a file in a bundle")
        if entry.external_attr >> 16 & 0o170000 not in (0, 0o100000):
            problems.append(f"{name} is no plain file")
        if entry.comment or (entry.extra and entry.extra[:2] != b"\x01\x00"):  # all but the sizes of what is larger than 4 GB
            problems.append(f"{name} carries what is in no bundle of ours")
        if entry.compress_type != zipfile.ZIP_STORED:
            problems.append(f"{name} is compressed: the bundle was packed anew, take the zip file as the studio wrote it")
    if bundle.comment:
        problems.append(f"{path} has other bytes behind the bundle")
    with path.open("rb") as file:
        file.seek(-22, io.SEEK_END)
        end = file.read()
        try:
            begins = 0
            for entry in sorted(entries, key=lambda entry: entry.header_offset):
                is_next, begins = entry.header_offset == begins, _end_of(file, entry)
                extra = _header(file, entry)[30 + len(entry.orig_filename.encode()) :]
                if len(extra) > 20 or extra[:2] not in (b"", b"\x01\x00"):
                    problems.append(f"{entry.filename} carries what is in no bundle of ours")
                if not is_next:
                    problems.append(f"there are other bytes in the bundle before {entry.filename}")
                    break
            if begins != bundle.start_dir:
                problems.append(f"{path} has other bytes behind its files")
        except DAMAGE:
            problems.append(f"{path} cannot be read as a bundle: a file's place is wrong")
    if end[:4] != b"PK\5\6" or end[-2:] != b"\0\0" or (entries and min(entry.header_offset for entry in entries) != 0):
        problems.append(f"{path} has other bytes before or after the bundle")
    return problems[:20]


def _check(bundle: zipfile.ZipFile, name: str, expected: str) -> list[str]:
    digest = hashlib.sha256()
    try:
        with bundle.open(name) as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except KeyError:
        return [f"{name} is listed but missing"]
    except DAMAGE as error:
        return [f"{name} is damaged: {error}"]
    return [] if digest.hexdigest() == expected else [f"{name} was changed: its checksum is not the listed one"]
