"""Deciding what the ratings of a track say."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from annotate.methods import consensus, doubt
from annotate.models import (
    COUNTS_OR_WAITS,
    MORE_WHEN_SPLIT,
    Assignment,
    Consensus,
    Kind,
    Questionnaire,
    Rating,
    Ruling,
    place_by_doubt,
)
from datasets.rows import loaded
from datasets.services.audit import record
from datasets.services.tracks import note_consensus


def lock(questionnaire_id: int, track_id: int) -> Consensus:
    """The track's consensus row, locked until the end of the transaction: whatever changes its ratings or slots holds it."""
    if not connection.in_atomic_block:  # SQLite, which has no row locks, would not say so
        raise transaction.TransactionManagementError("A consensus row is locked inside a transaction.")
    rows = Consensus.objects.select_for_update(of=("self",)).select_related("questionnaire")
    return rows.get(questionnaire=questionnaire_id, track=track_id)


COUNTED = """
SELECT label.key, label.id FROM annotate_rating rating JOIN datasets_label label ON label.id = rating.label_id
WHERE rating.questionnaire_id = %s AND rating.track_id = %s AND rating.kind = 'regular' AND rating.not_counted = ''
"""


SETTLED = """
UPDATE annotate_consensus SET state = %s, votes = %s, agreement = %s, n_ratings = %s, target = %s, label_id = %s, updated_at = %s
WHERE id = %s
"""


def decide(labels: Iterable[str], row: Consensus) -> consensus.Outcome:
    """The rule of the row's questionnaire on these labels; it may raise or lower the row's target, which is not stored here."""
    given, asked = list(labels), row.questionnaire
    row.target = consensus.target_now(
        Counter(given), asked=row.asked, usual=asked.raters_per_track, threshold=asked.threshold,
        more=MORE_WHEN_SPLIT if asked.ask_more_when_split else 0, unanimous_at=asked.unanimous_at,
    )  # fmt: skip
    needed = consensus.needed(target=row.target, asked=row.asked, usual=asked.raters_per_track, fewest=asked.fewest)
    return consensus.settle(given, target=needed, threshold=asked.threshold)


def ruling_that_holds(row: Consensus, settled: str) -> Ruling | None:
    """The latest ruling, if it counts: while the raters do not agree, or over their agreement where a curator said so."""
    if settled not in (Consensus.State.SPLIT, Consensus.State.AGREED):
        return None
    rulings = Ruling.objects.filter(questionnaire=row.questionnaire_id, track=row.track_id)
    ruling = rulings.select_related("label").order_by("-id").first()
    holds = ruling and ruling.label and (ruling.over or settled == Consensus.State.SPLIT)
    return ruling if holds else None


def update_consensus(row: Consensus, *, by: User | None = None) -> None:
    """Settle a track from the ratings that count: the one place where a consensus is decided. Call it with the row locked.

    by : whoever changed the rule or ruled; nobody where a rating came in.
    """
    before_target, labels = row.target, _counted(row)
    outcome = decide((key for key, _ in labels), row)
    if row.target > before_target and outcome.n_ratings < row.target and _count_waiting(row):
        labels = _counted(row)
        outcome = decide((key for key, _ in labels), row)
    before, label_before = row.state, row.label_id
    row.state, row.votes, row.agreement = outcome.state, outcome.votes, outcome.agreement
    row.n_ratings = outcome.n_ratings
    row.label_id = dict(labels)[outcome.label] if outcome.label else None
    key = outcome.label
    if ruling := ruling_that_holds(row, outcome.state):
        row.state, row.label_id, key = Consensus.State.RULED, ruling.label_id, ruling.label.key  # type: ignore[union-attr]
    moment = connection.ops.adapt_datetimefield_value(timezone.now())
    with connection.cursor() as cursor:
        cursor.execute(
            SETTLED, [row.state, json.dumps(row.votes), row.agreement, row.n_ratings, row.target, row.label_id, moment, row.pk]
        )
    if row.questionnaire.queue_order == Questionnaire.QueueOrder.DISPUTED and row.n_ratings:
        Consensus.objects.filter(pk=row.pk).update(position=place_by_doubt(doubt.entropy(row.votes)))
    if row.state != before or before != Consensus.State.OPEN:  # a settled track may change its label alone
        settled = row.state != Consensus.State.OPEN
        note_consensus(row.track_id, label=key or "", agreement=row.agreement if settled else None)
    if row.state != before or row.label_id != label_before:
        record(row, before=before, to=row.state, actor=by, reason=f"{key or 'no label'}: {consensus.in_words(outcome.votes)}")


