"""Giving out tracks: reserved slots with a lease, kept alive by the page, returned by themselves."""

import json
import math
from datetime import datetime, timedelta
from typing import Any
from zlib import crc32

from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotate import selectors
from annotate.errors import AlreadyRated, AnswerRefused, SlotGone
from annotate.models import Assignment, Gold, Kind, Questionnaire, Rater, Rating
from annotate.services.consensus import lock
from datasets.models import Track
from datasets.rows import insert
from datasets.services.audit import record

LEASE = timedelta(minutes=30)
POOL = 20  # candidates that one request looks at
REPEAT_GAP = 5  # tracks between a track and its repetition, at least
DRAFT_BYTES = 8_000
State = Assignment.State
LIVE = (State.OPEN, State.AHEAD)


def reserve_next(questionnaire: Questionnaire, rater: Rater) -> Assignment | None:
    """The rater's open slot, else the one reserved ahead, else a new one; None when nothing is left for this rater."""
    now = timezone.now()
    if not _may_rate(questionnaire, rater, now):
        return None
    return _held(questionnaire, rater, now) or _reserve(questionnaire, rater, now, State.OPEN)


def reserve_ahead(questionnaire: Questionnaire, rater: Rater) -> Assignment | None:
    """The track after the open one, so that a phone can load it early. Its clock of listening does not run yet."""
    now = timezone.now()
    if not _may_rate(questionnaire, rater, now):
        return None
    ahead = _held_as(State.AHEAD, questionnaire, rater)
    if ahead and _keep(ahead, now):
        return ahead
    return _reserve(questionnaire, rater, now, State.AHEAD)


def _may_rate(questionnaire: Questionnaire, rater: Rater, now: datetime) -> bool:
    return questionnaire.is_open and not rater.is_set_aside_at(now)


def _held(questionnaire: Questionnaire, rater: Rater, now: datetime) -> Assignment | None:
    for slot in selectors.slots_held(questionnaire, rater):
        if not _keep(slot, now):
            continue
        if slot.state == State.AHEAD:
            lease = now + LEASE
            try:
                with transaction.atomic():
                    promoted = Assignment.objects.filter(pk=slot.pk, state=State.AHEAD).update(state=State.OPEN, expires_at=lease)
            except IntegrityError:  # a second tab has opened another slot meanwhile
                promoted = 0
            if not promoted:
                return _held_as(State.OPEN, questionnaire, rater)
            slot.state, slot.expires_at = State.OPEN, lease
        return slot
    return None


def _held_as(state: str, questionnaire: Questionnaire, rater: Rater) -> Assignment | None:
    return next((slot for slot in selectors.slots_held(questionnaire, rater) if slot.state == state), None)


def _keep(slot: Assignment, now: datetime) -> bool:
    """A live lease keeps its slot. One that ran out is renewed while there is room, and given back otherwise.

    A rating that was taken back stays open in any case: without room, it is surplus when it is sent again.
    """
    if slot.track.state == Track.State.READY and (slot.expires_at > now or renew(slot) or slot.undone_key is not None):
        return True
    Assignment.objects.filter(pk=slot.pk, state__in=LIVE).update(state=State.EXPIRED)
    return False


@transaction.atomic
def renew(slot: Assignment) -> bool:
    """Extend the lease, unless the slot was given to another rater after it ran out."""
    now = timezone.now()
    row = lock(slot.questionnaire_id, slot.track_id)
    if slot.kind == Kind.REGULAR and row.n_ratings + others_live(slot, now) >= row.target:
        return False
    slot.expires_at = now + LEASE
    return bool(Assignment.objects.filter(pk=slot.pk, state__in=LIVE).update(expires_at=slot.expires_at))


LIVE_ON_TRACK = """
SELECT COUNT(*) FROM annotate_assignment
WHERE track_id = %s AND state IN ('open', 'ahead') AND kind = 'regular' AND expires_at > %s AND id <> %s
"""


def n_live(track_id: int, now: datetime, but: int = 0) -> int:
    """Slots that hold a place on a track, but for one's own."""
    with connection.cursor() as cursor:
        cursor.execute(LIVE_ON_TRACK, [track_id, connection.ops.adapt_datetimefield_value(now), but])
        return int(cursor.fetchone()[0])


def others_live(slot: Assignment, now: datetime) -> int:
    return n_live(slot.track_id, now, but=slot.pk)


