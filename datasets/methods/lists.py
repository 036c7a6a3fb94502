"""Lists of tracks to bring in: a CSV with one source a row.

Columns: file (a path, relative to the list) or url (a YouTube video); optional title, artist, licence, external_id.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from datasets.errors import SourceRefused

COLUMNS = ("file", "url", "title", "artist", "licence", "external_id")


@dataclass(frozen=True)
class Entry:
    line: int
    file: Path | None
    url: str
    title: str
    artist: str
    licence: str
    external_id: str


def read_list(path: Path) -> list[Entry]:
    """Every row of the list, in order. SourceRefused names the line and what is wrong with it; then nothing is taken."""
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