def recount(row: Consensus, *, by: User | None = None) -> bool:
    """Decide anew which of a track's ratings count, from the first on, as if they came in one by one; the others wait.

    Call it with the row locked, after ratings were taken out or the rule was changed. Returns whether label or state are others now.
    """
    before = row.label_id or row.state
    ratings = Rating.objects.filter(
        questionnaire=row.questionnaire_id, track=row.track_id, kind=Kind.REGULAR, not_counted__in=COUNTS_OR_WAITS
    )
    ordered = list(ratings.order_by("rated_at", "pk").values_list("pk", "label__key"))
    _outcome, n = decide_in_order([key for _pk, key in ordered], row)
    Rating.objects.filter(pk__in=[pk for pk, _key in ordered[:n]]).update(not_counted="")
    Rating.objects.filter(pk__in=[pk for pk, _key in ordered[n:]]).update(not_counted=Rating.NotCounted.BEYOND)
    update_consensus(row, by=by)
    return (row.label_id or row.state) != before


def decide_in_order(keys: list[str], row: Consensus) -> tuple[consensus.Outcome, int]:
    """What ratings in this order settle, and how many of them count: the usual number, more where they split."""
    most = max(row.asked, row.questionnaire.raters_per_track)
    outcome = decide(keys[:most], row)
    if row.target > most and len(keys) > most:
        most = row.target
        outcome = decide(keys[:most], row)
    return outcome, min(most, len(keys))


def _counted(row: Consensus) -> list[tuple[str, int]]:
    with connection.cursor() as cursor:
        cursor.execute(COUNTED, [row.questionnaire_id, row.track_id])
        return list(cursor.fetchall())


def _count_waiting(row: Consensus) -> int:
    """Ratings that a rule with fewer raters set waiting count, as far as there is room; returns how many."""
    ratings = Rating.objects.filter(questionnaire=row.questionnaire_id, track=row.track_id, kind=Kind.REGULAR)
    room = row.target - ratings.filter(not_counted="").count()
    waiting = ratings.filter(not_counted=Rating.NotCounted.BEYOND).order_by("rated_at", "pk")
    return Rating.objects.filter(pk__in=list(waiting.values_list("pk", flat=True)[: max(0, room)])).update(not_counted="")


@dataclass(frozen=True)
class Standing:
    """How a slot stands at the moment of its submission, with its track's row locked."""

    row: Consensus
    state: str
    lease_is_live: bool
    is_undone: bool
    is_open: bool
    is_set_aside: bool
    saw: bool  # what models say of the track
    track_state: str


STANDING = """
SELECT c.id, c.state, c.target, c.asked, c.n_ratings, c.label_id, q.threshold, q.raters_per_track, q.fewest_raters, q.ask_more_when_split,
    q.unanimous_at, q.queue_order,
    a.state, a.state IN ('open', 'ahead') AND a.expires_at > %s, a.undone_key IS NOT NULL AND a.undone_key = %s,
    q.is_open,
    (SELECT COUNT(*) FROM annotate_rater WHERE id = a.rater_id AND set_aside_from <= %s),
    EXISTS (
        SELECT 1 FROM annotate_rater rater JOIN datasets_sight sight ON sight.user_id = rater.user_id
        WHERE rater.id = a.rater_id AND (sight.track_id = a.track_id OR EXISTS (
            SELECT 1 FROM datasets_releaseitem item JOIN datasets_splitmember member ON member.item_id = item.id AND member.part = 'test'
            WHERE item.release_id = sight.release_id AND item.track_id = a.track_id
        ))
    ),
    (SELECT state FROM datasets_track WHERE id = c.track_id)
FROM annotate_assignment a
JOIN annotate_consensus c ON c.track_id = a.track_id AND c.questionnaire_id = a.questionnaire_id
JOIN annotate_questionnaire q ON q.id = a.questionnaire_id
WHERE a.id = %s
"""


def standing(slot: Assignment, *, key: UUID | None, now: datetime) -> Standing:
    """`lock` and all that decides whether a submission counts, in one statement: every rating needs it."""
    suffix = " FOR UPDATE OF c, a" if connection.features.has_select_for_update_of else ""
    moment = connection.ops.adapt_datetimefield_value(now)
    native = connection.features.has_native_uuid_field
    with connection.cursor() as cursor:
        cursor.execute(STANDING + suffix, [moment, key if native or key is None else key.hex, moment, slot.pk])
        (
            pk, state, target, asked, n, label, threshold, usual, fewest, more, early, order, slot_state, live, undone, is_open, aside, saw, track_state,
        ) = cursor.fetchone()  # fmt: skip
    row = Consensus(pk=pk, track_id=slot.track_id, state=state, target=target, asked=asked, n_ratings=n, label_id=label)
    row.questionnaire = loaded(
        Questionnaire, id=slot.questionnaire_id, threshold=threshold, raters_per_track=usual, fewest_raters=fewest,
        ask_more_when_split=bool(more), unanimous_at=early, queue_order=order,
    )  # fmt: skip
    return Standing(row, slot_state, bool(live), bool(undone), bool(is_open), bool(aside), bool(saw), track_state)
