"""The same recording twice: found by its sound when a track is converted, then merged or kept by a curator."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from datasets.errors import ValueRefused, WrongState
from datasets.methods import fingerprints
from datasets.models import Duplicate, Fingerprint, FingerprintKey, Job, Track
from datasets.services import queue
from datasets.services.audit import change_state
from datasets.services.tracks import exclude_track, restore_track

PRINT = "datasets.tasks.fingerprint_track"
AT_ONCE = 200
MOST_CANDIDATES = 20
TOO_COMMON = 200  # tracks that share a value; it is silence or a tuning tone, and says nothing


def remember(track: Track, raw: bytes) -> None:
    """Store the fingerprint of a track and what other tracks of its dataset sound the same. Done twice, it leaves the same."""
    items = fingerprints.read_items(raw)
    keys = fingerprints.keys(items)
    with transaction.atomic():
        Fingerprint.objects.update_or_create(track=track, defaults={"items": raw})
        FingerprintKey.objects.filter(track=track).delete()
        FingerprintKey.objects.bulk_create((FingerprintKey(track=track, value=value) for value in keys), batch_size=1000)
    for other, found in _matches(track, items, keys):
        later, earlier = (track, other) if track.pk > other.pk else (other, track)
        offset = found.offset_s if later is track else -found.offset_s
        values = {"similarity": found.similarity, "offset_s": offset, "overlap_s": found.overlap_s}
        Duplicate.objects.get_or_create(track=later, other=earlier, defaults=values)


def _matches(track: Track, items: fingerprints.Items, keys: list[int]) -> list[tuple[Track, fingerprints.Match]]:
    shared: dict[int, int] = {}
    for start in range(0, len(keys), 500):
        rows = FingerprintKey.objects.filter(value__in=keys[start : start + 500], track__dataset=track.dataset_id)
        by_value: dict[int, list[int]] = {}
        for value, other in rows.exclude(track=track).values_list("value", "track_id"):
            by_value.setdefault(value, []).append(other)
        for others in by_value.values():
            for other in others if len(others) <= TOO_COMMON else ():
                shared[other] = shared.get(other, 0) + 1
    likeliest = sorted(shared, key=lambda other: (-shared[other], other))[:MOST_CANDIDATES]
    found = []
    for row in Fingerprint.objects.filter(track__in=likeliest).select_related("track"):
        if match := fingerprints.match(fingerprints.read_items(bytes(row.items)), items):
            found.append((row.track, match))
    return found


def queue_missing() -> int:
    """Jobs for tracks that came in before there were fingerprints; each fails or succeeds once, and is not queued again."""
    tried = Job.objects.filter(task=PRINT, subject="track").values("subject_id")
    tracks = Track.objects.filter(state=Track.State.READY, fingerprint=None).exclude(pk__in=tried).order_by("id")
    for track in (found := list(tracks[:AT_ONCE])):
        with transaction.atomic():
            queue.enqueue(PRINT, track, title=_("Fingerprint of “%(title)s”") % {"title": track.title}, url=f"/tracks/{track.pk}/")
    return len(found)


@transaction.atomic
def merge(pair: Duplicate, *, keep: int, by: User) -> Track:
    """Keep one of the two; the other is left out with the reason. Returns the one that is left out."""
    both = {row.pk: row for row in Track.objects.filter(pk__in=[pair.track_id, pair.other_id])}
    if keep not in both:
        raise ValueRefused(_("Track %(keep)s is neither of the two.") % {"keep": keep})
    kept = both.pop(keep)
    (left,) = both.values()
    if kept.state != Track.State.READY:
        raise WrongState(
            _("“%(title)s” (track %(pk)s) is %(state)s: keep the other one, or mend this one first.")
            % {"title": kept.title, "pk": kept.pk, "state": kept.get_state_display().lower()}
        )
    is_out = left.state == Track.State.EXCLUDED
    change_state(pair, to=Duplicate.State.MERGED, allowed=(Duplicate.State.OPEN,), actor=by, left_out=None if is_out else left)
    # Its other pairs have nothing left to rule on; the one that is kept has pairs of its own with them.
    others = Duplicate.objects.filter(Q(track=left) | Q(other=left), state=Duplicate.State.OPEN)
    for other in others:
        change_state(other, to=Duplicate.State.MERGED, allowed=(Duplicate.State.OPEN,), actor=by)
    if not is_out:
        reason = _("The same recording as “%(title)s” (track %(pk)s).") % {"title": kept.title, "pk": kept.pk}
        exclude_track(left, reason=reason, by=by)
    return left


@transaction.atomic
def keep_both(pair: Duplicate, *, by: User) -> None:
    """They stay two tracks; every split keeps them in one part."""
    change_state(pair, to=Duplicate.State.KEPT, allowed=(Duplicate.State.OPEN,), actor=by)


@transaction.atomic
def look_again(pair: Duplicate, *, by: User) -> None:
    """Undo either ruling: the pair is open, and the track that it left out is back."""
    left = pair.left_out if pair.left_out and pair.left_out.state == Track.State.EXCLUDED else None
    change_state(pair, to=Duplicate.State.OPEN, allowed=(Duplicate.State.KEPT, Duplicate.State.MERGED), actor=by, left_out=None)
    if left:
        restore_track(left, by=by)
