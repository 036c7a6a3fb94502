"""Lists of tracks to bring in, one source a row: CSV, TSV and spreadsheets.

Columns: file (a path, relative to the list; on the server only) or url (a video, playlist or channel of YouTube); optional title,
artist, licence, genre, country, start, end (seconds or m:ss), external_id. A list without a header of these names is a list of addresses.
"""

import contextlib
import csv
import io
import math
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import time
from pathlib import Path
from typing import Any
from unicodedata import category

from datasets.errors import SourceRefused

COLUMNS = ("file", "url", "title", "artist", "licence", "genre", "country", "external_id", "start", "end")
OTHER_NAMES = {"link": "url", "address": "url", "alamat": "url", "judul": "title", "artis": "artist", "license": "licence", "lisensi": "licence", "negara": "country", "start_time": "start", "end_time": "end", "mulai": "start", "selesai": "end"}  # fmt: skip
MOST_LETTERS = {"url": 500, "title": 300, "artist": 300, "licence": 100, "genre": 100, "country": 100, "external_id": 100}
MOST_ROWS = 20_000
MOST_CELLS = 4_000_000
MOST_COLUMNS = 1000  # a form has a column a track
MOST_BYTES = 20 * 1024**2
MOST_UNPACKED = 100 * 1024**2
MOST_TAGS = 2_000_000  # twenty thousand rows of ten cells have about 1.6 million


@dataclass(frozen=True)
class Line:
    """One row of a list; `problem` says what is wrong with it, else it is empty. file : in the place of an address, on the server."""

    number: int
    address: str
    title: str = ""
    artist: str = ""
    licence: str = ""
    genre: str = ""
    country: str = ""
    external_id: str = ""
    start_s: float | None = None
    end_s: float | None = None
    problem: str = ""
    file: Path | None = None


def read_list(path: Path) -> list[Line]:
    """Every row of a list on the server, in order. SourceRefused names the line and what is wrong with it; then nothing is taken."""
    rows = read_cells(path.read_bytes(), str(path))
    names = _columns(rows[0][1])
    if not {"file", "url"} & set(names):
        raise SourceRefused(f"{path} needs a column file or url; it has: {', '.join(filter(None, names))[:200] or 'none'}.")
    return [_on_the_server(path, number, _named(names, cells)) for number, cells in rows[1:]]


def _on_the_server(path: Path, number: int, row: dict[str, str]) -> Line:
    named = row.get("file", "").strip()
    if bool(named) == bool(row.get("url", "").strip()):
        raise SourceRefused(f"{path}, line {number}: give either a file or a url.")
    line = _line(number, row, needs_address=not named)
    if line.problem:
        raise SourceRefused(f"{path}, line {number}: {line.problem}")
    if not named:
        return line
    try:
        file = (path.parent / named).resolve()
        known = file.is_file()
    except (OSError, ValueError) as error:
        raise SourceRefused(f"{path}, line {number}: {named[:80]!r} is no file name ({error}).") from None
    if not known:
        raise SourceRefused(f"{path}, line {number}: there is no file {file}.")
    return replace(line, file=file)


def read_lines(text: str) -> list[Line]:
    """Addresses as they are pasted: one a line; empty lines and those that begin with # are left out."""
    lines = [(number, _plain(line)) for number, line in enumerate(text.splitlines(), 1)]
    return _few([found for number, line in lines if line and not line.startswith("#") for found in _pasted(number, line)])


def _pasted(number: int, line: str) -> list[Line]:
    """Addresses as they stand in notes and messages: numbered, in <>, several on a line, or one with its title beside it."""
    words = re.sub(r"^(?:\d{1,5}[.)]|[-*•])\s+", "", line).split()
    addresses = [
        word.strip("<>()[],;")
        for word in words
        if re.match(r"[<(\[]?(?:https?://|www\.|youtu\.be/|(?:m\.|music\.)?youtube\.)", word)
    ]
    if len(words) == 1 or not addresses:
        return [Line(number, (addresses[0] if addresses else line)[:500])]
    title = " ".join(word for word in words if word.strip("<>()[],;") not in addresses).strip(" -–—:|,;")
    return [Line(number, address[:500], title=title[:300] if len(addresses) == 1 else "") for address in addresses]


