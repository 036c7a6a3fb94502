"""Reading questions asked of spectrograms and runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import Count, Prefetch, Q, QuerySet
from django.utils.translation import gettext, gettext_lazy
from numpy.typing import NDArray

from datasets import selectors as ground
from datasets.methods import splits
from datasets.models import FOLDS, Dataset, Release, ReleaseItem, SplitMember, Track
from mer.methods import features, metrics, musicnn
from mer.methods.comparison import Verdict, mcnemar
from mer.methods.params import INPUTS, NETWORKS, PICTURELESS, RECIPES, SAMPLE_RATE, SpectrogramParams, TrainingParams
from mer.models import Evaluation, FeatureVector, Prediction, Promotion, Run, Spectrogram, SpectrogramSet


@dataclass(frozen=True)
class Sample:
    """A release item with its part and its picture."""

    track_id: int
    title: str
    label: str
    part: str
    votes: dict[str, int]
    group: str
    spectrogram: Spectrogram | None
    reason: str
    is_ruled: bool = False


def samples_of(run: Run) -> list[Sample]:
    """Every item of the run's release, with its spectrogram or the reason why it has none."""
    pictures = {row.track_id: row for row in Spectrogram.objects.filter(set=run.spectrogram_set)} if run.spectrogram_set else {}
    members = list(SplitMember.objects.filter(split=run.split).select_related("item").order_by("item__number"))
    groups = [member.item.group for member in members]
    parts = [member.part for member in members]
    if run.draw > 1:
        labels = [member.item.label for member in members]
        parts = splits.draw_folds(labels, groups, seed=run.split.seed + run.draw - 1, n_folds=len(set(parts)))
    samples = []
    for member, group, part in zip(members, groups, parts, strict=True):
        item = member.item
        picture = pictures.get(item.track_id)
        usable = picture if picture and picture.state == Spectrogram.State.OK else None
        reason = "" if usable else (picture.reason if picture else "Its spectrogram was not made.")
        samples.append(Sample(item.track_id, item.title, item.label, part, item.votes, group, usable, reason, item.is_ruled))
    return samples


def vote_shares(samples: Sequence[Sample | ReleaseItem], labels: Sequence[str]) -> NDArray[np.float64]:
    """How the raters' votes are shared [shape=(n, n_labels)]."""
    votes = np.array([[sample.votes.get(label, 0) for label in labels] for sample in samples], dtype=np.float64)
    return np.asarray(votes / np.maximum(1, votes.sum(axis=1, keepdims=True)))


def rounds_of(run: Run, samples: Sequence[Sample]) -> list[list[str]]:
    """The part of each sample in each round of training: one round on a hold-out split, one a fold on folds.

    In a round of folds one fold is the test part, the next the validation part, the others are trained on.
    """
    parts = [sample.part for sample in samples]
    return in_turn(parts) if run.in_folds else [parts]


def in_turn(folds: Sequence[str]) -> list[list[str]]:
    """The part of each sample in each round, by its fold."""
    names = sorted(set(folds), key=lambda name: (len(name), name))  # fold 10 comes after fold 9
    if len(names) < 3:  # one tests, the next validates, the others are learned from
        return [["test"] * len(folds)]
    return [
        [{name: "test", names[(number + 1) % len(names)]: "validation"}.get(fold, "train") for fold in folds]
        for number, name in enumerate(names)
    ]


def folds_done(run: Run) -> tuple[float, str]:
    """How much of the training of its folds is done, from 0 to 1, and in words."""
    rows = list(run.folds.select_related("job"))
    done = [1.0 if fold.results else (fold.job.progress if fold.job else 0.0) for fold in rows]
    return sum(done) / max(1, len(rows)), f"{sum(bool(fold.results) for fold in rows)} of {len(rows)} folds done"


def not_in_all(run: Run) -> dict[int, str]:
    """Tracks of an ensemble's release that one of its runs left out, with the reason."""
    reasons: dict[int, str] = {}
    for member in Run.objects.filter(pk__in=run.members):
        reasons |= {int(row["track"]): f"{member.name}: {row['reason']}" for row in member.excluded}
    return reasons


def mean_of_members(run: Run, samples: Sequence[Sample], parts: Sequence[str], labels: Sequence[str]) -> NDArray[np.float64]:
    """The mean of what the runs of an ensemble answered for each sample in its part [shape=(n, n_labels)].

    In a round of folds nothing is kept of the tracks that were trained on: zeros.
    """
    total = np.zeros((len(samples), len(labels)))
    place = {sample.track_id: number for number, sample in enumerate(samples)}
    for row in Prediction.objects.filter(run__in=run.members):
        number = place.get(row.track_id)
        if number is not None and parts[number] == row.part:
            total[number] += [row.probabilities[label] for label in labels]
    return total / len(run.members)


