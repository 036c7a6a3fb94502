"""Reading questions asked of spectrograms and runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch, QuerySet

from datasets.models import Release, SplitMember, Track
from mer.methods.comparison import Verdict, mcnemar
from mer.models import Evaluation, Prediction, Run, Spectrogram, SpectrogramSet


@dataclass(frozen=True)
class Sample:
    """A release item with its part and its picture."""

    track_id: int
    title: str
    label: str
    part: str
    spectrogram: Spectrogram | None
    reason: str


def samples_of(run: Run) -> list[Sample]:
    """Every item of the run's release, with its spectrogram or the reason why it has none."""
    pictures = {row.track_id: row for row in Spectrogram.objects.filter(set=run.spectrogram_set).select_related("track")}
    members = SplitMember.objects.filter(split=run.split).select_related("item").order_by("item__track_id")
    samples = []
    for member in members:
        item = member.item
        picture = pictures.get(item.track_id)
        usable = picture if picture and picture.state == Spectrogram.State.OK else None
        reason = "" if usable else (picture.reason if picture else "Its spectrogram was not made.")
        samples.append(Sample(item.track_id, item.title, item.label, member.part, usable, reason))
    return samples


def missing_tracks(owner: SpectrogramSet, release: Release) -> list[Track]:
    """Tracks of the release that have neither a picture nor a reason in this set."""
    have = Spectrogram.objects.filter(set=owner).values("track")
    return list(Track.objects.filter(pk__in=release.items.exclude(track__in=have).values("track")))


def runs_of(release: Release | None = None) -> QuerySet[Run]:
    runs = Run.objects.select_related("release__dataset", "job", "spectrogram_set").prefetch_related(
        Prefetch("evaluations", Evaluation.objects.order_by("pk"))  # in the order of the parts
    )
    return runs.filter(release=release) if release else runs


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


def compare(release: Release) -> Comparison:
    runs = list(runs_of(release))
    rows = []
    for run in runs:
        if run.state == "done":
            rows.append(CompareRow(run, *(evaluation(run, part) for part in ("train", "validation", "test"))))
    rows.sort(key=lambda row: -(row.validation.accuracy if row.validation else 0))
    best: dict[str, Run] = {}
    for row in rows:
        best.setdefault(row.run.network, row.run)
    chosen = list(best.values())
    verdicts = [verdict_of(one, two) for index, one in enumerate(chosen) for two in chosen[index + 1 :]]
    running = [run for run in runs if run.state in ("queued", "running")]
    return Comparison(rows, running, verdicts, list(release.labels))


def verdict_of(one: Run, two: Run) -> Verdict:
    """Exact McNemar on the test tracks that both runs were tested on."""
    right = [
        {
            row.track_id: row.is_right
            for row in Prediction.objects.filter(run=run, part="test").only("track_id", "truth", "predicted")
        }
        for run in (one, two)
    ]
    tracks = sorted(set(right[0]) & set(right[1]))
    return mcnemar([right[0][track] for track in tracks], [right[1][track] for track in tracks], (one.name, two.name))


def spectrograms_of(track: Track) -> QuerySet[Spectrogram]:
    return Spectrogram.objects.filter(track=track).select_related("set").order_by("set__input", "-set__recipe")


def comparison_as_dict(comparison: Comparison) -> list[dict[str, Any]]:
    rows = []
    for row in comparison.rows:
        figures: dict[str, Any] = {"run": row.run.pk, "network": row.run.network, "seed": row.run.seed}
        for part in ("train", "validation", "test"):
            value: Evaluation | None = getattr(row, part)
            if value:
                figures[part] = {
                    name: getattr(value, name) for name in ("n", "n_correct", "accuracy", "low", "high", "macro_f1", "majority")
                }
        rows.append(figures)
    return rows
