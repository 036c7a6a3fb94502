"""The paper's study on a release: its Tables 4 and 5 with our figures beside the paper's, and a control that must fall to chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import override

from datasets.methods.messages import N_, Sentence, in_words
from datasets.models import Release
from mer import comparing, selectors
from mer.methods.comparison import Verdict, together
from mer.methods.metrics import Interval, wilson_interval
from mer.methods.params import NETWORKS, PAPER_MAJORITY, PAPER_RIGHT, PAPER_TESTED, PICTURELESS, SpectrogramParams, TrainingParams
from mer.models import Evaluation, Run


@dataclass(frozen=True)
class Step:
    """A run that the replay needs; table : the paper's, empty for what we set beside it."""

    table: str
    title: str
    training: TrainingParams
    spectrograms: SpectrogramParams
    folds: bool
    run: Run | None

    @property
    def theirs(self) -> Interval | None:
        """The paper's test accuracy, with Wilson's interval: of its tracks only their number is known."""
        right = PAPER_RIGHT.get(self.training.network)
        if self.table != "Table 4" or right is None:
            return None
        return Interval(right / PAPER_TESTED, *wilson_interval(right, PAPER_TESTED))

    @property
    def hears_all(self) -> bool:
        return self.training.network in PICTURELESS

    @property
    def is_missing(self) -> bool:
        return self.run is None or self.run.state in ("failed", "cancelled")

    @property
    def test(self) -> Evaluation | None:
        return selectors.evaluation(self.run, "test") if self.run and self.run.state == "done" else None


# What the paper varied of its networks, one at a time, on full songs; the paper gives no figures for it.
ABLATIONS: tuple[tuple[str, dict[str, float]], ...] = (
    ("cnn", {"dropout": 0.0}), ("cnn", {"dropout": 0.5}), ("cnn", {"depth": 2}), ("cnn", {"depth": 3}), ("cnn", {"width": 0.5}),
    ("crnn", {"dropout": 0.0}), ("crnn", {"dropout": 0.5}), ("crnn", {"depth": 2}), ("crnn", {"depth": 3}), ("crnn", {"width": 0.5}),
)  # fmt: skip


def steps(
    release: Release, *, epochs: int, seed: int, folds: bool = False, recipe: str = "paper", ablations: bool = False
) -> list[Step]:
    """Every run of the replay in the order of its tables, with the run that was made already."""
    plan = [
        ("Table 4", "cnn", "full", False), ("Table 4", "crnn", "full", False), ("Table 5", "cnn", "clips", False),
        ("Table 5", "crnn", "clips", False), ("", "ensemble", "full", False), ("", "features", "full", False), ("", "mel", "full", False), ("", "crnn", "full", True),
        ("", "ensemble", "full", True),
    ]  # fmt: skip
    found = []
    for table, network, input, shuffled in plan:
        training = TrainingParams.of(network, epochs=epochs, seed=seed, shuffle_labels=shuffled)
        spectrograms = SpectrogramParams(input=input, recipe=recipe)
        title = NETWORKS[network] + (" on shuffled labels: the control" if shuffled else "")
        run = selectors.latest_run(release, training, spectrograms, folds=folds)
        found.append(Step(table, title, training, spectrograms, folds, run))
    for network, varied in ABLATIONS if ablations else ():
        training = TrainingParams.of(network, epochs=epochs, seed=seed, **varied)
        spectrograms = SpectrogramParams(input="full", recipe=recipe)
        title = f"{NETWORKS[network]}, {', '.join(f'{name} {value:g}' for name, value in varied.items())}"
        run = selectors.latest_run(release, training, spectrograms, folds=folds)
        found.append(Step("Ablation", title, training, spectrograms, folds, run))
    return found


LARGE_LEAK = 0.15  # above the majority
HEAD = "| table | model | input | the paper | test accuracy | 95% interval | n | majority | chance | macro-F1 | 95% interval |"


@override("en")  # a report has the same words for everyone
def markdown(release: Release, done: list[Step]) -> str:
    """The report; a step without a finished run is said to be missing."""
    split = "folds, every track tested once" if done[0].folds else "the hold-out split, its test part read once"
    rows = [_row(step) for step in done]
    alpha = release.reliability.get("alpha")
    said = f"Krippendorff's alpha {alpha:.2f}" if isinstance(alpha, float) else "Krippendorff's alpha is not defined"
    if isinstance(low := release.reliability.get("alpha_low"), float) and isinstance(
        high := release.reliability.get("alpha_high"), float
    ):
        said += f" (95% {low:.2f} to {high:.2f})"
    words = [verdict.words for verdict in verdicts(done)]
    parts = [
        f"# The paper's study on {release.name}",
        f"{release.items.count()} tracks of {release.dataset}, hash {release.content_hash[:16]}; {release.rule}; {said}. Figures are from {split}.",
        "\n".join([HEAD, "|" + " --- |" * 11, *rows]),
        "Chance: what guessing scores that answers as often as the labels occur. Only runs with the recipe"
        f" {done[0].spectrograms.recipe}, seed {done[0].training.seed} and at most {done[0].training.epochs} epochs count here, of networks with"
        " the layers of today.",
        f"The paper's percentages fit only {PAPER_TESTED} test tracks (58.33% is 21 of 36; the intervals are Wilson's); always “neutral” is right on"
        f" {PAPER_MAJORITY:.1%} of its 361 songs. For clips it gives no figure above its"
        " majority, and nothing says that clips of one song stayed in one part. Here the track is the unit: a track's pictures are pooled.",
        *(in_words([sentence]) for sentence in torn(done)),
        people_in_words(release, done),
        *words,
        *(in_words([sentence]) for sentence in controls(done)),
    ]
    return "\n\n".join(parts) + "\n"


