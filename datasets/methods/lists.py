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
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from datasets.errors import SourceRefused

COLUMNS = ("file", "url", "title", "artist", "licence", "genre", "country", "external_id", "start", "end")
OTHER_NAMES = {"link": "url", "address": "url", "alamat": "url", "judul": "title", "artis": "artist", "license": "licence", "lisensi": "licence", "negara": "country"}  # fmt: skip
MOST_ROWS = 20_000
MOST_BYTES = 20 * 1024**2
MOST_UNPACKED = 200 * 1024**2


@dataclass(frozen=True)
class Entry:
    line: int
    file: Path | None
    url: str
    title: str
    artist: str
    licence: str
    external_id: str


@dataclass(frozen=True)
class Line:
    """One row of a pasted or uploaded list; `problem` says what is wrong with it, else it is empty."""

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


def read_list(path: Path) -> list[Entry]:
    """Every row of a CSV on the server, in order. SourceRefused names the line and what is wrong with it; then nothing is taken."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = [name.strip().lower() for name in reader.fieldnames or []]
            reader.fieldnames = columns
            if not {"file", "url"} & set(columns):
                raise SourceRefused(f"{path} needs a column file or url; it has: {', '.join(columns) or 'none'}.")
            return [_entry(path, reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceRefused(f"{path} cannot be read as a UTF-8 CSV list: {error}") from None


def _entry(path: Path, line: int, row: dict[str, str | None]) -> Entry:
    values = {name: (row.get(name) or "").strip() for name in COLUMNS}
    if bool(values["file"]) == bool(values["url"]):
        raise SourceRefused(f"{path}, line {line}: give either a file or a url.")
    try:
        file = (path.parent / values["file"]).resolve() if values["file"] else None
        known = file is None or file.is_file()
    except (OSError, ValueError) as error:
        raise SourceRefused(f"{path}, line {line}: {values['file'][:80]!r} is no file name ({error}).") from None
    if not known:
        raise SourceRefused(f"{path}, line {line}: there is no file {file}.")
    return Entry(line, file, values["url"], values["title"], values["artist"], values["licence"], values["external_id"])


def read_lines(text: str) -> list[Line]:
    """Addresses as they are pasted: one a line; empty lines and those that begin with # are left out."""
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    return _few([Line(number, line[:500]) for number, line in lines if line and not line.startswith("#")])


def read_table(data: bytes, filename: str) -> list[Line]:
    """The rows of an uploaded CSV, TSV or spreadsheet (its first sheet).

    Raises
    ------
    SourceRefused
        The file cannot be read as what its name says, has no column url, no rows, or too many.
    """
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
    if not rows:
        raise SourceRefused(f"{filename} has no rows.")
    names = [OTHER_NAMES.get(cell.strip().lower(), cell.strip().lower()) for cell in rows[0][1]]
    if "url" not in names:
        if len(rows[0][1]) == 1:
            return read_lines("\n".join(cells[0] for _number, cells in rows))
        raise SourceRefused(f"{filename} needs a column url; its first row has: {', '.join(names)[:200]}.")
    return _few([_line(number, dict(zip(names, cells, strict=False))) for number, cells in rows[1:] if any(map(str.strip, cells))])


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
    try:
        reader = csv.reader(io.StringIO(text.replace("\0", ""), newline=""), delimiter=delimiter)
        return [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise SourceRefused(f"{filename} cannot be read as a table: {error}.") from None


def _text(data: bytes, filename: str) -> str:
    """UTF-8, or UTF-16 by its mark; what is neither is what spreadsheets on Windows write by default. The preview shows the titles."""
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        with contextlib.suppress(UnicodeDecodeError):
            if not re.search(rb"[\x00-\x08\x0e-\x1f]", data):
                return data.decode("cp1252")
        raise SourceRefused(f"{filename} is not text (byte {error.start} is not UTF-8). Save the list as “CSV UTF-8”.") from None


def _sheet(data: bytes, filename: str) -> list[tuple[int, list[str]]]:
    """The first sheet of an .xlsx; a small file that unpacks into a huge one is refused before it is read."""
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(part.file_size for part in archive.infolist()) > MOST_UNPACKED:
                raise SourceRefused(f"{filename} unpacks into more than {MOST_UNPACKED // 1024**2} MB: that is no list.")
        sheet = load_workbook(io.BytesIO(data), read_only=True, data_only=True).worksheets[0]
        rows: Iterable[tuple[object, ...]] = sheet.iter_rows(values_only=True, max_row=MOST_ROWS + 2, max_col=50)
        return [(number, ["" if cell is None else str(cell) for cell in row]) for number, row in enumerate(rows, 1)]
    except SourceRefused:
        raise
    except Exception as error:  # a broken file makes openpyxl fail in many ways
        raise SourceRefused(f"{filename} cannot be read as a spreadsheet ({type(error).__name__}).") from None


def _line(number: int, row: dict[str, str]) -> Line:
    values = {name: row.get(name, "").replace("\0", "").strip() for name in COLUMNS}
    problem, times = "", {}
    for name in ("start", "end"):
        try:
            times[name] = seconds(values[name]) if values[name] else None
        except ValueError:
            problem = f"“{values[name][:50]}” in column {name} is no time: write seconds (75) or minutes (1:15)."
    start, end = times.get("start"), times.get("end")
    if start is not None and end is not None and end <= start:
        problem = f"The end ({values['end']}) is not after the start ({values['start']})."
    if not values["url"]:
        problem = "There is no address in this row."
    texts = {name: values[name][:100] for name in ("licence", "genre", "country", "external_id")}
    address, title, artist = values["url"][:500], values["title"][:300], values["artist"][:300]
    return Line(number, address, title, artist, start_s=start, end_s=end, problem=problem, **texts)


def seconds(text: str) -> float:
    """75, 75.5, 1:15 or 0:01:15 as seconds. ValueError for anything else."""
    parts = text.replace(",", ".").split(":")
    if not 1 <= len(parts) <= 3:
        raise ValueError(text)
    value = 0.0
    for part in parts:
        value = 60 * value + float(part)
    if not math.isfinite(value) or value < 0 or (len(parts) > 1 and any(float(part) >= 60 for part in parts[1:])):
        raise ValueError(text)
    return value
