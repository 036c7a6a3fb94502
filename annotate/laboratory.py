"""What another rule would make of the ratings that are there. Nothing here changes anything."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.db.models import Count
from django.utils.translation import gettext
from numpy.typing import NDArray

from annotate.errors import RatersUnconnected
from annotate.methods import agreement, consensus, reliability, truth
from annotate.models import COUNTS_OR_WAITS, MORE_WHEN_SPLIT, Consensus, Gold, Kind, Questionnaire, Rater, Rating, Ruling
from annotate.selectors import BOOTSTRAP_SEED, bars_of, number_or_none
from datasets.models import Track


@dataclass(frozen=True)
class Flip:
    """A track whose label would change."""

    track_id: int
    title: str
    votes: str
    before: str
    after: str


@dataclass(frozen=True)
class Trial:
    """What a rule would make of the ratings that are there. `model` says why there is no expected accuracy, or is empty."""

    n_tracks: int
    n_full: int
    per_label: dict[str, int]
    n_split: int
    n_open: int
    acceptance: float | None
    chance_acceptance: float
    chance_as_answered: float | None
    alpha: float | None
    alpha_low: float | None
    alpha_high: float | None
    kappa: float | None
    expected_accuracy: float | None
    expected_accepted: float | None
    model: str
    histogram: list[dict[str, object]]
    flips: list[Flip]
    n_flips: int


MOST_FLIPS = 200  # shown; all are counted


def try_rule(questionnaire: Questionnaire, *, raters: int, fewest: int, threshold: float, aside: str = "") -> Trial:
    """The first `raters` ratings of each track, without those of the rater `aside`, under a rule that changes nothing.

    Without `aside`, what `services.questionnaires.change_rule` would make of them.
    """
    labels = [label.key for label in questionnaire.dataset.labels.all()]
    golds = Gold.objects.filter(questionnaire=questionnaire).values("track")
    rateable = Consensus.objects.filter(questionnaire=questionnaire, track__state=Track.State.READY).exclude(track__in=golds)
    stored = list(rateable.order_by("track_id").values_list("track_id", "label__key", "state", "asked"))
    now = {track: label or state for track, label, state, _asked in stored}
    index = {track: number for number, track in enumerate(now)}
    asked = np.array([one for *_, one in stored], dtype=np.int64)
    usual = np.where(asked, np.maximum(asked, raters), raters)  # what a curator asked for stays
    t, r, y, names = _ratings(questionnaire, index, labels)
    if aside in names:
        kept = r != names.index(aside)
        t, r, y = t[kept], r[kept], y[kept]
    k = len(labels)
    outcome, counts = _settled(questionnaire, t, y, usual, asked > 0, raters=raters, fewest=fewest, threshold=threshold, k=k)
    kept = consensus.first_ratings(t, counts.sum(axis=1))
    t, r, y = t[kept], r[kept], y[kept]
    standing = _with_rulings(questionnaire, index, outcome, labels)
    full = counts[outcome >= -1]
    shares = full.sum(axis=0) / full.sum() if full.size and full.sum() else None
    alpha, (low, high) = math.nan, (math.nan, math.nan)
    if len(full):
        alpha, (low, high) = reliability.krippendorff_alpha(full), reliability.alpha_interval(full, seed=BOOTSTRAP_SEED)
    expected, accepted_accuracy, why = _expected(t, r, y, outcome, k)
    flips = _flips(now, index, standing, labels, counts)
    titles = dict(Track.objects.filter(pk__in=[flip.track_id for flip in flips[:MOST_FLIPS]]).values_list("pk", "title"))
    n_accepted = int((outcome >= 0).sum())
    early = questionnaire.unanimous_at
    rule: dict[str, Any] = {
        "stages": questionnaire.stages_with(raters), "threshold": threshold, "fewest": fewest,
        "unanimous_at": early if consensus.is_safe_stop(early, usual=raters, threshold=threshold) else 0,
    }  # fmt: skip
    return Trial(
        n_tracks=len(index),
        n_full=len(full),
        per_label={key: int((standing == number).sum()) for number, key in enumerate(labels)},
        n_split=int((standing == -1).sum()),
        n_open=int((standing == -2).sum()),
        acceptance=n_accepted / len(full) if len(full) else None,
        chance_acceptance=agreement.chance_acceptance_of(full.reshape(-1, k), **rule),
        chance_as_answered=None
        if shares is None
        else agreement.chance_acceptance_of(full.reshape(-1, k), **rule, marginals=list(shares)),
        alpha=number_or_none(alpha),
        alpha_low=number_or_none(low),
        alpha_high=number_or_none(high),
        kappa=number_or_none(reliability.fleiss_kappa(full)) if len(full) else None,
        expected_accuracy=expected,
        expected_accepted=accepted_accuracy,
        model=why,
        histogram=bars_of(full.reshape(-1, k), raters, threshold),
        flips=[replace(flip, title=titles.get(flip.track_id, "")) for flip in flips[:MOST_FLIPS]],
        n_flips=len(flips),
    )


def _with_rulings(
    questionnaire: Questionnaire, index: dict[int, int], outcome: NDArray[np.int64], labels: list[str]
) -> NDArray[np.int64]:
    """What stands: a curator's latest ruling where the raters do not agree, or over them where it was meant so."""
    rulings = Ruling.objects.filter(questionnaire=questionnaire, track__in=list(index)).order_by("id")
    latest = {track: (key, over) for track, key, over in rulings.values_list("track_id", "label__key", "over")}
    standing = outcome.copy()
    for track, (key, over) in latest.items():
        if key in labels and (outcome[index[track]] == -1 or (over and outcome[index[track]] >= 0)):
            standing[index[track]] = labels.index(key)
    return standing


