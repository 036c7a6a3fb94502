from typing import Any

from django.core.management.base import CommandParser

from datasets.management.command import StudioCommand, find_release
from mer import selectors
from mer.services import runs


class Command(StudioCommand):
    help = "Compare the finished runs of a release: accuracy with n, interval and majority baseline, and what the data can tell."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("release")

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        comparison = selectors.compare(find_release(options["release"]))
        runs.note_opened([row.run for row in comparison.rows], by=None)
        lines = [
            f"{'run':<18}{'training':>9}{'validation':>11}{'test':>7}  {'95% interval':<16}{'n':>4}{'majority':>10}{'chance':>8}{'macro-F1':>10}"
            f"  {'95% interval':<14}"
        ]
        for row in comparison.rows:
            if row.validation and row.test:
                training = f"{row.train.accuracy:.1%}" if row.train else "folds"
                interval = f"{row.test.low:.1%} to {row.test.high:.1%}"
                lines.append(
                    f"{row.run.name:<18}{training:>9}{row.validation.accuracy:>11.1%}{row.test.accuracy:>7.1%}  {interval:<16}"
                    f"{row.test.n:>4}{row.test.majority:>10.1%}{row.test.random_in_words:>8}{row.test.macro_f1:>10.3f}"
                    f"  {row.test.f1_in_words}"
                )
        if len(lines) > 1:
            lines.append("Chance: what guessing scores that answers as often as the labels occur.")
        lines += [verdict.words for verdict in comparison.verdicts] or ["There is nothing to compare yet."]
        if comparison.one_rater is not None:
            lines.append(
                f"One rater against the others of the same track: {comparison.one_rater:.1%} of {comparison.n_judged} ratings."
            )
        result = {
            "one_rater": comparison.one_rater,
            "runs": selectors.comparison_as_dict(comparison),
            "verdicts": [verdict.words for verdict in comparison.verdicts],
        }
        return result, "\n".join(lines), True
