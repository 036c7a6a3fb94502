"""Reading questions asked of ratings."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass

import numpy as np
from django.db.models import Count
from numpy.typing import NDArray

from annotate.methods import agreement, reliability
from annotate.models import Consensus, Questionnaire, Rater, Rating
from datasets.models import Track, Word

BOOTSTRAP_SEED = 1


@dataclass(frozen=True)
class Summary:
    """What the agreement page, the command and a release say of a questionnaire."""

    funnel: list[dict[str, object]]
    n_ratings: int
    n_raters: int
    per_label: dict[str, int]
    n_split: int
    n_open: int
    alpha: float | None
    alpha_low: float | None
    alpha_high: float | None
    acceptance: float | None
    chance_acceptance: float
    histogram: list[dict[str, object]]
    rule: str

    @property
    def n_left_out(self) -> int:
        return int(str(self.funnel[0]["n"])) - int(str(self.funnel[-1]["n"]))

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def summarise(questionnaire: Questionnaire) -> Summary:
    labels = [label.key for label in questionnaire.dataset.labels.all()]
    rows = list(
        Consensus.objects.filter(questionnaire=questionnaire, track__state=Track.State.READY).values_list(
            "state", "votes", "label__key"
        )
    )
    full = [row for row in rows if row[0] != Consensus.State.OPEN]
    agreed = [row for row in rows if row[0] == Consensus.State.AGREED]
    counts = count_table([votes for _, votes, _ in full], labels)
    alpha = reliability.krippendorff_alpha(counts) if full else math.nan
    low, high = reliability.alpha_interval(counts, seed=BOOTSTRAP_SEED) if full else (math.nan, math.nan)
    raters = Rating.objects.filter(questionnaire=questionnaire).aggregate(n=Count("id"), raters=Count("rater", distinct=True))
    funnel: list[dict[str, object]] = [
        {"name": "tracks brought in", "n": questionnaire.dataset.tracks.count()},
        {"name": "converted and rateable", "n": len(rows)},
        {"name": f"with all {questionnaire.raters_per_track} ratings", "n": len(full)},
        {"name": f"agreement above {questionnaire.threshold:.0%}", "n": len(agreed)},
    ]
    return Summary(
        funnel=funnel,
        n_ratings=raters["n"],
        n_raters=raters["raters"],
        per_label={key: sum(1 for row in agreed if row[2] == key) for key in labels},
        n_split=len(full) - len(agreed),
        n_open=len(rows) - len(full),
        alpha=_number(alpha),
        alpha_low=_number(low),
        alpha_high=_number(high),
        acceptance=len(agreed) / len(full) if full else None,
        chance_acceptance=agreement.chance_acceptance(questionnaire.raters_per_track, len(labels), questionnaire.threshold),
        histogram=_histogram(agreement.agreement(counts) if full else np.array([]), questionnaire),
        rule=questionnaire.rule,
    )


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def count_table(votes: list[dict[str, int]], labels: list[str]) -> NDArray[np.int64]:
    return np.array([[row.get(label, 0) for label in labels] for row in votes], dtype=np.int64).reshape(-1, len(labels))


def _histogram(values: NDArray[np.float64], questionnaire: Questionnaire) -> list[dict[str, object]]:
    """Tracks per value of agreement: those that can occur with this number of raters, and any other that did."""
    n = questionnaire.raters_per_track
    lowest = math.ceil(n / questionnaire.dataset.labels.count())
    found = Counter(round(float(value), 4) for value in values)
    shares = sorted({round(count / n, 4) for count in range(lowest, n + 1)} | set(found))
    top = max(found.values(), default=1)
    return [
        {
            "agreement": share,
            "n": found[share],
            "accepted": share > questionnaire.threshold,
            "height": round(100 * found[share] / top),
        }
        for share in shares
    ]


@dataclass(frozen=True)
class Progress:
    done: int
    left: int

    @property
    def total(self) -> int:
        return self.done + self.left


def progress_of(questionnaire: Questionnaire, rater: Rater) -> Progress:
    """The rater's own ratings, and the tracks that still need one and that the rater has not rated.

    How many ratings others gave shows only in that a track is full: the page says neither whose nor what.
    """
    mine = Rating.objects.filter(questionnaire=questionnaire, rater=rater)
    left = Consensus.objects.filter(
        questionnaire=questionnaire, track__state=Track.State.READY, n_ratings__lt=questionnaire.raters_per_track
    ).exclude(track__in=mine.values("track"))
    return Progress(mine.count(), left.count())


def words_of(questionnaire: Questionnaire) -> list[Word]:
    return list(Word.objects.filter(label__dataset=questionnaire.dataset_id).select_related("label"))


def open_questionnaires() -> list[Questionnaire]:
    return list(Questionnaire.objects.filter(is_open=True).select_related("dataset"))


def ratings_of(track: Track) -> list[Rating]:
    return list(Rating.objects.filter(track=track).select_related("word", "label", "rater").order_by("rated_at"))


def consensus_of(track: Track) -> Consensus | None:
    return Consensus.objects.filter(track=track).select_related("label", "questionnaire").first()
