"""Reading a table of ratings that were collected elsewhere (a spreadsheet, another study, the answers of a form).

A row a rating: columns track, rater, word or label; optional rated_at (ISO 8601), valence, arousal (each in [-1, 1]). Or a row a rater,
as a form gives it: a column for the rater, optionally one for the time, and one for each track, with the word that was chosen in it. Every
row that cannot be taken is listed with its line and reason; nothing is skipped silently.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from unicodedata import normalize

from annotate.errors import RowsRefused

REQUIRED = ("track", "rater")
FIELDS = ("track", "rater", "word", "label", "rated_at", "valence", "arousal")
OTHER_NAMES = {
    "rater": ("email", "email address", "alamat email", "e-mail", "nama", "name", "responden", "annotator", "worker"),
    "rated_at": ("timestamp", "cap waktu", "time", "waktu", "date"),
    "track": ("song", "lagu", "trek", "title", "judul", "piece", "item"),
    "word": ("emotion", "emosi", "kata", "answer", "jawaban"),
}


@dataclass(frozen=True)
class Row:
    line: int
    track: str
    rater: str
    word: str
    label: str
    valence: float | None
    arousal: float | None
    rated_at: datetime | None
    column: str = ""  # what the column of a form names its track by


GRID = re.compile(r"(?P<question>.*\S)\s*\[(?P<row>[^\[\]]+)\]")
PROBLEM = "problem"  # in place of a rating: what is wrong with the row
Cells = list[tuple[int, list[str]]]


def suggest(columns: Sequence[str]) -> dict[str, str]:
    """Which column most likely holds what, by its name; empty where none does."""
    plain = {name.strip().casefold(): name for name in columns}
    return {field: next((plain[name] for name in (field, *OTHER_NAMES.get(field, ())) if name in plain), "") for field in FIELDS}


def as_ratings(cells: Cells, columns: Mapping[str, str], *, a_row_a_rater: bool = False) -> list[tuple[int, dict[str, str]]]:
    """The rows of a table as ratings: (line, {field: cell}).

    Parameters
    ----------
    cells : with the names of the columns in the first row.
    columns : the column of each field, as from `suggest`.
    a_row_a_rater : every column that is not the rater's or the time's is a track; its empty cells are no ratings.

    Raises
    ------
    RowsRefused
        A column that is needed, or that was named, is not there.
    """
    names = [name.strip() for name in cells[0][1]]
    columns = {field: name for field, name in columns.items() if name}
    if twins := [name for name, times in Counter(name for name in names if name).items() if times > 1]:
        raise RowsRefused(f"Two columns are named “{twins[0][:60]}”: which one is meant? Name them apart.")
    if unknown := [name for name in columns.values() if name not in names]:
        raise RowsRefused(f"There is no column “{unknown[0][:60]}”; there are: {', '.join(names)[:300]}.")
    needed = ["rater"] if a_row_a_rater else [*REQUIRED, *([] if {"word", "label"} & set(columns) else ["word or label"])]
    if missing := [field for field in needed if field not in columns]:
        raise RowsRefused(f"It is not clear which column is the {', '.join(missing)}; there are: {', '.join(names)[:300]}.")
    found = []
    for line, row in cells[1:]:
        values = dict(zip(names, (cell.strip() for cell in row), strict=False))
        if any(cell.strip() for cell in row[len(names) :]):
            found.append(
                (line, {PROBLEM: "the row has more cells than there are columns: put a text with a comma in quotation marks"})
            )
            continue
        if not any(values.values()):
            continue
        if not a_row_a_rater:
            found.append((line, {field: values.get(name, "") for field, name in columns.items()}))
            continue
        told: dict[str, str] = {field: values.get(columns[field], "") for field in ("rater", "rated_at") if field in columns}
        tracks = [name for name in names if name and name not in (columns["rater"], columns.get("rated_at"))]
        named = _named_by(tracks)
        found += [
            (line, {**told, "track": name, "column": named[name], "word": values[name]}) for name in tracks if values.get(name)
        ]
    return found


def _named_by(columns: Sequence[str]) -> dict[str, str]:
    """What each column may name its track by besides as a whole: a form's grid calls them “Question [Row]”, where the rows are the tracks; or,
    where all columns have the same row, the questions are.
    """
    grids = {column: found for column in columns if (found := GRID.fullmatch(column))}
    same_row = len(grids) > 1 and len({found["row"] for found in grids.values()}) == 1
    part = "question" if same_row else "row"
    return {column: grids[column][part].strip() if column in grids else column for column in columns}


def check(
    ratings: Sequence[tuple[int, Mapping[str, str]]],
    *,
    words: Mapping[str, str],
    labels: Mapping[str, str],
    names: Mapping[str, str] | None = None,
    label_names: Mapping[str, str] | None = None,
) -> tuple[list[Row], list[str]]:
    """The good rows and, in words, what is wrong with the others.

    Parameters
    ----------
    words : mapping of word to the label it stands for.
    labels : mapping of the dataset's labels to their names.
    names, label_names : names of the words and labels, in any language, to what they name, all in lower case; empty for a name of two.
    """
    form = _form_of([values.get("rated_at", "") for _line, values in ratings])
    rows: list[Row] = []
    problems: list[str] = []
    for line, values in ratings:
        if why := values.get(PROBLEM):
            problems.append(f"line {line}: {why}")
            continue
        try:
            word, label = values.get("word", "").casefold(), values.get("label", "").casefold()
            if values.get("column") and word not in words and word not in (names or {}):  # a form may ask for labels
                word, label = ("", word) if word in labels or word in (label_names or {}) else (word, label)
            meant = {"word": _meant(word, words, names or {}), "label": _meant(label, labels, label_names or {})}
            rows.append(_row(line, {**values, **meant}, words, labels, form))
        except ValueError as error:
            problems.append(f"line {line}: {error}")
    return rows, problems


def _meant(given: str, keys: Mapping[str, str], names: Mapping[str, str]) -> str:
    """Raises ValueError where it is not clear which one is meant."""
    named = names.get(given)
    if named == "" and given not in keys:
        raise ValueError(f"“{given}” is the name of two: write {' or '.join(keys)}")
    if named and given in keys and named != given:
        raise ValueError(f"“{given}” is the name of one and the key of another ({named}, {given}): rename one of them")
    return given if given in keys else named or given


def one_of_two(rows: Iterable[tuple[int, Row]], rule: str = "refuse") -> tuple[list[tuple[int, Row]], list[str]]:
    """One rating of a track by a rater, whatever names the table has for the track.

    Parameters
    ----------
    rows : (number of the track, row).
    rule : what is done with a second one: "refuse", or keep the "first" or the "last".
    """
    kept: dict[tuple[int, str], tuple[int, Row]] = {}
    problems: list[str] = []
    for track, row in rows:
        twin = kept.get((track, row.rater))
        if twin and rule == "refuse":
            problems.append(f"line {row.line}: rater {row.rater} rated track {row.track} already in line {twin[1].line}")
        elif not twin or rule == "last":
            kept[track, row.rater] = track, row
    return list(kept.values()), problems


def _row(line: int, cells: Mapping[str, str], words: Mapping[str, str], labels: Mapping[str, str], form: str) -> Row:
    for column in REQUIRED:
        if not cells.get(column):
            raise ValueError(f"the column {column} is empty")
    if "\0" in "".join(cells.values()):
        raise ValueError("it holds a NUL character")
    word, label = cells.get("word", "").casefold(), cells.get("label", "").casefold()
    if word and word not in words:
        raise ValueError(f"“{cells['word']}” is not a word of the questionnaire ({', '.join(words)})")
    if label and label not in labels:
        raise ValueError(f"“{cells['label']}” is not a label of the dataset ({', '.join(labels.values())})")
    if not word and not label:
        raise ValueError("neither a word nor a label is given")
    if word and label and words[word] != label:
        raise ValueError(f"the word “{word}” stands for {words[word]}, not for {label}")
    moment = _moment(cells["rated_at"], form) if cells.get("rated_at") else None
    return Row(
        line=line,
        track=cells["track"],
        rater=_person(cells["rater"]),
        word=word,
        label=label or words[word],
        valence=_plane(cells, "valence"),
        arousal=_plane(cells, "arousal"),
        rated_at=moment.replace(tzinfo=moment.tzinfo or UTC) if moment else None,
        column=cells.get("column", ""),
    )


def _plane(cells: Mapping[str, str], column: str) -> float | None:
    if not cells.get(column):
        return None
    value = float(cells[column])
    if not -1 <= value <= 1:
        raise ValueError(f"{column} is {value}; it must lie between -1 and 1")
    return value


FORMATS = ("%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H.%M.%S")  # as Google's forms write it, in two countries


def _form_of(cells: Sequence[str]) -> str:
    """The form that all times of a column have that are not ISO 8601: 05/11 is May or November for the whole column, not a cell at a
    time. Where several fit, the first of FORMATS; empty where none does."""
    others = {text for text in cells if text and not _fits(text, "")}
    return next((form for form in FORMATS if others and all(_fits(text, form) for text in others)), "")


def _fits(text: str, form: str) -> bool:
    try:
        _moment(text, form)
    except ValueError:
        return False
    return True


def _moment(text: str, form: str) -> datetime:
    """ISO 8601, or of this form."""
    found: datetime | None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            found = datetime.strptime(text, form).replace(tzinfo=UTC) if form else None
        except ValueError:
            found = None
    if found is None:
        raise ValueError(f"“{text[:40]}” is no time as the others of its column are: write it as 2026-11-24 13:05")
    if not 1970 <= found.year <= 2100:
        raise ValueError(f"“{text[:40]}” is no time at which anybody rated")
    return found


def _person(name: str) -> str:
    """One spelling of a rater: an e-mail address is the same in capitals, and an accented letter in one piece or two."""
    name = normalize("NFC", name)
    return name.casefold() if "@" in name else name