def read_cells(data: bytes, filename: str) -> list[tuple[int, list[str]]]:
    """The cells of an uploaded CSV, TSV or spreadsheet (its first sheet), each row with its line. SourceRefused as in `read_table`."""
    if len(data) > MOST_BYTES:
        raise SourceRefused(f"{filename} has more than {MOST_BYTES // 1024**2} MB: too large for a list.")
    suffix = Path(filename).suffix.lower()
    if suffix == ".xlsx":
        rows = _sheet(data, filename)
    elif suffix in (".csv", ".tsv", ".txt", ""):
        rows = _delimited(data, filename)
    else:
        raise SourceRefused(
            f"{filename} is no list: give a .csv, .tsv or .xlsx file (a spreadsheet of another kind: save it as .xlsx)."
        )
    rows = [(number, cells) for number, cells in rows if any(map(str.strip, cells))]
    if not rows:
        raise SourceRefused(f"{filename} has no rows.")
    return rows


def read_table(data: bytes, filename: str) -> list[Line]:
    """The rows of an uploaded CSV, TSV or spreadsheet (its first sheet).

    Raises
    ------
    SourceRefused
        The file cannot be read as what its name says, has no column url, no rows, or too many.
    """
    rows = read_cells(data, filename)
    names = _columns(rows[0][1])
    if "url" not in names:
        if len(rows[0][1]) == 1:
            return read_lines("\n".join(cells[0] for _number, cells in rows))
        raise SourceRefused(f"{filename} needs a column url; its first row has: {', '.join(filter(None, names))[:200]}.")
    return _few([_line(number, _named(names, cells)) for number, cells in rows[1:]])


def unused_columns(data: bytes, filename: str) -> list[str]:
    """Columns of a list that `read_table` takes nothing from, by the names that they have."""
    head = read_cells(data, filename)[0][1]
    names = _columns(head)
    if "url" not in names:
        return []
    return [cell.strip()[:60] for cell, name in zip(head, names, strict=True) if name and (name not in COLUMNS or name == "file")]


def _columns(head: Sequence[str]) -> list[str]:
    """The names in a list's first row, as ours: “External ID” is external_id, and there are other words for some."""
    plain = [re.sub(r"[\s-]+", "_", cell.strip().lower()) for cell in head]
    return [OTHER_NAMES.get(name, name) for name in plain]


TOO_MANY = "more cells"


def _named(names: list[str], cells: list[str]) -> dict[str, str]:
    """Each cell by its column; of two columns of one meaning the first that says something."""
    row: dict[str, str] = {TOO_MANY: " ".join(cell for cell in cells[len(names) :] if cell.strip())}
    for name, cell in zip(names, cells, strict=False):
        row[name] = row.get(name) or cell
    return row


def is_utf8(data: bytes) -> bool:
    """Whether a list says for certain which letters it means."""
    try:
        data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _few(lines: list[Line]) -> list[Line]:
    if not lines:
        raise SourceRefused("The list has no rows.")
    if len(lines) > MOST_ROWS:
        raise SourceRefused(f"The list has {len(lines):,} rows; at most {MOST_ROWS:,} are taken at once. Split it.")
    return lines


def _delimited(data: bytes, filename: str) -> list[tuple[int, list[str]]]:
    text = _text(data, filename)
    head = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count)
    if head.strip().lower().startswith("sep="):  # Excel's hint
        delimiter, text = head.strip()[4:5] or ",", text.partition("\n")[2]
    reader = csv.reader(io.StringIO(text.replace("\0", ""), newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, list[str]]] = []
    begun, n_cells = 1, 0
    try:
        for row in reader:
            n_cells += len(row)
            if n_cells > MOST_CELLS:
                raise SourceRefused(f"{filename} has more than {MOST_CELLS:,} cells: split it.")
            if row:
                rows.append((reader.line_num, row))
            begun = reader.line_num + 1
    except csv.Error as error:
        raise SourceRefused(
            f"{filename}, line {begun}: the table cannot be read from here on ({error}). Is a quotation mark opened and not closed? "
            "A quotation mark that belongs to a title is written twice, and the title in quotation marks."
        ) from None
    return rows


def _text(data: bytes, filename: str) -> str:
    """UTF-8, or UTF-16 by its mark; what is neither is what spreadsheets on Windows write by default. The preview shows the titles."""
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        # Some letters that are UTF-8 make it a damaged UTF-8 list, not one of another code page.
        some = any(ord(letter) > 127 for letter in data.decode("utf-8", "ignore"))
        with contextlib.suppress(UnicodeDecodeError):
            if not some and not re.search(rb"[\x00-\x08\x0e-\x1f]", data):
                return data.decode("cp1252")
        raise SourceRefused(f"{filename} is not text (byte {error.start} is not UTF-8). Save the list as “CSV UTF-8”.") from None


