from typing import Any

from django.core.management.base import CommandParser

from annotate import selectors
from annotate.services import questionnaires
from datasets.management.command import StudioCommand, find_dataset


class Command(StudioCommand):
    help = "Show the rule, how many tracks it keeps, and how reliable the ratings are."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--dataset", help="Default: the only one, or the first that is not synthetic.")

    def work(self, **options: Any) -> tuple[dict[str, Any], str, bool]:
        dataset = find_dataset(options["dataset"])
        summary = selectors.summarise(questionnaires.questionnaire_of(dataset))
        lines = [f"{dataset}: {summary.n_ratings} ratings by {summary.n_raters} raters", f"Rule: {summary.rule}"]
        lines += [f"{step['n']:>8}  {step['name']}" for step in summary.funnel]
        lines += [f"{n:>8}  agreed on {label}" for label, n in summary.per_label.items()]
        if summary.alpha is not None and summary.alpha_low is not None and summary.alpha_high is not None:
            lines.append(
                f"Krippendorff's alpha {summary.alpha:.3f} (95% interval {summary.alpha_low:.3f} to {summary.alpha_high:.3f})"
            )
        if summary.acceptance is not None:
            lines.append(
                f"Accepted {summary.acceptance:.1%} of the fully rated tracks; if everybody guessed, {summary.chance_acceptance:.1%}"
            )
        return {"dataset": dataset.name, **summary.as_dict()}, "\n".join(lines), True
