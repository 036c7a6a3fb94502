from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets.management.command import StudioCommand, find_release, finish
from datasets.models import Job
from mer import jobs, replay
from mer.methods.params import RECIPES, TrainingParams
from mer.services import runs

DEFAULT = TrainingParams()


class Command(StudioCommand):
    help = "Replay the paper's Tables 4 and 5 on a release: trains what is missing, and prints our figures beside the paper's as Markdown."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("release")
        parser.add_argument("--recipe", default="paper", choices=RECIPES)
        parser.add_argument("--seed", type=int, default=DEFAULT.seed)
        parser.add_argument("--epochs", type=int, default=DEFAULT.epochs)
        parser.add_argument(
            "--folds", action="store_true", help="Test every track once, in the release's folds: with five, five times the work."
        )
        parser.add_argument(
            "--ablations",
            action="store_true",
            help="The paper's ablations too: dropout, depth and filters of both networks, one at a time.",
        )
        parser.add_argument("--only-report", action="store_true", help="Train nothing: report what has been trained.")
        parser.add_argument("--out", type=Path, help="Write the report into this file as well.")

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        release = find_release(options["release"])
        out: Path | None = options["out"]
        if out and not out.parent.is_dir():
            raise CommandError(f"There is no folder {out.parent} to write into.")
        asked = {name: options[name] for name in ("epochs", "seed", "folds", "recipe", "ablations")}
        for step in [] if options["only_report"] else replay.steps(release, **asked):
            if step.is_missing:
                self._train(release, step)
        done = replay.steps(release, **asked)
        result = replay.as_dict(release, done)
        runs.note_opened([step.run for step in done if step.run], by=None)
        if out:
            out.write_text(result["markdown"], encoding="utf-8")
        return result, result["markdown"], all(step.test for step in done) and not result["leaks"]

    def _train(self, release: Any, step: replay.Step) -> None:
        run = runs.create_run(
            release=release, training=step.training, spectrograms=step.spectrograms, folds=step.folds, wake_worker=False
        )
        assert run.job is not None
        self.progress(f"{step.title}, {step.spectrograms.input} …")
        job = finish(run.job.pk, jobs.train_run)
        if job.state != Job.State.DONE:
            self.stderr.write(f"{step.title}, {step.spectrograms.input}: {job.reason or job.get_state_display()}")
