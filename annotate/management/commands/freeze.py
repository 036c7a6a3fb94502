from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from annotate.services import freezing, questionnaires
from datasets.management.command import StudioCommand, find_dataset
from datasets.methods import splits


def _parts(path: Path) -> dict[int, str]:
    try:
        return splits.read_parts(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CommandError(f"{path}: {error}") from None


def _sizes(text: str) -> dict[str, int]:
    numbers = [int(number) for number in text.split(",")]
    if len(numbers) != len(splits.PAPER_PARTS):
        raise ValueError(text)
    return dict(zip(splits.PAPER_PARTS, numbers, strict=True))


class Command(StudioCommand):
    help = "Freeze the agreed tracks as a release with an 80/10/10 split."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--split", type=Path, help="A CSV with track_id and part (train, validation, test); else it is drawn.")
        parser.add_argument(
            "--sizes", type=_sizes, help="Tracks of train, validation and test, such as 291,34,36, which the paper had."
        )
        parser.add_argument(
            "--folds", type=int, dest="n_folds", help="How many are drawn beside it; default: as in the last release, or five."
        )
        parser.add_argument("--licence", default="", help="Of the labels.")
        parser.add_argument("--author", action="append", default=[], dest="authors", help="Once for each.")
        parser.add_argument("--description", default="")
        parser.add_argument(
            "--without-incomplete",
            action="store_true",
            help="Leave out tracks whose spectrogram could not be made, as the paper did.",
        )
        parser.add_argument(
            "--without-unlicensed", action="store_true", help="Leave out tracks whose licence does not let them be passed on."
        )
        parser.add_argument("--dataset", help="Default: the only one, or the first that is not synthetic.")

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        name = options["name"]
        dataset = find_dataset(options["dataset"])
        about = {
            key: options[key]
            for key in ("seed", "sizes", "n_folds", "licence", "authors", "description", "without_incomplete", "without_unlicensed")
        }
        parts = _parts(options["split"]) if options["split"] else None
        questionnaire = questionnaires.questionnaire_of(dataset)
        if options["without_incomplete"]:
            self.progress("Drawing what is missing …")
            freezing.draw_missing(questionnaire)
        release = freezing.freeze(questionnaire, name=name, parts=parts, **about)
        n = release.items.count()
        splits = list(release.splits.order_by("pk").values_list("name", flat=True))
        result = {
            "release": release.name,
            "items": n,
            "left_out": len(release.left_out),
            "splits": splits,
            "hash": release.content_hash,
        }
        return (
            result,
            f"Froze {n} tracks as “{release.name}” ({len(release.left_out)} left out), split into {', '.join(splits)}, hash {release.content_hash}.",
            True,
        )
