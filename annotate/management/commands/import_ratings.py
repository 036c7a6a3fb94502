from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from annotate.methods import imports
from annotate.models import Consensus
from annotate.services import questionnaires, ratings
from datasets.management.command import StudioCommand, find_dataset
from datasets.models import Dataset, Track, Word


class Command(StudioCommand):
    help = "Import ratings from a CSV table (columns track, rater, word or label; optional rated_at, valence, arousal). All rows or none."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dataset", help="Default: the only one, or the first that is not synthetic.")

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        if not options["file"].is_file():
            raise CommandError(f"There is no file {options['file']}.")
        dataset = find_dataset(options["dataset"])
        words = {word.key: word for word in Word.objects.filter(label__dataset=dataset).select_related("label")}
        labels = {label.key: label for label in dataset.labels.all()}
        read, problems = imports.read_ratings(
            options["file"], words={key: word.label.key for key, word in words.items()}, labels=set(labels)
        )
        tracks = _tracks(dataset)
        rows = []
        seen: dict[tuple[int, str], int] = {}
        for row in read:
            track = tracks.get(row.track)
            if not isinstance(track, int):
                why = track or f"there is no track “{row.track}” in “{dataset}” (by external id, number or title)"
                problems.append(f"line {row.line}: {why}")
                continue
            if (track, row.rater) in seen:
                problems.append(f"line {row.line}: rater {row.rater} rated the same track already in line {seen[track, row.rater]}")
                continue
            seen[track, row.rater] = row.line
            word, label = words.get(row.word), labels[row.label]
            rows.append(ratings.ImportedRating(track, row.rater, word, label, row.valence, row.arousal, row.rated_at))
        if problems:
            shown = "\n  ".join(problems[:50]) + (f"\n  … and {len(problems) - 50} more" if len(problems) > 50 else "")
            raise CommandError(
                f"Nothing was imported; {len(problems)} of {len(read) + len(problems)} rows cannot be taken:\n  {shown}"
            )
        questionnaire = questionnaires.questionnaire_of(dataset)
        n = ratings.import_ratings(questionnaire, rows)
        states = Consensus.objects.filter(questionnaire=questionnaire)
        agreed = states.filter(state="agreed").count()
        result = {"dataset": dataset.name, "ratings": n, "tracks": len({row.track_id for row in rows}), "agreed": agreed}
        return result, f"Imported {n} ratings of {result['tracks']} tracks; {agreed} tracks have an agreed label now.", True


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