@override("en")
def as_dict(release: Release, done: list[Step]) -> dict[str, Any]:
    rows = [
        {"table": step.table, "model": step.title, "input": None if step.hears_all else step.spectrograms.input, "theirs": step.theirs.value if step.theirs else None,
         "their_interval": (step.theirs.low, step.theirs.high) if step.theirs else None, "state": step.run.state if step.run else None,
         **(comparing.rows_as_dicts(comparing.figures_of([step.run]))[0] if step.run and step.test else {"run": step.run.pk if step.run else None})}
        for step in done
    ]  # fmt: skip
    return {
        "release": release.name,
        "rows": rows,
        "verdicts": comparing.verdicts_as_dicts(verdicts(done)),
        "controls": [in_words([sentence]) for sentence in controls(done)],
        "leaks": any(leaks(step) for step in done),
        "torn": [in_words([sentence]) for sentence in torn(done)],
        "markdown": markdown(release, done),
    }


def people_in_words(release: Release, done: list[Step]) -> str:
    people = comparing.one_rater(release, tested_tracks(done))
    if people is None:
        return "No rating can be judged by others of its track: there is no human reference."
    share = f"{people.accuracy.value:.1%} of {people.n} ratings (95% {people.accuracy.in_words('{:.1%}')}), macro-F1 {people.macro_f1.value:.3f}"
    words = f"One rater against the others of the same track, on {people.n_tracks} tracks: {share}."
    if people.chance is None:
        return words
    return f"{words} Raters who guess would score {people.chance:.1%} on tracks that agree as much."


def tested_tracks(done: list[Step]) -> list[int] | None:
    """The tracks that all of the finished runs were tested on; None where these differ, or none is finished."""
    return comparing.tested_by_all(comparing.figures_of([step.run for step in done if step.run]))


def _row(step: Step) -> str:
    theirs = "–" if step.theirs is None else f"{step.theirs.value:.1%} ({step.theirs.low:.0%} to {step.theirs.high:.0%})"
    words = "whole song" if step.training.network in PICTURELESS else step.spectrograms.input
    title = ", ".join(filter(None, [step.title, step.run.collapse if step.run else ""]))
    head = f"| {step.table or '–'} | {title} | {words} | {theirs} |"
    if not step.test:
        state = step.run.state if step.run else "not trained"
        return f"{head} {state} |" + " – |" * 6
    test = step.test
    figures = f"{test.accuracy:.1%} | {test.low:.1%} to {test.high:.1%} | {test.n} | {test.majority:.1%} | {test.random_in_words} | {test.macro_f1:.3f}"
    return f"{head} {figures} | {test.f1_in_words} |"


def verdicts(done: list[Step]) -> list[Verdict]:
    """Each against the paper's best, the CRNN on full songs. Controls and ablations are no rivals of it: what is adjusted for is the rest."""
    rivals = [step.run for step in done if step.run and step.test and step.table != "Ablation" and not step.run.is_control]
    best = next((step.run for step in done if step.training.network == "crnn" and step.table == "Table 4" and step.test), None)
    return together([comparing.verdict_of(run, best) for run in rivals if run != best]) if best else []


def torn(done: list[Step]) -> list[Sentence]:
    return comparing.torn([step.run for step in done if step.run and step.test])


def leaks(step: Step) -> bool:
    """Whether a control is better than always the majority by more than chance."""
    return bool(step.run and step.run.is_control and step.test and step.test.low > step.test.majority)


def controls(done: list[Step]) -> list[Sentence]:
    """Whether what learned from shuffled labels fell to chance: it has no business to be better than always the majority."""
    found: list[Sentence] = []
    for step in done:
        test = step.test
        if not test or not step.run or not step.run.is_control:
            continue
        chance = min(test.majority, test.majority if test.random is None else test.random)
        values = {
            "name": step.run.name, "accuracy": f"{100 * test.accuracy:.1f}", "low": f"{100 * test.low:.1f}", "high": f"{100 * test.high:.1f}",
            "n": test.n, "majority": f"{100 * test.majority:.1f}", "hidden": f"{100 * (test.high - chance):.0f}",
        }  # fmt: skip
        if leaks(step):
            words = N_(
                "SOMETHING LEAKS: %(name)s learned from shuffled labels and is right on %(accuracy)s%% of %(n)s tracks (95%% %(low)s to %(high)s), more than always the majority (%(majority)s%%)."
            )
        elif test.high > test.majority + LARGE_LEAK:
            words = N_(
                "No leak can be seen, but a large one could hide: %(name)s learned from shuffled labels and is right on %(accuracy)s%% of %(n)s tracks (95%% %(low)s to %(high)s); always the majority: %(majority)s%%. One of up to %(hidden)s points would not show: train the control in folds, or on more tracks."
            )
        elif test.high <= chance:
            words = N_(
                "The control fell to chance: %(name)s learned from shuffled labels and is right on %(accuracy)s%% of %(n)s tracks (95%% %(low)s to %(high)s); always the majority: %(majority)s%%."
            )
        else:
            words = N_(
                "The control fell to chance: %(name)s learned from shuffled labels and is right on %(accuracy)s%% of %(n)s tracks (95%% %(low)s to %(high)s); always the majority: %(majority)s%%. A leak that lifts it from what guessing scores by more than %(hidden)s points would show."
            )
        found.append((words, values))
    return found
