"""Reading questions asked of spectrograms and runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import Prefetch, QuerySet
from numpy.typing import NDArray

from datasets.models import Release, SplitMember, Track
from datasets.services.releases import FOLDS
from mer.methods import features, metrics, musicnn
from mer.methods.comparison import Verdict, mcnemar, together, with_differences
from mer.methods.params import PICTURELESS, SpectrogramParams, TrainingParams
from mer.models import Evaluation, FeatureVector, Prediction, Run, Spectrogram, SpectrogramSet


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


def samples_of(run: Run) -> list[Sample]:
    """Every item of the run's release, with its spectrogram or the reason why it has none."""
    pictures = {row.track_id: row for row in Spectrogram.objects.filter(set=run.spectrogram_set)} if run.spectrogram_set else {}
    members = SplitMember.objects.filter(split=run.split).select_related("item").order_by("item__number")
    samples = []
    for member in members:
        item = member.item
        picture = pictures.get(item.track_id)
        usable = picture if picture and picture.state == Spectrogram.State.OK else None
        reason = "" if usable else (picture.reason if picture else "Its spectrogram was not made.")
        samples.append(Sample(item.track_id, item.title, item.label, member.part, item.votes, item.group, usable, reason))
    return samples


def vote_shares(samples: Sequence[Sample], labels: Sequence[str]) -> NDArray[np.float64]:
    """How the raters' votes are shared [shape=(n, n_labels)]."""
    votes = np.array([[sample.votes.get(label, 0) for label in labels] for sample in samples], dtype=np.float64)
    return np.asarray(votes / np.maximum(1, votes.sum(axis=1, keepdims=True)))


def rounds_of(run: Run, samples: Sequence[Sample]) -> list[list[str]]:
    """The part of each sample in each round of training: one round on a hold-out split, one a fold on folds.

    In a round of folds one fold is the test part, the next the validation part, the others are trained on.
    """
    if not run.in_folds:
        return [[sample.part for sample in samples]]
    folds = sorted({sample.part for sample in samples})
    return [
        [{fold: "test", folds[(number + 1) % len(folds)]: "validation"}.get(sample.part, "train") for sample in samples]
        for number, fold in enumerate(folds)
    ]


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
    runs = Run.objects.select_related("release__dataset", "job", "spectrogram_set", "split").prefetch_related(
        Prefetch("evaluations", Evaluation.objects.order_by("pk"))  # in the order of the parts
    )
    return runs.filter(release=release) if release else runs


def latest_run(release: Release, training: TrainingParams, spectrograms: SpectrogramParams, *, folds: bool) -> Run | None:
    """The latest run with these settings that is finished or under way, else the latest at all."""
    runs = runs_of(release).filter(network=training.network, params=training.as_dict())
    runs = runs.filter(split__name=FOLDS) if folds else runs.exclude(split__name=FOLDS)
    if training.network not in PICTURELESS:
        runs = runs.filter(spectrogram_set__input=spectrograms.input, spectrogram_set__recipe=spectrograms.recipe)
    found = list(runs.order_by("-pk"))
    return next((run for run in found if run.state in ("done", "running", "queued")), found[0] if found else None)


def evaluation(run: Run, part: str) -> Evaluation | None:
    return next((row for row in run.evaluations.all() if row.part == part), None)


@dataclass(frozen=True)
class CompareRow:
    run: Run
    train: Evaluation | None
    validation: Evaluation | None
    test: Evaluation | None


@dataclass(frozen=True)
class Comparison:
    """Finished runs of a release, best on validation first; verdicts on the test part for the best two of each network."""

    rows: list[CompareRow]
    running: list[Run]
    verdicts: list[Verdict]
    labels: list[str]
    one_rater: float | None = None  # on all tracks of the release
    n_judged: int = 0
    five_raters: float | None = None  # on tracks with more than five ratings
    n_five: int = 0


def compare(release: Release) -> Comparison:
    runs = list(runs_of(release))
    rows = []
    for run in runs:
        if run.state == "done":
            rows.append(CompareRow(run, *(evaluation(run, part) for part in ("train", "validation", "test"))))
    rows.sort(key=lambda row: -(row.validation.accuracy if row.validation else 0))
    best: dict[tuple[str, int], Run] = {}
    for row in rows:
        if row.run.is_control:
            continue
        best.setdefault((row.run.network, row.run.split_id), row.run)
    chosen = list(best.values())
    pairs = [(one, two) for index, one in enumerate(chosen) for two in chosen[index + 1 :] if one.split_id == two.split_id]
    verdicts = together([verdict_of(one, two) for one, two in pairs])
    running = [run for run in runs if run.state in ("queued", "running")]
    labels = list(release.labels)
    votes = [[item.votes.get(label, 0) for label in labels] for item in release.items.only("votes")]
    share, n = metrics.one_rater(votes)
    five, n_five = metrics.five_raters(votes)
    return Comparison(rows, running, verdicts, labels, share if n else None, n, five if n_five else None, n_five)


def verdict_of(one: Run, two: Run) -> Verdict:
    """On the test tracks that both runs were tested on: exact McNemar, and the difference with its interval over groups."""
    tables = [{row.track_id: row for row in Prediction.objects.filter(run=run, part="test")} for run in (one, two)]
    tracks = sorted(set(tables[0]) & set(tables[1]))
    labels = list(one.release.labels)
    groups = {item.track_id: item.group for item in one.release.items.all()}
    truth = [labels.index(tables[0][track].truth) for track in tracks]
    predicted = [[labels.index(table[track].predicted) for track in tracks] for table in tables]
    right = [[guess == true for guess, true in zip(row, truth, strict=True)] for row in predicted]
    verdict = mcnemar(right[0], right[1], (one.name, two.name))
    if not tracks:
        return verdict
    return with_differences(verdict, truth, predicted[0], predicted[1], [groups[track] for track in tracks], n_labels=len(labels))


def spectrograms_of(track: Track) -> QuerySet[Spectrogram]:
    """Of the first 47.55 s, in every recipe: what a page shows."""
    return Spectrogram.objects.filter(track=track, set__input="full").select_related("set").order_by("-set__recipe")


def comparison_as_dict(comparison: Comparison) -> list[dict[str, Any]]:
    rows = []
    for row in comparison.rows:
        figures: dict[str, Any] = {"run": row.run.pk, "network": row.run.network, "split": row.run.split.name, "seed": row.run.seed}
        for part in ("train", "validation", "test"):
            value: Evaluation | None = getattr(row, part)
            if value:
                figures[part] = {
                    name: getattr(value, name)
                    for name in ("n", "n_correct", "accuracy", "low", "high", "macro_f1", "majority", "figures")
                }
        rows.append(figures)
    return rows