def missing_tracks(owner: SpectrogramSet, release: Release) -> list[Track]:
    """Tracks of the release that have neither a picture nor a reason in this set."""
    have = Spectrogram.objects.filter(set=owner).values("track")
    return list(Track.objects.filter(pk__in=release.items.exclude(track__in=have).values("track")))


VERSIONS = {"features": features.VERSION, "transfer": musicnn.VERSION, "mel": features.MEL_VERSION}


@dataclass(frozen=True)
class LeftOut:
    """Tracks of a release that no network can learn from by this input: (number, title, reason) of each."""

    input: str
    tracks: list[tuple[int, str, str]]
    n_items: int

    @property
    def n_usable(self) -> int:
        return self.n_items - len(self.tracks)


def left_out_by_input(release: Release) -> list[LeftOut]:
    """Before anything is trained: by the pictures that are drawn already, else by the length of the recording."""
    items = list(release.items.order_by("number").values_list("track_id", "title", "track__duration_s"))
    found = []
    for input, choice in INPUTS.items():
        pictures = Spectrogram.objects.filter(track__in=release.items.values("track"), set__input=input)
        drawn = dict(pictures.order_by("-set__recipe").values_list("track_id", "reason"))
        enough = choice.enough / SAMPLE_RATE
        tracks = []
        for pk, title, duration in items:
            reason = drawn.get(pk, "")
            if pk not in drawn and duration is not None and duration < enough:
                reason = gettext("Too short: %(has).1f s of sound, and %(enough).2f s are needed.") % {
                    "has": duration,
                    "enough": enough,
                }
            if reason:
                tracks.append((pk, title, reason))
        found.append(LeftOut(gettext(choice.words), tracks, len(items)))
    return found


def tracks_without_features(release: Release, kind: str) -> list[Track]:
    have = FeatureVector.objects.filter(kind=kind, version=VERSIONS[kind]).values("track")
    return list(Track.objects.filter(pk__in=release.items.exclude(track__in=have).values("track")))


def features_refused(release: Release, kind: str) -> dict[int, str]:
    """Why a track of the release has no features, by track."""
    rows = FeatureVector.objects.filter(kind=kind, track__in=release.items.values("track")).exclude(reason="")
    return dict(rows.values_list("track_id", "reason"))


def feature_table(track_ids: Sequence[int], kind: str) -> tuple[list[str], NDArray[np.float64]]:
    """The names of the features, and a row a track in the order that is asked for [shape=(n, n_features)]."""
    rows = dict(FeatureVector.objects.filter(kind=kind, track__in=track_ids).values_list("track_id", "values"))
    names = list(rows[track_ids[0]])
    return names, np.array([[rows[track][name] for name in names] for track in track_ids], dtype=np.float64)


def runs_of(release: Release | None = None) -> QuerySet[Run]:
    runs = (
        Run.objects.select_related("release__dataset", "job", "spectrogram_set", "split")
        .prefetch_related(
            Prefetch("evaluations", Evaluation.objects.order_by("pk"))  # in the order of the parts
        )
        .defer("job__log")
    )
    return runs.filter(release=release) if release else runs


def runs_numbered(numbers: Collection[int]) -> tuple[list[Run], list[int]]:
    """The runs that there are, and the numbers of which there is none."""
    found = list(runs_of().filter(pk__in=[number for number in numbers if 0 < number < 2**63]))  # SQLite takes no larger one
    return found, sorted(set(numbers) - {run.pk for run in found})


def latest_run(release: Release, training: TrainingParams, spectrograms: SpectrogramParams, *, folds: bool) -> Run | None:
    """The latest run with these settings that is finished or under way, else the latest at all."""
    runs = runs_of(release).filter(network=training.network, params=training.as_dict(), members=[])
    runs = runs.filter(split__name__endswith=FOLDS) if folds else runs.exclude(split__name__endswith=FOLDS)
    if training.network not in PICTURELESS:
        runs = runs.filter(spectrogram_set__input=spectrograms.input, spectrogram_set__recipe=spectrograms.recipe)
    found = list(runs.order_by("-pk"))
    return next((run for run in found if run.state in ("done", "running", "queued")), found[0] if found else None)


def evaluation(run: Run, part: str) -> Evaluation | None:
    return next((row for row in run.evaluations.all() if row.part == part), None)


def tested(run: Run) -> QuerySet[Prediction]:
    return Prediction.objects.filter(run=run, part="test")


def promoted(dataset: Dataset) -> Run | None:
    """The run that the dataset goes by."""
    latest = Promotion.objects.filter(dataset=dataset).select_related("run__release").first()
    return latest.run if latest else None


def promotions_of(dataset: Dataset) -> QuerySet[Promotion]:
    return Promotion.objects.filter(dataset=dataset).select_related("run__release", "by")


