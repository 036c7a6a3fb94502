"""A table of ratings from elsewhere, checked against a dataset: what would come in, and what is wrong with the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from unicodedata import normalize

from annotate.methods import imports
from annotate.services.questionnaires import questionnaire_of
from annotate.services.ratings import ImportedRating, rated_already
from datasets.models import Dataset, Label, Track, Word


@dataclass(frozen=True)
class Checked:
    """n : rows of the table that say something. rows : the ratings that can come in. problems : the others, each in words. grids : the
    columns of a form that are no title, with that of the track that each was taken for."""

    n: int
    rows: list[ImportedRating]
    problems: list[str]
    grids: dict[str, str]


def check(dataset: Dataset, ratings: Sequence[tuple[int, Mapping[str, str]]], *, of_two: str = "refuse") -> Checked:
    words = {word.key: word for word in Word.objects.filter(label__dataset=dataset).select_related("label")}
    labels = {label.key: label for label in dataset.labels.all()}
    read, problems = imports.check(
        ratings,
        words={key: word.label.key for key, word in words.items()},
        labels={key: label.name for key, label in labels.items()},
        names=_names(words.values()),
        label_names=_names(labels.values()),
    )
    tracks = _tracks(dataset)
    known: list[tuple[int, imports.Row]] = []
    in_grids: dict[str, int] = {}
    for row in read:
        track = _of_column(row, tracks) if row.column else tracks.get(row.track)
        if not isinstance(track, int):
            why = track or f"there is no track “{row.track}” in “{dataset}” (by external id, number or title)"
            problems.append(f"line {row.line}: {why}")
            continue
        known.append((track, row))
        if row.column:
            in_grids[row.track] = track
    titles = dict(dataset.tracks.filter(pk__in=in_grids.values()).values_list("pk", "title"))
    in_grids = {column: track for column, track in in_grids.items() if titles[track] != column}
    kept, twins = imports.one_of_two(known, of_two)
    kept, here = _not_here(dataset, kept)
    found = [
        ImportedRating(track, row.rater, words.get(row.word), labels[row.label], row.valence, row.arousal, row.rated_at)
        for track, row in kept
    ]
    return Checked(len(ratings), found, problems + twins + here, {column: titles[track] for column, track in in_grids.items()})


def _names(rows: Iterable[Label | Word]) -> dict[str, str]:
    """What words or labels are called in any language, to their keys; a name of two says neither."""
    meant: dict[str, set[str]] = {}
    for row in rows:
        for name in (row.name, *row.translations.values()):
            meant.setdefault(str(name).casefold(), set()).add(row.key)
    return {name: keys.pop() if len(keys) == 1 else "" for name, keys in meant.items()}


def _of_column(row: imports.Row, tracks: Mapping[str, int | str]) -> int | str | None:
    """The track that a column of a form names, never by its number: 1, 2, 3 count the questions. The whole column first, as a title may end
    in brackets, also where it is not spelled alike.
    """
    if row.track in tracks and not row.track.isdecimal():
        return tracks[row.track]
    alike = {track for name, track in tracks.items() if _plain(name) == _plain(row.track) and not name.isdecimal()}
    if len(alike) == 1:
        return alike.pop()
    return None if row.column.isdecimal() else tracks.get(row.column)


def _plain(name: str) -> str:
    return " ".join(normalize("NFC", name).casefold().split())


def _not_here(dataset: Dataset, rows: list[tuple[int, imports.Row]]) -> tuple[list[tuple[int, imports.Row]], list[str]]:
    """A table that has grown since it was brought in holds what is here already: that stays as it is, and the rest comes in."""
    here = rated_already(questionnaire_of(dataset), {(track, row.rater) for track, row in rows})
    return (
        [(track, row) for track, row in rows if (track, row.rater) not in here],
        [
            f"line {row.line}: {row.rater} has rated track {row.track} here already; that rating stays"
            for track, row in rows
            if (track, row.rater) in here
        ],
    )


def _tracks(dataset: Dataset) -> dict[str, int | str]:
    """Every name that a table may use for a track: its number, or why it cannot be rated.

    An external id comes first, whatever state its track is in; then the number, then a title that only one track has.
    """
    found: dict[str, int | str] = {}
    titles: dict[str, list[Track]] = {}
    rows = list(dataset.tracks.only("pk", "title", "external_id", "reference", "state", "reason"))
    for track in rows:
        titles.setdefault(track.title, []).append(track)
    for title, same in titles.items():
        found[title] = (
            _usable(title, same[0]) if len(same) == 1 else f"{len(same)} tracks have the title “{title}”: use external ids"
        )
    found |= {str(track.pk): _usable(str(track.pk), track) for track in rows}
    found |= {track.external_id: _usable(track.external_id, track) for track in rows if track.external_id}
    found |= {track.reference: _usable(track.reference, track) for track in rows if track.reference}
    return found


def _usable(name: str, track: Track) -> int | str:
    if track.state == Track.State.READY:
        return track.pk
    return f"the track “{name}” cannot be rated: it is {track.state}" + (f" ({track.reason})" if track.reason else "")
