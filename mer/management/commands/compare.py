from typing import Any

from django.core.management.base import CommandError, CommandParser

from datasets.management.command import StudioCommand, find_release
from datasets.methods.messages import in_words
from mer import comparing
from mer.services import runs


class Command(StudioCommand):
    help = "Compare the finished runs of a release: accuracy with n, interval and majority baseline, and what the data can tell."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("release")
        parser.add_argument(
            "--shared", action="store_true", help="All finished runs on the test tracks that every one of them was tested on."
        )
        parser.add_argument("--against", type=int, metavar="RUN", help="With --shared: every other run is judged against this one.")
        parser.add_argument("--markdown", action="store_true", help="The table of a paper, with baselines, people and minutes.")

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        release, against = find_release(options["release"]), options["against"]
        done = list(release.runs.filter(job__state="done").values_list("pk", flat=True)) if options["shared"] else []
        if against is not None and not options["shared"]:
            raise CommandError("--against goes with --shared: name both.")
        if against is not None and against not in done:
            raise CommandError(f"Run {against} is not among the finished runs of {release.name}.")
        comparison = comparing.compare(release, done, against=against)
        runs.note_opened([row.run for row in comparison.rows], by=None)
        result = comparing.comparison_as_dict(comparison)
        if options["markdown"]:
            return result, result["markdown"], True
        wide = max([len(row.run.name) + 2 for row in comparison.rows], default=18)
        lines = [
            f"{'run':<{wide}}{'training':>9}{'validation':>11}{'test':>7}  {'95% interval':<16}{'n':>4}{'majority':>10}{'chance':>8}{'macro-F1':>10}"
            f"  {'95% interval':<14}"
        ]
        for row in comparison.rows:
            if row.validation and row.test:
                training = f"{row.train.accuracy:.1%}" if row.train else "folds"
                interval = f"{row.test.low:.1%} to {row.test.high:.1%}"
                lines.append(
                    f"{row.run.name:<{wide}}{training:>9}{row.validation.accuracy:>11.1%}{row.test.accuracy:>7.1%}  {interval:<16}"
                    f"{row.test.n:>4}{row.test.majority:>10.1%}{row.test.random_in_words:>8}{row.test.macro_f1:>10.3f}"
                    f"  {row.test.f1_in_words}  {row.run.collapse}".rstrip()
                )
        if len(lines) > 1:
            lines.append("Chance: what guessing scores that answers as often as the labels occur.")
        lines += [verdict.words for verdict in (*comparison.verdicts, *comparison.controls)] or ["There is nothing to compare yet."]
        lines += [in_words([sentence]) for sentence in comparison.torn]
        lines += [spread.in_words for spread in comparison.spreads]
        if people := comparison.one_rater:
            share = f"{people.accuracy.value:.1%} ({people.accuracy.in_words('{:.1%}')})"
            lines.append(f"One rater against the others of the same track: {share} of {people.n} ratings.")
        return result, "\n".join(lines), True