def unheard(run: Run) -> QuerySet[Track]:
    """Tracks of the dataset that are ready and not in the run's release, of which it has said nothing yet."""
    mine = run.release.items.values("track")
    outside = Track.objects.filter(dataset=run.release.dataset_id, state=Track.State.READY).exclude(pk__in=mine)
    return outside.exclude(signals__run=run.pk).exclude(pk__in=run.refusals.values("track")).order_by("pk")


def newest_release(run: Run) -> Release | None:
    """The newest release of the run's dataset, if it is not the run's own."""
    newest = ground.releases_of(run.release.dataset).first()
    return newest if newest != run.release else None


OF_NETWORKS = (
    "epochs",
    "batch_size",
    "learning_rate",
    "patience",
    "dropout",
    "class_weights",
    "precision",
    "mixup",
    "depth",
    "width",
    "vote_shares",
)


def params_that_count(run: Run) -> dict[str, Any]:
    """Its hyperparameters; a linear model has none of a network's."""
    return {name: value for name, value in run.params.items() if run.spectrogram_set_id or name not in OF_NETWORKS}


def test_tracks(run: Run, *, truth: str = "", said: str = "") -> list[Prediction]:
    """Hardest first: those on which it gave the true label the least. truth, said : only one cell of the confusion matrix."""
    rows = tested(run).select_related("track")
    rows = rows.filter(truth=truth) if truth else rows
    rows = rows.filter(predicted=said) if said else rows
    return sorted(rows, key=lambda row: (row.probabilities[row.truth], row.track_id))


SORTS = {
    "": gettext_lazy("Best on validation first"), "f1": gettext_lazy("Best macro-F1 on validation first"),
    "new": gettext_lazy("Newest first"),
}  # fmt: skip
STATES = ("queued", "running", "done", "failed", "cancelled")


def runs_to_show(release: Release | None, filters: Mapping[str, str]) -> list[Run]:
    """The runs of a release, or of all, by network, preset and state, in the order that is asked for."""
    found = runs_of(release)
    if filters.get("network") in NETWORKS:
        found = found.filter(network=filters["network"])
    if filters.get("state") in STATES:
        found = found.filter(job__state=filters["state"])
    if filters.get("input") in INPUTS:
        found = found.filter(spectrogram_set__input=filters["input"])
    if filters.get("recipe") in RECIPES:
        found = found.filter(spectrogram_set__recipe=filters["recipe"])
    if filters.get("folds") in ("yes", "no"):
        found = (
            found.filter(split__name__endswith=FOLDS) if filters["folds"] == "yes" else found.exclude(split__name__endswith=FOLDS)
        )
    measure = "macro_f1" if filters.get("sort") == "f1" else "accuracy"  # never of the test part: who chooses by it, tests nothing
    rows = list(found[:1000])
    if filters.get("sort") == "new":
        return rows

    def rank(run: Run) -> float:
        if run.state in ("queued", "running"):  # what goes on is seen first
            return -2.0
        figure = evaluation(run, "validation")
        return -getattr(figure, measure) if figure and run.state == "done" else 1.0  # those without figures last

    return sorted(rows, key=rank)


@dataclass(frozen=True)
class GridRow:
    """One test track as every chosen run answered it; answers : (predicted, probabilities) of each."""

    item: ReleaseItem
    votes: list[tuple[str, int]]
    answers: list[tuple[str, list[tuple[str, float]]]]

    @property
    def differ(self) -> bool:
        return len({predicted for predicted, _probabilities in self.answers}) > 1

    @property
    def all_wrong(self) -> bool:
        return all(predicted != self.item.label for predicted, _probabilities in self.answers)


def grid(release: Release, runs: Sequence[Run]) -> list[GridRow]:
    """Every track that all of the runs were tested on, in the order of the release."""
    labels = list(release.labels)
    found = [{row.track_id: row for row in tested(run)} for run in runs]
    tracks = set(found[0]).intersection(*found[1:]) if found else set()
    rows = []
    for item in release.items.filter(track__in=tracks):
        mine = [one[item.track_id] for one in found]
        answers = [(row.predicted, [(label, row.probabilities[label]) for label in labels]) for row in mine]
        rows.append(GridRow(item, [(label, item.votes.get(label, 0)) for label in labels], answers))
    return rows


@dataclass(frozen=True)
class RunAgreement:
    """On how many of the tracks that all were tested on the runs say the same, and on how many all or none are right."""

    n: int
    same: int
    all_right: int
    none_right: int


def agreement_of_runs(rows: Sequence[GridRow]) -> RunAgreement:
    right = [[predicted == row.item.label for predicted, _probabilities in row.answers] for row in rows]
    return RunAgreement(
        len(rows), sum(not row.differ for row in rows), sum(all(one) for one in right), sum(row.all_wrong for row in rows)
    )


