"""Finished runs beside each other: figures, intervals and verdicts on the same tracks, and the people who rated them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from django.utils.translation import gettext, override
from numpy.typing import NDArray

from datasets.methods.messages import N_, Sentence, in_words
from datasets.models import Release
from mer.methods import metrics
from mer.methods.comparison import Verdict, mcnemar, together, with_differences
from mer.models import Evaluation, Prediction, Run
from mer.selectors import evaluation, rounds_of, runs_of, samples_of, tested


@dataclass(frozen=True)
class CompareRow:
    run: Run
    train: Evaluation | None
    validation: Evaluation | None
    test: Evaluation | None


@dataclass(frozen=True)
class Spread:
    """Test accuracy of trainings that differ in their seed, or in the drawing of their folds, alone.

    mean : of each track over the runs, then of the tracks, with an interval from draws of whole groups.
    """

    rows: list[CompareRow]
    mean: metrics.Interval
    low: float
    high: float

    @property
    def in_words(self) -> str:
        values = {
            "runs": ", ".join(row.run.name for row in self.rows), "mean": f"{100 * self.mean.value:.1f}",
            "from": f"{100 * self.mean.low:.1f}", "to": f"{100 * self.mean.high:.1f}", "low": f"{100 * self.low:.1f}", "high": f"{100 * self.high:.1f}",
        }  # fmt: skip
        return (
            gettext(
                "%(runs)s, the same but for seed or drawing: %(mean)s%% on average (95%% %(from)s to %(to)s), single ones %(low)s to %(high)s%%"
            )
            % values
        )


@dataclass(frozen=True)
class Comparison:
    """Finished runs of a release, best on validation first; verdicts on the test part: of chosen runs, or of the best of each network and split."""

    rows: list[CompareRow]
    running: list[Run]
    verdicts: list[Verdict]
    labels: list[str]
    controls: Sequence[Verdict] = ()  # what learned from shuffled labels against one that did not: adjusted for nothing
    one_rater: metrics.OneRater | None = (
        None  # on the tracks that all rows were tested on; where these differ, on all of the release
    )
    spreads: Sequence[Spread] = ()
    five_raters: float | None = None  # on tracks with more than five ratings
    n_five: int = 0
    n_shared: int | None = None  # chosen runs that were tested on different tracks: test figures are on these, which all have

    @property
    def torn(self) -> list[Sentence]:
        return torn([row.run for row in self.rows])


def torn(runs: Sequence[Run]) -> list[Sentence]:
    """That artists stand in two parts of a split that some of the runs have, where it is so."""
    n_folds = max((run.n_torn for run in runs if run.in_folds), default=0)
    n_parts = max((run.n_torn for run in runs if not run.in_folds), default=0)
    flatters = N_("What a model learned of one of their tracks may help it with another, and flatters its figures.")
    found: list[Sentence] = []
    if n_parts:
        values = {"n": n_parts, "flatters": (flatters, {})}
        found.append((N_("Artists with tracks in two parts of the hold-out split: %(n)s. %(flatters)s"), values))
    if n_folds:
        found.append((N_("Artists with tracks in two folds: %(n)s. %(flatters)s"), {"n": n_folds, "flatters": (flatters, {})}))
    return found


def compare(release: Release, chosen: Sequence[int] = (), *, against: int | None = None) -> Comparison:
    """All runs of a release, or those that are chosen: these on the test tracks that all of them have.

    against : the run that all others are judged against; without it, each against each. Controls are no rivals, and are told apart from the
    others: each against that run, or else against the best on validation.
    """
    runs = list(runs_of(release).filter(pk__in=chosen) if chosen else runs_of(release))
    rows = sorted(figures_of(runs), key=lambda row: (not row.run.in_folds, -(row.validation.accuracy if row.validation else 0)))
    shared, n_shared = None, None
    if chosen and rows:
        tables = {row.run.pk: {said.track_id: said for said in tested(row.run)} for row in rows}
        shared = sorted(set.intersection(*map(set, tables.values())))
        if any(len(table) > len(shared) for table in tables.values()):
            rows, n_shared = _on_shared_tracks(rows, tables, shared), len(shared)
    best: dict[object, Run] = {}
    for row in rows:
        if chosen:
            best[row.run.pk] = row.run
        elif not row.run.is_control and row.run.draw == 1:
            best.setdefault((row.run.network, row.run.split_id), row.run)
    told = [run for run in best.values() if not run.is_control] or list(best.values())
    pairs = [(one, two) for index, one in enumerate(told) for two in told[index + 1 :] if chosen or one.split_id == two.split_id]
    rival = told[0] if told else None
    if against is not None:
        rival = next(row.run for row in rows if row.run.pk == against)
        pairs = [(run, rival) for run in told if run != rival]
    verdicts = together([verdict_of(one, two, shared) for one, two in pairs])
    controls = [verdict_of(run, rival, shared) for run in best.values() if rival and run not in told and run != rival]
    running = [run for run in runs if run.state in ("queued", "running")]
    tested_alike = shared if chosen else tested_by_all(rows)
    five, n_five = metrics.five_raters(votes_of(release, tested_alike))
    return Comparison(
        rows, running, verdicts, list(release.labels), controls, one_rater(release, tested_alike), _spreads(rows, shared), five if n_five else None, n_five, n_shared
    )  # fmt: skip


def _spreads(rows: Sequence[CompareRow], shared: Sequence[int] | None) -> list[Spread]:
    alike: dict[object, list[CompareRow]] = {}
    for row in rows:
        if row.test:
            alike.setdefault(_but_for_chance(row.run), []).append(row)
    found = []
    for several in alike.values():
        accuracies = [row.test.accuracy for row in several if row.test]
        if len({(row.run.seed, row.run.draw) for row in several}) > 1 and (
            tracks := sorted(set.intersection(*_tested(several))) if shared is None else shared
        ):
            said = Prediction.objects.filter(run__in=[row.run for row in several], part="test", track__in=tracks)
            right: dict[int, list[bool]] = {}
            for one in said.defer("probabilities"):
                right.setdefault(one.track_id, []).append(one.is_right)
            groups = {item.track_id: item.group for item in several[0].run.release.items.all()}
            mean = metrics.mean_interval(np.array([np.mean(right[track]) for track in tracks]), [groups[track] for track in tracks])
            found.append(Spread(several, mean, min(accuracies), max(accuracies)))
    return found


def _but_for_chance(run: Run) -> object:
    params = {name: value for name, value in run.params.items() if name not in ("seed", "draw")}
    return run.network, run.split_id, run.spectrogram_set_id, tuple(run.members), tuple(sorted(params.items(), key=str))


def tested_by_all(rows: Sequence[CompareRow]) -> list[int] | None:
    """The tracks that these runs were tested on; None where it was not the same for all."""
    sets = _tested(rows)
    return sorted(sets[0]) if sets and all(one == sets[0] for one in sets) else None


def _tested(rows: Sequence[CompareRow]) -> list[set[int]]:
    return [set(tested(row.run).values_list("track_id", flat=True)) for row in rows]


def _on_shared_tracks(
    rows: Sequence[CompareRow], tables: Mapping[int, Mapping[int, Prediction]], shared: Sequence[int]
) -> list[CompareRow]:
    """The rows with test figures on the tracks that all runs were tested on; tables : what each run said of each track."""
    items = {item.track_id: item for item in rows[0].run.release.items.all()}
    labels = list(rows[0].run.release.labels)
    groups = [items[track].group for track in shared]
    truth = np.array([labels.index(items[track].label) for track in shared], int)
    votes = np.array([[items[track].votes.get(label, 0) for label in labels] for track in shared], float)
    found = []
    for row in rows:
        test = None
        if shared:
            said = [tables[row.run.pk][track].probabilities for track in shared]
            P = np.array([[probabilities[label] for label in labels] for probabilities in said])  # noqa: N806  (the field's letter)
            often = _taught(row.run, shared, labels)
            random = float(often[np.arange(len(shared)), truth].mean())
            figures = metrics.figures(P, truth, votes / np.maximum(1, votes.sum(axis=1, keepdims=True)), groups, random=random)
            table = metrics.confusion_matrix(truth, P.argmax(axis=1), len(labels))
            majority = often.argmax(axis=1)
            majority_f1 = metrics.macro_f1(metrics.confusion_matrix(truth, majority, len(labels)))
            test = Evaluation(
                run=row.run, part="test", n=len(shared), n_correct=int(np.trace(table)), accuracy=figures.accuracy.value,
                low=figures.accuracy.low, high=figures.accuracy.high, macro_f1=figures.macro_f1.value,
                majority=float(np.mean(truth == majority)), confusion=table.tolist(),
                figures=metrics.without_nan(asdict(figures)) | {"majority_f1": majority_f1},
            )  # fmt: skip
        found.append(CompareRow(row.run, row.train, row.validation, test))
    return found


def _taught(run: Run, tracks: Sequence[int], labels: Sequence[str]) -> NDArray[np.float64]:
    """How often each label occurred among the tracks that the model learned from that each of these was tested with [shape=(n, n_labels)]."""
    excluded = {int(row["track"]) for row in run.excluded}
    samples = [sample for sample in samples_of(run) if sample.track_id not in excluded]
    found: dict[int, NDArray[np.float64]] = {}
    for parts in rounds_of(run, samples):
        taught = [labels.index(sample.label) for sample, part in zip(samples, parts, strict=True) if run.learned_from(part, "test")]
        often = np.bincount(taught, minlength=len(labels)) / max(1, len(taught))
        found |= {sample.track_id: often for sample, part in zip(samples, parts, strict=True) if part == "test"}
    return np.array([found[track] for track in tracks])


def figures_of(runs: Sequence[Run]) -> list[CompareRow]:
    """Of those that are finished, in the order given."""
    parts = ("train", "validation", "test")
    return [CompareRow(run, *(evaluation(run, part) for part in parts)) for run in runs if run.state == "done"]


def votes_of(release: Release, tracks: Sequence[int] | None = None) -> list[list[int]]:
    """How many raters chose each label, a track a row: of these tracks, or of all."""
    return [votes for _group, votes in _votes(release, tracks)]


def _votes(release: Release, tracks: Collection[int] | None) -> list[tuple[str, list[int]]]:
    labels, items = list(release.labels), release.items.order_by("track")
    if tracks is not None:
        items = items.filter(track__in=tracks)
    return [(item.group, [item.votes.get(label, 0) for label in labels]) for item in items]


def one_rater(release: Release, tracks: Sequence[int] | None = None) -> metrics.OneRater | None:
    """What one rater scores against the others of the same track, on these tracks or on all; None where nobody can be judged."""
    found = _votes(release, tracks)
    settled = release.items.filter(is_ruled=False).values_list("track_id", flat=True)  # by the raters, not by a curator
    agreed = [max(votes) / sum(votes) for _group, votes in _votes(release, settled) if sum(votes)]
    return metrics.one_rater([votes for _group, votes in found], [group for group, _votes in found], floor=min(agreed, default=0.0))


def verdict_of(one: Run, two: Run, among: Collection[int] | None = None) -> Verdict:
    """On the test tracks that both runs were tested on, or those `among` them: exact McNemar, and the difference with its interval over groups."""
    tables = [{row.track_id: row for row in tested(run)} for run in (one, two)]
    tracks = sorted(set(tables[0]) & set(tables[1]) & set(tables[0] if among is None else among))
    labels = list(one.release.labels)
    groups = {item.track_id: item.group for item in one.release.items.all()}
    truth = [labels.index(tables[0][track].truth) for track in tracks]
    predicted = [[labels.index(table[track].predicted) for track in tracks] for table in tables]
    right = [[guess == true for guess, true in zip(row, truth, strict=True)] for row in predicted]
    verdict = mcnemar(right[0], right[1], (one.name, two.name))
    if not tracks:
        return verdict
    chosen = [groups[track] for track in tracks]
    return with_differences(
        verdict,
        truth,
        predicted[0],
        predicted[1],
        chosen,
        n_labels=len(labels),
        draws=_draws_of(one, two, set(tracks)),
        validates=one.has_epochs or two.has_epochs,
    )


def _draws_of(one: Run, two: Run, tracks: Collection[int]) -> list[list[list[int]]]:
    """Right less right of two networks on each of these tracks, by fold, of every drawing of the folds that both were trained on."""
    if not one.in_folds or one.split_id != two.split_id or one.draw != two.draw:
        return []
    repeats = [_repeats_of(run) for run in (one, two)]
    found = []
    for draw in sorted(set(repeats[0]) & set(repeats[1])):
        pair = [repeats[0][draw], repeats[1][draw]]
        right = [{row.track_id: int(row.is_right) for row in tested(run).defer("probabilities")} for run in pair]
        folds: dict[str, list[int]] = {}
        for sample in samples_of(pair[0]):
            if sample.track_id in tracks and sample.track_id in right[0] and sample.track_id in right[1]:
                folds.setdefault(sample.part, []).append(right[0][sample.track_id] - right[1][sample.track_id])
        if len(folds) > 2:
            found.append(list(folds.values()))
    return found


def _repeats_of(run: Run) -> dict[int, Run]:
    """The same training on other drawings of the folds, by drawing, with itself."""
    others = runs_of(run.release).filter(
        split=run.split_id, spectrogram_set=run.spectrogram_set_id, network=run.network, members=run.members, job__state="done"
    )
    same = {key: value for key, value in run.params.items() if key != "draw"}
    found = {other.draw: other for other in others if {key: value for key, value in other.params.items() if key != "draw"} == same}
    return found | {run.draw: run}


def rows_as_dicts(rows: Sequence[CompareRow]) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        figures: dict[str, Any] = {
            "run": row.run.pk,
            "network": row.run.network,
            "split": row.run.split.name,
            "seed": row.run.seed,
            "control": row.run.is_control,
            "one_class": row.run.one_class,
        }
        for part in ("train", "validation", "test"):
            value: Evaluation | None = getattr(row, part)
            if value:
                figures[part] = {
                    name: getattr(value, name)
                    for name in ("n", "n_correct", "accuracy", "low", "high", "macro_f1", "majority", "figures")
                }
        found.append(figures)
    return found


@override("en")  # programs read the same words everywhere
def comparison_as_dict(comparison: Comparison) -> dict[str, Any]:
    return {
        "runs": rows_as_dicts(comparison.rows),
        "one_rater": metrics.without_nan(asdict(comparison.one_rater)) if comparison.one_rater else None,
        "five_raters": comparison.five_raters,
        "n_five": comparison.n_five,
        "torn": [in_words([sentence]) for sentence in comparison.torn],
        "n_shared": comparison.n_shared,
        "seeds": [spread.in_words for spread in comparison.spreads],
        "verdicts": verdicts_as_dicts(comparison.verdicts),
        "controls": verdicts_as_dicts(comparison.controls),
        "markdown": markdown(comparison),
    }


def verdicts_as_dicts(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    return [
        {name: metrics.without_nan(value) for name, value in asdict(verdict).items() if name != "said"} | {"words": verdict.words}
        for verdict in verdicts
    ]


HEAD = "| model | input | seed | n | accuracy | 95% interval | macro-F1 | 95% interval | minutes |"


@override("en")
def markdown(comparison: Comparison) -> str:
    """The table of a paper: every run with n and intervals, then what needs no training, the people, and the verdicts."""
    tested = [row for row in comparison.rows if row.test]
    lines = [HEAD, "|" + " --- |" * 9, *(_line(row) for row in tested)]
    # Runs that learned from different tracks may have another majority.
    guesses: dict[tuple[str, int, str, str], list[str]] = {}
    for row in tested:
        if test := row.test:
            majority = ("always the majority of what was learned from", test.n, f"{test.majority:.1%}", test.majority_f1_in_words)
            for guess in (majority, ("guessing as often as the labels occur", test.n, test.random_in_words, "–")):
                guesses.setdefault(guess, []).append(row.run.name)
    several = Counter(words for words, *_rest in guesses)
    for (words, n, accuracy, f1), names in guesses.items():
        of = f", of {', '.join(names)}" if several[words] > 1 else ""
        lines.append(f"| {words}{of} | | | {n} | {accuracy} | | {f1} | | |")
    if people := comparison.one_rater:
        lines.append(
            f"| one rater against the others of the same track | | | {people.n} ratings of {people.n_tracks} tracks | {people.accuracy.value:.1%}"
            f" | {people.accuracy.in_words('{:.1%}')} | {people.macro_f1.value:.3f} | {people.macro_f1.in_words('{:.3f}')} | |"
        )
        if people.chance is not None:
            lines.append(f"| raters who guess, on tracks that agree as much | | | | {people.chance:.1%} | | | | |")
    if comparison.five_raters is not None:
        lines.append(f"| five raters against the others | | | {comparison.n_five} | {comparison.five_raters:.1%} | | | | |")
    else:
        lines.append("| five raters against the others: no track has more than five ratings | | | – | – | | | | |")
    notes = [in_words([sentence]) for sentence in comparison.torn]
    notes += [spread.in_words for spread in comparison.spreads]
    notes += [verdict.words for verdict in (*comparison.verdicts, *comparison.controls)]
    return "\n".join(lines) + "\n\n" + "".join(f"- {note}\n" for note in notes)


def _line(row: CompareRow) -> str:
    assert row.test is not None
    test, seconds = row.test, row.run.seconds
    figures = f"{test.accuracy:.1%} | {test.low:.1%} to {test.high:.1%} | {test.macro_f1:.3f} | {test.f1_in_words}"
    minutes = "–" if seconds is None else f"{seconds / 60:.1f}"
    name = ", ".join(filter(None, [row.run.name, row.run.collapse]))
    return f"| {name} | {row.run.input_in_words} | {row.run.seed} | {test.n} | {figures} | {minutes} |"
