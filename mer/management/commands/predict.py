import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets.errors import MERError
from datasets.management.command import StudioCommand
from datasets.management.commands.ingest import AUDIO
from mer import predicting, selectors


class Command(StudioCommand):
    help = "What a trained model says of audio files, or of every audio file in a folder: a label and its probabilities."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("run", type=int, help="The number of a run that was trained on a hold-out split.")
        parser.add_argument(
            "--each", action="store_true", help="Print each answer as JSON on a line of its own as soon as it is there."
        )
        parser.add_argument("file", nargs="+", type=Path, help="An audio file, or a folder of them.")

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        run = selectors.runs_of().filter(pk=options["run"]).first()
        if run is None:
            known = ", ".join(str(row.pk) for row in selectors.runs_of()[:20]) or "none yet"
            raise CommandError(f"There is no run {options['run']}. Runs: {known}.")
        predict = predicting.predictor(run)
        files = _files(options["file"])
        rows: list[dict[str, Any]] = []
        lines: list[str] = []
        for number, path in enumerate(files, 1):
            self.progress(f"{number} of {len(files)}: {path.name}")
            try:
                found = predict(path)
            except (MERError, OSError) as fact:
                rows.append({"file": str(path), "refused": str(fact)})
                lines.append(f"{path}: refused: {fact}")
            else:
                rows.append(
                    {"file": str(path), "label": found.label, "probabilities": found.probabilities, "windows": found.windows}
                )
                shares = ", ".join(f"{label} {share:.0%}" for label, share in found.probabilities.items())
                lines.append(f"{path}: {found.label} ({shares})")
            if options["each"]:
                self.stdout.write(json.dumps(rows[-1]))
                self.stdout.flush()
        self.progress("")
        return {"run": run.pk, "files": rows}, "\n".join(lines), all("label" in row for row in rows)


def _files(paths: list[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix.lower() in AUDIO)
            if not inside:
                raise CommandError(f"There is no audio file in {path}.")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise CommandError(f"There is no file {path}.")
    return found