@dataclass(frozen=True)
class RoundFigure:
    """What one run scores on the tracks that both rounds tested, under the labels of each release."""

    run: Run
    under_before: tuple[int, float, float]  # right, low, high
    under_now: tuple[int, float, float]
    n_right_of_raters: int  # under the labels of now, without those that a curator ruled on since


@dataclass(frozen=True)
class RoundFigures:
    n: int
    n_ruled: int  # of them, by a curator since the release before
    rows: list[RoundFigure]
    verdict: Verdict | None
    majorities: tuple[float, float]  # of always answering the most frequent label of these tracks, under the labels of each release

    @property
    def n_of_raters(self) -> int:
        return self.n - self.n_ruled


def round_figures(before: Release, now: Release) -> RoundFigures | None:
    """The chosen run of each release on the test tracks that both have; None where one has no finished run."""
    runs = _pair_of_rounds(before, now)
    if runs is None:
        return None
    found = [dict(tested(run).values_list("track_id", "predicted")) for run in runs]
    labels = [ground.labels_of(before), ground.labels_of(now)]
    tracks = sorted(set(found[0]) & set(found[1]) & set(labels[0]) & set(labels[1]))
    n = len(tracks)

    group_of = {item.track_id: item.group for item in now.items.filter(track__in=tracks)}
    groups = [group_of[track] for track in tracks]

    def score(said: Mapping[int, str], truth: Mapping[int, str]) -> tuple[int, float, float]:
        right = [said[track] == truth[track] for track in tracks]
        interval = metrics.share_interval(right, groups) if n else metrics.Interval(*[float("nan")] * 3)
        return sum(right), interval.low, interval.high

    ruled = set(now.items.filter(track__in=tracks, is_ruled=True).values_list("track_id", flat=True))
    ruled -= set(before.items.filter(is_ruled=True).values_list("track_id", flat=True))
    rows = [
        RoundFigure(
            run, score(said, labels[0]), score(said, labels[1]), sum(said[track] == labels[1][track] for track in tracks if track not in ruled)
        )
        for run, said in zip(runs, found, strict=True)
    ]  # fmt: skip
    right = [[said[track] == labels[1][track] for track in tracks] for said in found]
    verdict = mcnemar(right[1], right[0], (runs[1].name, runs[0].name)) if n else None
    majorities = [max(Counter(truth[track] for track in tracks).values(), default=0) / max(1, n) for truth in labels]
    return RoundFigures(n, len(ruled), rows, verdict, (majorities[0], majorities[1]))


def _pair_of_rounds(before: Release, now: Release) -> tuple[Run, Run] | None:
    """The same training on both releases: in folds rather than on the hold-out split, for it tests more tracks; then the best on validation.

    Where no two are alike, the best of each.
    """

    def candidates(release: Release) -> list[Run]:
        return [run for run in runs_to_show(release, {"state": "done"}) if not run.is_control and evaluation(run, "test")]

    def kind(run: Run) -> tuple[object, ...]:
        return run.network, run.in_folds, run.spectrogram_set_id, run.draw

    first, second = candidates(before), candidates(now)
    alike = [(one, next((two for two in second if kind(two) == kind(one)), None)) for one in first]
    pairs = [(one, two) for one, two in alike if two]
    if pairs:
        return min(pairs, key=lambda pair: not pair[0].in_folds)
    return (first[0], second[0]) if first and second else None


def seconds_of(release: Release, network: str, *, folds: bool, epochs: int) -> float | None:
    """What finished runs of the network on full songs took a track, and an epoch where they have such, times those of this one.

    By the run with the most epochs, for each training takes its time to begin; of linear models, which are fast where features are there
    already, by the slowest. An upper bound where training may stop early; None when there was no such run.
    """
    drawn = release.splits.filter(name__endswith=FOLDS).first()
    n_rounds = len(drawn.parts) if folds and drawn else 1
    done = Run.objects.filter(
        Q(spectrogram_set=None) | Q(spectrogram_set__input="full"), network=network, job__state="done", members=[]
    )
    found = []
    for run in done.select_related("job", "release", "split").annotate(n_epochs=Count("epochs")).order_by("-pk")[:50]:
        if (seconds := run.seconds) is not None:
            rounds = n_rounds * epochs / run.n_epochs if run.n_epochs else n_rounds / (len(run.split.parts) if run.in_folds else 1)
            found.append((run.n_epochs, seconds * rounds * release.items.count() / max(1, run.release.items.count())))
    return max(found, default=(0, None))[1]


def spectrograms_of(track: Track) -> QuerySet[Spectrogram]:
    """Of the first 47.55 s, in every recipe: what a page shows."""
    return Spectrogram.objects.filter(track=track, set__input="full").select_related("set").order_by("-set__recipe")
