from typing import Any

from django.core.management.base import CommandParser

from annotate.services import freezing, questionnaires
from datasets.management.command import StudioCommand, find_dataset


class Command(StudioCommand):
    help = "Freeze the agreed tracks as a release with an 80/10/10 split."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--dataset", help="Default: the only one, or the first that is not synthetic.")

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        name = options["name"]
        dataset = find_dataset(options["dataset"])
        release = freezing.freeze(questionnaires.questionnaire_of(dataset), name=name, seed=options["seed"])
        n = release.items.count()
        result = {"release": release.name, "items": n, "left_out": len(release.left_out), "hash": release.content_hash}
        return (
            result,
            f"Froze {n} tracks as “{release.name}” ({len(release.left_out)} left out), hash {release.content_hash}.",
            True,
        )