def _settled(
    questionnaire: Questionnaire, t: NDArray[np.int64], y: NDArray[np.int64], usual: NDArray[np.int64], is_asked: NDArray[np.bool_],
    *, raters: int, fewest: int, threshold: float, k: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    """What each track is settled on, and the votes that count [shape=(n_tracks, k)]: `methods.consensus.target_now` on all at once."""

    def counted(most: NDArray[np.int64]) -> NDArray[np.int64]:
        kept = consensus.first_ratings(t, most)
        return np.bincount(t[kept] * k + y[kept], minlength=len(usual) * k).reshape(-1, k)

    counts = counted(usual)
    totals = counts.sum(axis=1)
    needed = np.where(is_asked, usual, min(fewest, raters))
    early = questionnaire.unanimous_at
    if consensus.is_safe_stop(early, usual=raters, threshold=threshold):
        stops = ~is_asked & (counts.max(axis=1, initial=0) == totals) & (totals >= early)
        needed = np.where(stops, np.minimum(needed, totals), needed)
    if questionnaire.ask_more_when_split:
        full = np.where(totals == raters, raters, raters + 1)  # split once all of the usual ones are in
        again = ~is_asked & (consensus.settle_table(counts, fewest=full, threshold=threshold) == -1)
        counts = counted(np.where(again, raters + MORE_WHEN_SPLIT, usual))
        needed = np.where(again, raters + MORE_WHEN_SPLIT, needed)
    return consensus.settle_table(counts, fewest=needed, threshold=threshold), counts


def _ratings(
    questionnaire: Questionnaire, index: dict[int, int], labels: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], list[str]]:
    """Track, rater and label of every rating that counts or could, as indices in the order of rating, and the pseudonyms of the raters."""
    rows = Rating.objects.filter(questionnaire=questionnaire, kind=Kind.REGULAR, not_counted__in=COUNTS_OR_WAITS).order_by(
        "rated_at", "pk"
    )
    place = {key: number for number, key in enumerate(labels)}
    raters: dict[str, int] = {}
    found = [
        (index[track], raters.setdefault(pseudonym, len(raters)), place[label])
        for track, pseudonym, label in rows.values_list("track_id", "rater__pseudonym", "label__key")
        if track in index
    ]
    table = np.array(found, dtype=np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2], list(raters)


def _expected(
    t: NDArray[np.int64], r: NDArray[np.int64], y: NDArray[np.int64], outcome: NDArray[np.int64], k: int
) -> tuple[float | None, float | None, str]:
    """How many labels are expected to be true under Dawid and Skene's model: the model's own, and the accepted ones of the rule."""
    if not t.size:
        return None, None, gettext("There are no ratings yet.")
    try:
        fit = truth.dawid_skene(t, r, y, n_labels=k)
    except RatersUnconnected:
        return None, None, gettext("Every rater rated one track only: a model of the raters would only repeat the votes.")
    accepted = np.flatnonzero(outcome[: len(fit.posterior)] >= 0)
    chosen = fit.posterior[accepted, outcome[accepted]]
    return fit.expected_accuracy, float(chosen.mean()) if chosen.size else None, ""


def _flips(
    now: dict[int, str], index: dict[int, int], outcome: NDArray[np.int64], labels: list[str], counts: NDArray[np.int64]
) -> list[Flip]:
    names = {-2: "open", -1: "split"} | dict(enumerate(labels))
    found = []
    for track, number in index.items():
        after = names[int(outcome[number])]
        if after != now[track]:
            votes = {label: int(n) for label, n in zip(labels, counts[number], strict=True) if n}
            found.append(Flip(track, "", consensus.in_words(votes), now[track], after))
    return found


def rater_names(questionnaire: Questionnaire) -> list[str]:
    """Pseudonyms of everybody who rated, those with most ratings first."""
    rows = (
        Rating.objects.filter(questionnaire=questionnaire, kind=Kind.REGULAR)
        .values_list("rater__pseudonym")
        .annotate(n=Count("pk"))
    )
    return [name for name, _n in rows.order_by("-n", "rater__pseudonym")[:500]]


def rater_named(questionnaire: Questionnaire, pseudonym: str) -> Rater | None:
    """The rater behind a name of `rater_names`."""
    return Rater.objects.filter(pseudonym=pseudonym, ratings__questionnaire=questionnaire).first() if pseudonym else None
