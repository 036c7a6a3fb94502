from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets.management.command import StudioCommand
from mer import selectors


class Command(StudioCommand):
    help = "Write the curves of runs as TensorBoard logs: one folder a run (and a fold), training and validation beside each other."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("run", type=int, nargs="+", help="Numbers of runs of networks.")
        parser.add_argument("--out", type=Path, required=True, help="The folder that `tensorboard --logdir` reads.")

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        runs, missing = selectors.runs_numbered(options["run"])
        if missing:
            raise CommandError(f"There is no run {', '.join(map(str, missing))}.")
        if without := [run.name for run in runs if not run.epochs.all()]:
            raise CommandError(f"No epochs were trained by {', '.join(without)}: only networks have curves.")
        import tensorflow as tf

        folders = []
        for run in runs:
            for fold in sorted({epoch.fold for epoch in run.epochs.all()}):
                name = f"{run.network}-{run.pk}" + (f"-fold-{fold}" if fold else "")
                for part, prefix in (("train", ""), ("validation", "val_")):
                    folder = options["out"] / name / part
                    folders.append(str(folder))
                    writer = tf.summary.create_file_writer(str(folder))
                    with writer.as_default():
                        for epoch in run.epochs.all():
                            if epoch.fold == fold:
                                for what in ("loss", "accuracy"):
                                    tf.summary.scalar(f"epoch_{what}", getattr(epoch, prefix + what), step=epoch.number)
                    writer.close()
        return {"folders": folders}, f"tensorboard --logdir {options['out']}", True