def _reserve(questionnaire: Questionnaire, rater: Rater, now: datetime, state: str) -> Assignment | None:
    if _quota_is_full(questionnaire, rater):
        return None
    values = {"questionnaire": questionnaire, "rater": rater, "state": state, "expires_at": now + LEASE}
    moment = connection.ops.adapt_datetimefield_value(now)
    try:
        if special := _special(questionnaire, rater):
            track_id, kind = special
            with transaction.atomic():
                return Assignment.objects.create(track_id=track_id, kind=kind, **values)
        # Twice, because those that were found may all be taken by the time that they are asked for.
        for _attempt in range(2):
            candidates = _candidates(questionnaire, rater, now)
            # A track that another request is working on is passed over at first; if there is no other, wait for it.
            for track_id, skip_locked in [(one, True) for one in candidates] + [(one, False) for one in candidates]:
                with transaction.atomic():
                    missing = _lock_missing(questionnaire, track_id, skip_locked=skip_locked)
                    slot = Assignment(track_id=track_id, **values)
                    if missing and insert(slot, only_if=f"({LIVE_ON_TRACK}) < %s", values=[track_id, moment, 0, missing]):
                        return slot
    except IntegrityError:  # the same rater asked twice at once: the other request has reserved
        return _held_as(state, questionnaire, rater)
    return None


def _lock_missing(questionnaire: Questionnaire, track_id: int, *, skip_locked: bool) -> int | None:
    """How many ratings the track misses, its row locked; None when another request holds it."""
    suffix = ""
    if connection.features.has_select_for_update:
        suffix = " FOR UPDATE SKIP LOCKED" if skip_locked else " FOR UPDATE"
    sql = f"SELECT missing FROM annotate_consensus WHERE questionnaire_id = %s AND track_id = %s{suffix}"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, [questionnaire.pk, track_id])
        row = cursor.fetchone()
    return int(row[0]) if row else None


def _quota_is_full(questionnaire: Questionnaire, rater: Rater) -> bool:
    if questionnaire.tracks_per_rater is None:
        return False
    taken = Assignment.objects.filter(questionnaire=questionnaire, rater=rater, state__in=(State.RATED, *LIVE)).count()
    return taken >= questionnaire.tracks_per_rater


def _special(questionnaire: Questionnaire, rater: Rater) -> tuple[int, str] | None:
    """A gold track or a repeated one, when its turn has come."""
    if not (questionnaire.gold_every or questionnaire.repeat_every):
        return None
    mine = Assignment.objects.filter(questionnaire=questionnaire, rater=rater).exclude(state=State.EXPIRED)
    n = mine.count()
    if questionnaire.gold_every and n % questionnaire.gold_every == questionnaire.gold_every - 1:
        golds = Gold.objects.filter(questionnaire=questionnaire, use=Gold.Use.CHECK, track__state=Track.State.READY)
        golds = golds.filter(track__dataset=questionnaire.dataset_id)
        unseen = list(golds.exclude(track__in=mine.values("track")).values_list("track_id", flat=True))
        if unseen:
            return min(unseen, key=lambda track_id: _shuffled(questionnaire, rater, track_id)), Kind.GOLD
    if questionnaire.repeat_every and n % questionnaire.repeat_every == questionnaire.repeat_every - 1:
        rated = Rating.objects.filter(questionnaire=questionnaire, rater=rater, kind=Kind.REGULAR, track__state=Track.State.READY)
        recent = list(rated.order_by("-rated_at").values_list("track_id", flat=True)[:REPEAT_GAP])
        repeats = mine.filter(kind=Kind.REPEAT).values("track")
        old = rated.exclude(track__in=recent).exclude(track__in=repeats).order_by("rated_at").values_list("track_id", flat=True)
        if first := old.first():
            return first, Kind.REPEAT
    return None


def _shuffled(questionnaire: Questionnaire, rater: Rater, track_id: int) -> int:
    return crc32(f"{questionnaire.seed}:{rater.pk}:{track_id}".encode())


# Runs for every track that is given out. As SQL, because putting it together took the ORM longer than the database needs for it.
# What the rater has met is read once; the inner selects are looked up in their indexes for the few rows that are left. PostgreSQL's
# OFFSET 0 keeps it from looking them up twice, once to choose and once to show.
CANDIDATES = """
SELECT pool.track_id, pool.free, pool.artist, (
    SELECT last_track.artist FROM annotate_assignment last JOIN datasets_track last_track ON last_track.id = last.track_id
    WHERE last.rater_id = %(rater)s AND last.questionnaire_id = %(questionnaire)s AND last.state <> 'expired' ORDER BY last.id DESC LIMIT 1
)
FROM (
    SELECT c.track_id, c.missing, c.position, c.missing - (
        SELECT COUNT(*) FROM annotate_assignment live
        WHERE live.track_id = c.track_id AND live.state IN ('open', 'ahead') AND live.kind = 'regular' AND live.expires_at > %(now)s
    ) AS free, (
        SELECT t.artist FROM datasets_track t WHERE t.id = c.track_id AND t.state = 'ready'
    ) AS artist
    FROM annotate_consensus c
    WHERE c.questionnaire_id = %(questionnaire)s AND c.n_ratings < c.target AND c.track_id NOT IN (
        SELECT met.track_id FROM annotate_assignment met
        WHERE met.rater_id = %(rater)s AND met.questionnaire_id = %(questionnaire)s AND met.state <> 'expired'
    )
    AND c.track_id NOT IN (SELECT gold.track_id FROM annotate_gold gold WHERE gold.questionnaire_id = %(questionnaire)s)
    AND (NOT EXISTS (SELECT 1 FROM datasets_sight sight WHERE sight.user_id = %(user)s) OR c.track_id NOT IN (
        SELECT sight.track_id FROM datasets_sight sight WHERE sight.user_id = %(user)s AND sight.track_id IS NOT NULL
        UNION SELECT item.track_id FROM datasets_sight sight
        JOIN datasets_releaseitem item ON item.release_id = sight.release_id
        JOIN datasets_splitmember member ON member.item_id = item.id AND member.part = 'test'
        WHERE sight.user_id = %(user)s
    ))
    ORDER BY c.missing, c.position {fence}
) pool
WHERE pool.free > 0 AND pool.artist <> %(artist)s
ORDER BY pool.missing, pool.position LIMIT %(pool)s
"""  # the artist of a track that is not ready is NULL, which is unlike any name
NO_ARTIST = "\n"  # nobody's name: a line break is not kept in one


