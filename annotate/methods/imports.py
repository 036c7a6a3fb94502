"""Reading a table of ratings that were collected elsewhere (a spreadsheet, another study).

Columns: track, rater, word or label; optional rated_at (ISO 8601), valence, arousal (each in [-1, 1]). Every row that
cannot be taken is listed with its line and reason; nothing is skipped silently.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from annotate.errors import RowsRefused

REQUIRED = ("track", "rater")


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


def read_ratings(path: Path, *, words: Mapping[str, str], labels: set[str]) -> tuple[list[Row], list[str]]:
    """Read `path`; return its good rows and, in words, what is wrong with the others.

    Parameters
    ----------
    words : mapping of word to the label it stands for.
    labels : the labels of the dataset.

    Raises
    ------
    RowsRefused
        The file is no table, or lacks a column.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise RowsRefused(f"{path} cannot be read as a CSV table: {error}") from None
    missing = [column for column in REQUIRED if column not in table] + ([] if {"word", "label"} & set(table) else ["word or label"])
    if missing:
        raise RowsRefused(f"{path} lacks the column {', '.join(missing)}; it has: {', '.join(table.columns)}.")
    rows: list[Row] = []
    problems: list[str] = []
    seen: dict[tuple[str, str], int] = {}
    for line, values in enumerate(table.to_dict("records"), 2):
        cells = {str(key): str(value).strip() for key, value in values.items()}
        try:
            row = _row(line, cells, words, labels)
        except ValueError as error:
            problems.append(f"line {line}: {error}")
            continue
        if (row.track, row.rater) in seen:
            problems.append(f"line {line}: rater {row.rater} rated track {row.track} already in line {seen[row.track, row.rater]}")
            continue
        seen[row.track, row.rater] = line
        rows.append(row)
    return rows, problems


def _row(line: int, cells: Mapping[str, str], words: Mapping[str, str], labels: set[str]) -> Row:
    for column in REQUIRED:
        if not cells[column]:
            raise ValueError(f"the column {column} is empty")
    if "\0" in "".join(cells.values()):
        raise ValueError("it holds a NUL character")
    word, label = cells.get("word", "").casefold(), cells.get("label", "").casefold()
    if word and word not in words:
        raise ValueError(f"“{cells['word']}” is not a word of the questionnaire ({', '.join(words)})")
    if label and label not in labels:
        raise ValueError(f"“{cells['label']}” is not a label of the dataset ({', '.join(sorted(labels))})")
    if not word and not label:
        raise ValueError("neither a word nor a label is given")
    if word and label and words[word] != label:
        raise ValueError(f"the word “{word}” stands for {words[word]}, not for {label}")
    moment = datetime.fromisoformat(cells["rated_at"]) if cells.get("rated_at") else None
    return Row(
        line=line,
        track=cells["track"],
        rater=cells["rater"],
        word=word,
        label=label or words[word],
        valence=_plane(cells, "valence"),
        arousal=_plane(cells, "arousal"),
        rated_at=moment.replace(tzinfo=moment.tzinfo or UTC) if moment else None,
    )


def _plane(cells: Mapping[str, str], column: str) -> float | None:
    if not cells.get(column):
        return None
    value = float(cells[column])
    if not -1 <= value <= 1:
        raise ValueError(f"{column} is {value}; it must lie between -1 and 1")
    return value