def _sheet(data: bytes, filename: str) -> list[tuple[int, list[str]]]:
    """The first sheet of an .xlsx; a small file that unpacks into a huge one is refused before it is read."""
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(part.file_size for part in archive.infolist()) > MOST_UNPACKED:
                raise SourceRefused(f"{filename} unpacks into more than {MOST_UNPACKED // 1024**2} MB: that is no list.")
            if sum(_tags(archive, part) for part in archive.infolist()) > MOST_TAGS:
                raise SourceRefused(f"{filename} has far more cells than a list of {MOST_ROWS:,} rows: keep the list alone in it.")
        sheet = load_workbook(io.BytesIO(data), read_only=True, data_only=True).worksheets[0]
        rows: Iterable[tuple[object, ...]] = sheet.iter_rows(values_only=True, max_row=MOST_ROWS + 2, max_col=MOST_COLUMNS + 1)
        found = [(number, [_cell(cell) for cell in row]) for number, row in enumerate(rows, 1)]
        if len(found) > MOST_ROWS + 1 and any(found[-1][1]):
            raise SourceRefused(f"{filename} has more than {MOST_ROWS:,} rows: save it as CSV, or split it.")
        if any(len(row) > MOST_COLUMNS and row[MOST_COLUMNS] for _number, row in found):
            raise SourceRefused(f"{filename} has more than {MOST_COLUMNS:,} columns: split it.")
        return found
    except SourceRefused:
        raise
    except Exception as error:  # a broken file makes openpyxl fail in many ways
        raise SourceRefused(f"{filename} cannot be read as a spreadsheet ({type(error).__name__}).") from None


def _tags(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> int:
    """How much there is to parse, at the cost of unpacking it: a few kilobytes can hold millions of cells."""
    count = 0
    with archive.open(part) as file:
        while block := file.read(1 << 20):
            count += block.count(b"<")
    return count


def _cell(value: object) -> str:
    """A spreadsheet takes 1:15 for a quarter past one: which of the two was meant is not to be guessed."""
    if isinstance(value, time) and value.hour and not value.second:
        return f"{value:%H:%M} o'clock"
    return "" if value is None else str(value)


def _line(number: int, row: dict[str, str], *, needs_address: bool = True) -> Line:
    values = {name: _plain(row.get(name, "")) for name in COLUMNS}
    problem, times = "", {}
    for name in ("start", "end"):
        try:
            times[name] = seconds(values[name]) if values[name] else None
        except ValueError:
            problem = f"“{values[name][:50]}” in column {name} is no time: write seconds (75) or minutes (1:15)."
    start, end = times.get("start"), times.get("end")
    if end is not None and end <= (start or 0):
        problem = f"The end ({values['end']}) is not after the start ({values['start'] or 0})."
    if row.get(TOO_MANY):
        problem = (
            f"The row has more cells than the first row names (“{row[TOO_MANY][:60]}”): put a text with a comma in quotation marks."
        )
    for name, most in MOST_LETTERS.items():
        if len(values[name]) > most:
            problem = f"Column {name} has {len(values[name]):,} letters; at most {most} are kept: shorten it."
    if needs_address and not values["url"]:
        problem = "There is no address in this row."
    texts: dict[str, Any] = {name: values[name][:100] for name in ("licence", "genre", "country", "external_id")}
    address, title, artist = values["url"][:500], values["title"][:300], values["artist"][:300]
    return Line(number, address, title, artist, start_s=start, end_s=end, problem=problem, **texts)


def _plain(text: str) -> str:
    """Without characters that nobody sees and that turn the line around them, or end it."""
    return " ".join("".join(" " if category(letter)[0] == "C" else letter for letter in text).split())


def as_clock(seconds: float) -> str:
    """75 -> "1:15", 3675.5 -> "1:01:15.5": as lists write it."""
    whole, part = divmod(round(seconds, 2), 60)
    hours, minutes = divmod(int(whole), 60)
    rest = f"{part:05.2f}".rstrip("0").rstrip(".")
    return f"{hours}:{minutes:02}:{rest}" if hours else f"{minutes}:{rest}"


def seconds(text: str) -> float:
    """75, 75.5, 1:15 or 0:01:15 as seconds. ValueError for anything else."""
    parts = text.replace(",", ".").split(":")
    if not 1 <= len(parts) <= 3 or not all(re.fullmatch(r"\d+(\.\d*)?|\.\d+", part.strip()) for part in parts):
        raise ValueError(text)
    value = 0.0
    for part in parts:
        value = 60 * value + float(part)
    if not math.isfinite(value) or value < 0 or (len(parts) > 1 and any(float(part) >= 60 for part in parts[1:])):
        raise ValueError(text)
    return value
