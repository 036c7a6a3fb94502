from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from annotate import ratings_table
from annotate.methods import imports
from annotate.models import Consensus
from annotate.services import questionnaires, ratings
from datasets.errors import MERError
from datasets.management.command import StudioCommand, find_dataset
from datasets.methods import lists


class Command(StudioCommand):
    help = "Import ratings from a CSV table (columns track, rater, word or label; optional rated_at, valence, arousal). All rows or none."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dataset", help="Default: the only one, or the first that is not synthetic.")

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        if not options["file"].is_file():
            raise CommandError(f"There is no file {options['file']}.")
        dataset = find_dataset(options["dataset"])
        try:
            cells = lists.read_cells(options["file"].read_bytes(), options["file"].name)
            found = imports.as_ratings(cells, imports.suggest(cells[0][1]))
        except MERError as fact:
            raise CommandError(f"{options['file']}: {fact}") from None
        checked = ratings_table.check(dataset, found)
        rows, problems = checked.rows, checked.problems
        if problems:
            shown = "\n  ".join(problems[:50]) + (f"\n  … and {len(problems) - 50} more" if len(problems) > 50 else "")
            raise CommandError(f"Nothing was imported; {len(problems)} of {checked.n} rows cannot be taken:\n  {shown}")
        questionnaire = questionnaires.questionnaire_of(dataset)
        n = ratings.import_ratings(questionnaire, rows)
        states = Consensus.objects.filter(questionnaire=questionnaire)
        agreed = states.filter(state="agreed").count()
        result = {"dataset": dataset.name, "ratings": n, "tracks": len({row.track_id for row in rows}), "agreed": agreed}
        return result, f"Imported {n} ratings of {result['tracks']} tracks; {agreed} tracks have an agreed label now.", True