def _candidates(questionnaire: Questionnaire, rater: Rater, now: datetime) -> list[int]:
    """Tracks with a free slot that this rater has not met: fewest missing first, another artist than the last where possible.

    Who has seen what models say of a track, or of the test part of a release, is not given it: it is rated blind.

    Among equals the order is shuffled per rater by the questionnaire's seed, so that raters do not all meet the same first.
    """
    here: dict[str, Any] = {"questionnaire": questionnaire.pk, "rater": rater.pk, "user": rater.user_id or 0, "pool": POOL}
    here["artist"] = NO_ARTIST
    here["now"] = connection.ops.adapt_datetimefield_value(now)
    sql = CANDIDATES.format(fence="OFFSET 0" if connection.vendor == "postgresql" else "")
    with connection.cursor() as cursor:
        cursor.execute(sql, here)
        pool = cursor.fetchall()
        last = pool[0][3] if pool else None
        if last and len(pool) == POOL and all(row[2] == last for row in pool):  # beyond a whole pool of one artist
            cursor.execute(sql, here | {"artist": last})
            pool = cursor.fetchall() + pool
    if questionnaire.queue_order == Questionnaire.QueueOrder.SHUFFLED:
        pool.sort(key=lambda row: (bool(last) and row[2] == last, row[1], _shuffled(questionnaire, rater, row[0])))
    else:
        pool.sort(key=lambda row: bool(last) and row[2] == last)  # the database has put them in the order that is asked for
    return [row[0] for row in pool]


def report_shown(slot: Assignment) -> None:
    """The page shows the track: the clock of listening starts, once. A track that is only reserved ahead is not shown."""
    now = timezone.now()
    if slot.shown_at is None and Assignment.objects.filter(pk=slot.pk, shown_at=None).exclude(state=State.AHEAD).update(
        shown_at=now
    ):
        slot.shown_at = now


def save_draft(slot: Assignment, draft: dict[str, object]) -> None:
    """Keep what was chosen and heard so far, and the lease alive."""
    draft = {str(name): _plain(value) for name, value in draft.items()}
    if len(json.dumps(draft)) > DRAFT_BYTES:
        raise AnswerRefused(_("The draft is too long to be kept."))
    now = timezone.now()
    mine = Assignment.objects.filter(pk=slot.pk, state__in=LIVE)
    if mine.filter(expires_at__gt=now).update(draft=draft, expires_at=now + LEASE):
        return
    if not mine.update(draft=draft):
        raise SlotGone(_("This piece is not yours any more."))
    renew(slot)


def _plain(value: object) -> str | float | bool | None:
    """A value of the rating form; anything else could neither be stored nor be shown again."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "ignore").decode()
    raise AnswerRefused(_("A draft holds texts, numbers and yes or no only."))


@transaction.atomic
def decline(slot: Assignment, *, reason: str, note: str = "") -> None:
    """Give a slot back because the track cannot be rated; the curators see why. The rater does not meet the track again."""
    if reason not in Assignment.Reason.values:
        raise AnswerRefused(_("Choose why the piece cannot be rated."))
    values = {"state": State.DECLINED, "reason": reason, "note": note.replace("\0", "")[:300]}
    if Assignment.objects.filter(pk=slot.pk, state__in=(*LIVE, State.EXPIRED)).update(**values):
        record(slot, before=slot.state, to=State.DECLINED, reason=reason)
    elif Assignment.objects.filter(pk=slot.pk, state=State.RATED).exists():
        raise AlreadyRated(_("You rated this piece already; your first answer counts."))


@transaction.atomic
def close_report(slot: Assignment, *, by: User) -> None:
    """A curator has dealt with a report that a track cannot be rated."""
    if Assignment.objects.filter(pk=slot.pk, state=State.DECLINED, seen_at=None).update(seen_at=timezone.now()):
        record(slot, before=State.DECLINED, to="seen", actor=by)
