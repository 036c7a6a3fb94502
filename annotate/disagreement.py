"""Tracks of a release whose label is doubted: by models that did not learn from them, by the raters, or by both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Avg, Case, Count, Exists, F, FloatField, OuterRef, Q, QuerySet, Subquery, Value, When

from annotate.methods.doubt import model_quality
from annotate.models import Review
from datasets.models import Event, Release, ReleaseItem, Sight, Signal, SplitMember, Track

ORDERS = ("models", "raters", "both")


@dataclass(frozen=True)
class Doubt:
    """One track: what its raters say, what the models say on average, and how far each doubts the label (0 to 1)."""

    item: ReleaseItem
    votes: list[tuple[str, int]]
    mean: list[tuple[str, float]]
    says: str
    by_models: float
    by_raters: float
    is_test: bool
    review: Review | None


def items_in_doubt(
    release: Release, *, order: str = "models", run: int | None = None, also_reviewed: bool = False
) -> QuerySet[Any]:
    """Those of which a run says something, the most doubted first. In SQL: a release may have many."""
    said = Signal.objects.filter(release=release, track=OuterRef("track"), quality__isnull=False)
    if run is not None:
        said = said.filter(run=run)
    mean = said.order_by().values("track").annotate(mean=Avg("quality")).values("mean")
    items = release.items.annotate(by_models=Value(1.0) - Subquery(mean, output_field=FloatField())).filter(by_models__isnull=False)
    items = items.annotate(
        by_raters=Case(When(is_ruled=True, then=Value(1.0)), default=Value(1.0) - F("agreement"), output_field=FloatField()),
        is_test=Exists(SplitMember.objects.filter(item=OuterRef("pk"), part=SplitMember.Part.TEST)),
    ).annotate(both=(F("by_models") + F("by_raters")) / 2)
    if not also_reviewed:
        items = items.exclude(track__in=Review.objects.filter(release=release).values("track"))
    return items.order_by({"raters": "-by_raters", "both": "-both"}.get(order, "-by_models"), "-by_models", "number")


def doubts(release: Release, items: list[Any], *, run: int | None = None) -> list[Doubt]:
    labels = list(release.labels)
    tracks = [item.track_id for item in items]
    signals: dict[int, list[Signal]] = {}
    for signal in Signal.objects.filter(release=release, track__in=tracks).order_by("run"):
        if run is None or signal.run == run:
            signals.setdefault(signal.track_id, []).append(signal)
    reviews = {
        row.track_id: row for row in Review.objects.filter(release=release, track__in=tracks).order_by("id").select_related("by")
    }
    found = []
    for item in items:
        mine = signals[item.track_id]
        mean = [(label, model_quality(label, [row.probabilities for row in mine])) for label in labels]
        votes = [(label, item.votes.get(label, 0)) for label in labels]
        says = max(mean, key=lambda pair: pair[1])[0]
        found.append(Doubt(item, votes, mean, says, item.by_models, item.by_raters, item.is_test, reviews.get(item.track_id)))
    return found


def signals_on(release: Release, track: int) -> list[Signal]:
    return list(Signal.objects.filter(release=release, track=track).order_by("run"))


def runs_that_said(release: Release) -> list[tuple[int, str]]:
    """(number, name) of the runs that say something of the release's tracks."""
    rows = Signal.objects.filter(release=release, quality__isnull=False).order_by("run").values_list("run", "run_name").distinct()
    return list(rows)


def rounds_of_review(release: Release, *, until: Release | None = None) -> dict[str, int]:
    """How many tracks each action was taken on, each track by its last; or, up to `until`, in the whole round between the two."""
    last = (_of_round(release, until) if until else Review.objects.filter(release=release)).order_by("track", "-id")
    seen: dict[int, str] = {}
    for track, action in last.values_list("track", "action"):
        seen.setdefault(track, action)
    return {action: sum(one == action for one in seen.values()) for action in Review.Action.values}


def after_review(before: Release, now: Release) -> dict[str, int]:
    """Of the tracks that were reviewed on the earlier release: how many changed their label, kept it, or left."""
    labels = dict(before.items.values_list("track_id", "label"))
    today = dict(now.items.values_list("track_id", "label"))
    reviewed = prompted(before, now)
    changed = sum(track in today and today[track] != labels.get(track) for track in reviewed)
    left = sum(track not in today for track in reviewed)
    return {"reviewed": len(reviewed), "changed": changed, "left": left, "same": len(reviewed) - changed - left}


def _of_round(before: Release, now: Release) -> QuerySet[Review]:
    """What curators did between two releases about labels that models doubt, on whatever release they looked; and what they had done
    earlier of tracks that were still with the raters when the first of the two was frozen.
    """
    done = Review.objects.filter(release__dataset=now.dataset_id, at__lte=now.frozen_at)
    return done.filter(Q(at__gt=before.frozen_at) | ~Q(track__in=before.items.values("track")))


def prompted(before: Release, now: Release) -> set[int]:
    """Tracks whose label a curator questioned because of what models said, before the later release was frozen."""
    asked = _of_round(before, now).exclude(action=Review.Action.KEEP)
    return set(asked.values_list("track_id", flat=True))


def left_out_after_sight(before: Release, now: Release) -> list[tuple[str, Event]]:
    """Test tracks of the earlier release that somebody left out who had seen predictions on it: title and event, oldest first.

    It may be right to leave a track out; but without hard test tracks the next figures rise though nothing became better.
    """
    tested = SplitMember.objects.filter(item__release=before, part=SplitMember.Part.TEST).exclude(
        item__track__in=now.items.values("track")
    )
    titles = dict(tested.values_list("item__track", "item__title"))
    saw = dict(Sight.objects.filter(release=before).values_list("user", "at"))
    events = Event.objects.filter(subject="track", subject_id__in=list(titles), to_state=Track.State.EXCLUDED, actor__in=list(saw))
    found = events.filter(at__lte=now.frozen_at).select_related("actor").order_by("id")
    return [(titles[event.subject_id], event) for event in found if event.at >= saw[event.actor_id or 0]]


def counts(release: Release) -> dict[str, int]:
    said = Signal.objects.filter(release=release, quality__isnull=False)
    doubted = said.values("track").annotate(mean=Avg("quality")).filter(mean__lt=0.5)
    values = said.aggregate(tracks=Count("track", distinct=True), test=Count("track", distinct=True, filter=Q(part="test")))
    return {"tracks": values["tracks"], "doubted": doubted.count()}
