import time
from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets.management.command import StudioCommand, find_release, finish
from datasets.methods.messages import in_words
from datasets.models import Job
from datasets.services import queue
from mer import comparing, jobs, selectors
from mer.methods.params import CHOICES, INPUTS, NETWORKS, PRECISIONS, RECIPES, SpectrogramParams, TrainingParams
from mer.models import Run
from mer.services import runs

DEFAULT = TrainingParams()


class Command(StudioCommand):
    help = "Train a network on a release. Without --queue it trains here and shows each epoch."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("release")
        parser.add_argument("--network", required=True, choices=NETWORKS)
        parser.add_argument("--input", default="full", choices=INPUTS)
        parser.add_argument("--recipe", default="robust", choices=RECIPES)
        parser.add_argument("--seed", type=int, default=DEFAULT.seed)
        parser.add_argument("--epochs", type=int, default=DEFAULT.epochs)
        parser.add_argument(
            "--folds", action="store_true", help="Test every track once, in the release's folds, in place of the hold-out split."
        )
        parser.add_argument(
            "--repeats", type=int, default=1, help="With --folds: as many runs, each on folds drawn anew (k-fold repeated)."
        )
        parser.add_argument("--seeds", type=int, default=1, help="As many runs, each with the next seed.")
        parser.add_argument(
            "--runs",
            type=int,
            nargs="+",
            default=[],
            help="For an ensemble: the finished runs that it averages. Default: its own two models.",
        )
        parser.add_argument(
            "--vote-shares", action="store_true", help="A network learns from how the votes are shared; linear models always do."
        )
        parser.add_argument(
            "--shuffle-labels",
            action="store_true",
            help="A control: what is learned from shuffled labels can be no better than chance.",
        )
        parser.add_argument("--batch-size", type=int, help="Pictures at a time; fewer where memory runs out.")
        parser.add_argument("--learning-rate", type=float, help="Of Adam; smaller where the loss becomes NaN.")
        parser.add_argument("--dropout", type=float, help="Share of the values that dropout hides; default: the network's own.")
        parser.add_argument("--depth", type=int, help="For cnn and crnn: how many layers of convolutions.")
        parser.add_argument("--width", type=float, help="For cnn and crnn: what the numbers of filters are multiplied by.")
        parser.add_argument("--mixup", type=float, help="Blend pictures two by two, by Beta(mixup, mixup); 0: not.")
        parser.add_argument("--precision", choices=PRECISIONS, help="Of the layers; auto: what the processor has.")
        parser.add_argument("--queue", action="store_true", help="Leave it to a worker and return at once.")

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        made = runs.create_runs(
            n_draws=options["repeats"],
            n_seeds=options["seeds"],
            release=find_release(options["release"]),
            training=TrainingParams.of(options["network"], **{name: options[name] for name in CHOICES}),
            spectrograms=SpectrogramParams(input=options["input"], recipe=options["recipe"]),
            folds=options["folds"],
            members=self._members(options["runs"]),
            wake_worker=options["queue"],
        )
        if options["queue"]:
            found = [{"run": run.pk, "state": run.state} for run in made]
            return found[0] | {"repeats": found[1:]}, f"Queued {', '.join(run.name for run in made)}.", True
        results = [self._trained(run) for run in made]
        (first, _), *others = results
        return first | {"repeats": [row for row, _ in others]}, "\n".join(text for _, text in results), True

    def _trained(self, run: Run) -> tuple[dict[str, Any], str]:
        assert run.job is not None
        began = time.monotonic()
        job = finish(run.job.pk, self._train)
        if job.state != Job.State.DONE:
            raise CommandError(f"{run.name} was not trained: {job.reason or job.get_state_display()}")
        self.progress("")
        run = selectors.runs_of().get(pk=run.pk)
        runs.note_opened([run], by=None)
        epochs = f"{run.epochs.count()} epochs, best {run.best_epoch}, " if run.best_epoch else ""
        lines = [f"{run.name}: {epochs}{time.monotonic() - began:.0f} s, {len(run.excluded)} tracks left out"]
        lines += [_line(run, part) for part in ("train", "validation", "test")]
        lines += [in_words([sentence]) for sentence in comparing.torn([run])]
        row = comparing.rows_as_dicts(comparing.figures_of([run]))[0]
        return {**row, "excluded": len(run.excluded), "seconds": round(time.monotonic() - began, 1)}, "\n".join(lines)

    def _members(self, numbers: list[int]) -> list[Run]:
        found, missing = selectors.runs_numbered(numbers)
        if missing:
            raise CommandError(f"There is no run {', '.join(map(str, missing))}.")
        return found

    def _train(self, ticket: queue.Ticket) -> None:
        report = ticket.progress

        def shown(share: float, detail: str, **values: Any) -> None:
            self.progress(f"{share:4.0%} {detail}")
            report(share, detail, **values)

        ticket.progress = shown  # type: ignore[method-assign]
        jobs.train_run(ticket)


def _line(run: Run, part: str) -> str:
    row = selectors.evaluation(run, part)
    if row is None:
        return f"  {part}: not evaluated"
    return f"  {part:<10} n = {row.n:<4} accuracy {row.accuracy:.1%} ({row.low:.1%} to {row.high:.1%}), majority {row.majority:.1%}, macro-F1 {row.macro_f1:.3f}"
