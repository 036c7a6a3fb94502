from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from annotate import services
from annotate.methods import imports
from annotate.models import Consensus
from datasets.management.command import StudioCommand, find_dataset
from datasets.models import Dataset, Track, Word
from datasets.services.tracks import default_dataset


class Command(StudioCommand):
    help = "Import ratings from a CSV table (columns track, rater, word or label; optional rated_at, valence, arousal). All rows or none."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dataset", help="Default: the first one.")

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        if not options["file"].is_file():
            raise CommandError(f"There is no file {options['file']}.")
        dataset = find_dataset(options["dataset"]) if options["dataset"] else default_dataset()
        words = {word.key: word for word in Word.objects.filter(label__dataset=dataset).select_related("label")}
        labels = {label.key: label for label in dataset.labels.all()}
        read, problems = imports.read_ratings(
            options["file"], words={key: word.label.key for key, word in words.items()}, labels=set(labels)
        )
        tracks = _tracks(dataset)
        rows = []
        for row in read:
            track = tracks.get(row.track)
            if track is None:
                problems.append(
                    f"line {row.line}: there is no rateable track “{row.track}” in “{dataset}” (by external id, number or title)"
                )
                continue
            word, label = words.get(row.word), labels[row.label]
            rows.append(services.ImportedRating(track, row.rater, word, label, row.valence, row.arousal, row.rated_at))
        if problems:
            shown = "\n  ".join(problems[:50]) + (f"\n  … and {len(problems) - 50} more" if len(problems) > 50 else "")
            raise CommandError(
                f"Nothing was imported; {len(problems)} of {len(read) + len(problems)} rows cannot be taken:\n  {shown}"
            )
        questionnaire = services.questionnaire_of(dataset)
        n = services.import_ratings(questionnaire, rows)
        states = Consensus.objects.filter(questionnaire=questionnaire)
        agreed = states.filter(state="agreed").count()
        result = {"dataset": dataset.name, "ratings": n, "tracks": len({row.track_id for row in rows}), "agreed": agreed}
        return result, f"Imported {n} ratings of {result['tracks']} tracks; {agreed} tracks have an agreed label now.", True


def _tracks(dataset: Dataset) -> dict[str, int]:
    """Every name a table may use for a ready track: its title (where only one has it), its number, its external id."""
    found: dict[str, int] = {}
    titles: dict[str, list[int]] = {}
    ready = list(dataset.tracks.filter(state=Track.State.READY).only("pk", "title", "external_id"))
    for track in ready:
        titles.setdefault(track.title, []).append(track.pk)
    found |= {title: ids[0] for title, ids in titles.items() if len(ids) == 1}
    found |= {str(track.pk): track.pk for track in ready}
    found |= {track.external_id: track.pk for track in ready if track.external_id}
    return found
