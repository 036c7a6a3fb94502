"""Taking ratings, taking them back, bringing in those that were collected elsewhere."""

import math
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l
from django.utils.translation import ngettext

from annotate import selectors
from annotate.errors import AlreadyRated, AnswerRefused, NothingToUndo, SlotGone, TooFast, UnknownWord
from annotate.models import Assignment, Consensus, Kind, Question, Questionnaire, Rater, Rating
from annotate.services import slots
from annotate.services.consensus import Standing, lock, standing, update_consensus
from datasets.models import Label, Track, Word
from datasets.rows import insert
from datasets.services.audit import record

State = Assignment.State
GRACE_S = 0.5  # clocks and networks: a rater is never refused for less than this


@dataclass(frozen=True)
class Answer:
    """What a rater says of a track beside the word."""

    valence: float | None = None
    arousal: float | None = None
    confidence: int | None = None
    known: bool = False
    vocals: bool = False
    answers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Listening:
    """What the page measured: seconds of playing, share heard at least once, replays, seconds out of view."""

    heard_s: float = 0
    heard_share: float = 0
    replays: int = 0
    hidden_s: float = 0


def submit_rating(
    slot: Assignment,
    *,
    word_key: str,
    answer: Answer = Answer(),
    listening: Listening = Listening(),
    key: uuid.UUID | None = None,
) -> Rating:
    """Close a slot with a word; the consensus is settled in the same transaction. The same `key` is taken once.

    A rating that comes too late to count (the slot was given to another rater, the questionnaire closed, the track taken out)
    is kept and marked, never refused: the rater has done the work.

    Raises UnknownWord, AnswerRefused, TooFast, AlreadyRated for a second rating of another key, SlotGone for a declined slot.
    """
    questionnaire = slot.questionnaire
    word = _word(questionnaire, word_key)
    answers = _checked(slot, answer)
    if slot.state == State.RATED and (done := _same(slot, key)):
        return done
    elapsed_s = _listened_enough(slot, listening)
    rating = Rating(
        assignment=slot, questionnaire=questionnaire, track_id=slot.track_id, rater_id=slot.rater_id, kind=slot.kind, key=key,
        word=word, label_id=word.label_id, elapsed_s=elapsed_s, **{**asdict(answer), "answers": answers},
        **_plausible(listening, elapsed_s),
    )  # fmt: skip
    rating.known = answer.known if questionnaire.ask_known else None
    rating.vocals = answer.vocals if questionnaire.ask_vocals else None
    try:
        return _store(slot, rating)
    except IntegrityError:  # the same rating came twice at once, or the track was rated in another way
        if done := _same(slot, key):
            return done
        if key and Rating.objects.filter(key=key).exists():
            raise AnswerRefused(
                _("This submission was used for another piece already. Reload the page and send it again.")
            ) from None
        if not Word.objects.filter(pk=word.pk).exists():  # the labels were changed at the same moment
            raise UnknownWord(_("The words were changed just now. Reload the page and choose again.")) from None
        Assignment.objects.filter(pk=slot.pk, state__in=slots.LIVE).update(state=State.EXPIRED)
        raise AlreadyRated(ALREADY) from None


ALREADY = _l("You rated this piece already; your first answer counts.")


def _same(slot: Assignment, key: uuid.UUID | None) -> Rating | None:
    return Rating.objects.filter(key=key, assignment=slot.pk).first() if key else None


CLOSED = "UPDATE annotate_assignment SET state = 'rated', draft = '{}' WHERE id = %s"


@transaction.atomic
def _store(slot: Assignment, rating: Rating) -> Rating:
    rating.rated_at = timezone.now()
    now = standing(slot, key=rating.key, now=rating.rated_at)
    if now.state == State.DECLINED:
        raise SlotGone(_("You said that this piece cannot be rated. Thank you; here is another one."))
    if now.state == State.RATED:
        if done := _same(slot, rating.key):
            return done
        raise AlreadyRated(ALREADY)
    if now.is_undone:
        raise AlreadyRated(ALREADY)
    rating.not_counted = _why_not_counted(slot, now, rating.rated_at)
    insert(rating)
    with connection.cursor() as cursor:
        cursor.execute(CLOSED, [slot.pk])
    record(slot, before=now.state, to=State.RATED)
    if rating.kind == Kind.REGULAR and not rating.not_counted:
        update_consensus(now.row)
    return rating


def _word(questionnaire: Questionnaire, key: str) -> Word:
    words = {word.key: word for word in selectors.asked_by(questionnaire).words}
    if key not in words:
        raise UnknownWord(
            _("“%(word)s” is not a word of this questionnaire. Its words are: %(words)s.")
            % {"word": key[:50], "words": ", ".join(words)}
        )
    return words[key]


def _checked(slot: Assignment, answer: Answer) -> dict[str, str]:
    """The answers to the admin's questions, checked; and the other values, which the database would take too wide.

    A question that was added while the track was out may stay without an answer.
    """
    for value in (answer.valence, answer.arousal):
        if value is not None and not -1 <= value <= 1:
            raise AnswerRefused(_("The point must lie in the plane: both values between -1 and 1."))
    if answer.confidence not in (None, 1, 2, 3):
        raise AnswerRefused(_("How sure you are is 1, 2 or 3."))
    answers = {}
    for question in selectors.asked_by(slot.questionnaire).questions:
        given = answer.answers.get(question.key, "").replace("\0", "").strip()
        if not given and question.required and question.created_at <= slot.created_at:
            raise AnswerRefused(_("Please answer: %(question)s") % {"question": question})
        if given and question.kind != Question.Kind.TEXT and given not in dict(question.choices):
            raise AnswerRefused(_("“%(answer)s” is no answer to: %(question)s") % {"answer": given[:50], "question": question})
        if given:
            answers[question.key] = given[:1000]
    return answers


def _listened_enough(slot: Assignment, listening: Listening) -> float | None:
    """Seconds since the page reported the track shown, by our own clock; TooFast when they or those heard are too few."""
    minimum = slot.questionnaire.minimum_for(slot.track.duration_s or 0)
    if minimum > 0:
        slots.report_shown(slot)  # a page that could not report it starts the clock now
    elif slot.shown_at is None:
        return None
    elapsed = (timezone.now() - slot.shown_at).total_seconds() if slot.shown_at else 0.0
    heard = listening.heard_s if math.isfinite(listening.heard_s) else 0.0
    if elapsed < 0:  # the clock was put back meanwhile: what the page counted is all there is
        elapsed = max(heard, 0.0)
    missing = minimum - min(elapsed, heard)
    if missing > GRACE_S and slot.state != State.RATED:
        seconds = math.ceil(missing)
        text = ngettext(
            "Please listen a little longer: %(n)d second is missing.",
            "Please listen a little longer: %(n)d seconds are missing.",
            seconds,
        )
        raise TooFast(text % {"n": seconds}, max(minimum - elapsed, 0))
    return elapsed


def _plausible(listening: Listening, elapsed_s: float | None) -> dict[str, float | int]:
    """Claims of the page, within what the server's clock allows (players can run at up to twice the speed)."""

    def clip(value: float, most: float) -> float:
        return round(min(max(value, 0.0), most), 2) if math.isfinite(value) else 0.0

    return {
        "heard_s": clip(listening.heard_s, 2 * elapsed_s if elapsed_s else math.inf),
        "heard_share": clip(listening.heard_share, 1.0),
        "replays": min(max(listening.replays, 0), 10_000),
        "hidden_s": clip(listening.hidden_s, elapsed_s if elapsed_s else math.inf),
    }


def _why_not_counted(slot: Assignment, now: Standing, moment: datetime) -> str:
    if not now.is_open:
        return Rating.NotCounted.CLOSED
    if now.track_state != Track.State.READY:
        return Rating.NotCounted.TAKEN_OUT
    if now.is_set_aside:
        return Rating.NotCounted.SET_ASIDE
    if now.saw:  # after the track was given out: before, it is not
        return Rating.NotCounted.SAW
    if slot.kind != Kind.REGULAR:
        return ""
    # A live lease is the rater's own place. One that ran out is only good while nobody else has taken it.
    taken = now.row.n_ratings + (0 if now.lease_is_live else slots.others_live(slot, moment))
    # A track that stopped early gives out no more places; those that were given out count as they would have.
    room = max(now.row.target, now.row.questionnaire.raters_per_track) if now.lease_is_live else now.row.target
    if taken < room:
        return ""
    # A place that is still the rater's was given out under a rule that counted more: then the rating waits, and is not lost.
    return Rating.NotCounted.BEYOND if now.lease_is_live else Rating.NotCounted.SURPLUS


def undo_last(questionnaire: Questionnaire, rater: Rater) -> Assignment:
    """Take back the rater's last rating and open its slot again, with the old choice as its draft.

    Possible until a release is frozen: from then on the track's consensus is in it. Raises NothingToUndo.
    """
    try:
        return _undo(questionnaire, rater)
    except IntegrityError:  # a second tab has opened a slot at the same moment
        return _undo(questionnaire, rater)


@transaction.atomic
def _undo(questionnaire: Questionnaire, rater: Rater) -> Assignment:
    mine = Rating.objects.filter(questionnaire=questionnaire, rater=rater, assignment__isnull=False)
    last = mine.select_related("assignment", "word").order_by("-rated_at", "-pk").first()
    if last is None or last.assignment is None or not questionnaire.is_open or rater.is_set_aside_at(timezone.now()):
        raise NothingToUndo(_("There is no rating that could be changed."))
    row = lock(questionnaire.pk, last.track_id)
    if questionnaire.dataset.releases.filter(frozen_at__gte=last.rated_at).exists():
        raise NothingToUndo(_("Your last rating is part of a frozen release by now, and cannot be changed any more."))
    if not mine.filter(pk=last.pk).delete()[0]:
        raise NothingToUndo(_("Your last rating was taken back already."))
    held = Assignment.objects.filter(questionnaire=questionnaire, rater=rater)
    if held.filter(state=State.OPEN, undone_key__isnull=False).exists():
        raise NothingToUndo(_("Your last rating is open already: send it again first."))
    if held.filter(state=State.OPEN).exists():  # the track on the page waits behind the one that comes back
        held.filter(state=State.AHEAD).update(state=State.EXPIRED)
        held.filter(state=State.OPEN).update(state=State.AHEAD, shown_at=None)
    slot = last.assignment
    # The place of a rating that counted is still the rater's; one that did not count had none.
    lease = timedelta() if last.not_counted else slots.LEASE
    slot.state, slot.expires_at, slot.undone_key = State.OPEN, timezone.now() + lease, last.key or uuid.uuid4()
    slot.draft = _as_draft(last)
    slot.save(update_fields=["state", "expires_at", "undone_key", "draft"])
    record(slot, before=State.RATED, to=State.OPEN, reason="Taken back by the rater")
    if last.kind == Kind.REGULAR and not last.not_counted:
        update_consensus(row)
    return slot


def _as_draft(rating: Rating) -> dict[str, object]:
    names = ("valence", "arousal", "confidence", "known", "vocals", "heard_s", "heard_share", "replays", "hidden_s")
    draft = {name: getattr(rating, name) for name in names} | {f"q-{key}": value for key, value in rating.answers.items()}
    return draft | {"word": rating.word.key if rating.word else ""}


@dataclass(frozen=True)
class ImportedRating:
    """A checked row of a table of ratings that were collected elsewhere (see `methods.imports`)."""

    track_id: int
    rater: str
    word: Word | None
    label: Label
    valence: float | None = None
    arousal: float | None = None
    rated_at: datetime | None = None
    confidence: int | None = None
    known: bool | None = None
    vocals: bool | None = None
    elsewhere: bool = True


@transaction.atomic
def import_ratings(questionnaire: Questionnaire, rows: Sequence[ImportedRating]) -> int:
    """Store ratings that were collected elsewhere and settle their tracks.

    All or nothing; a rating that is here already raises AlreadyRated with its row.
    """
    raters = imported_raters(questionnaire, {row.rater for row in rows})
    tracks = {row.track_id for row in rows}
    locked = Consensus.objects.select_for_update(of=("self",)).select_related("questionnaire").order_by("track_id")
    consensuses = list(locked.filter(questionnaire=questionnaire, track__in=tracks))
    room = {row.track_id: row.target - row.n_ratings for row in consensuses}
    known = set(Rating.objects.filter(questionnaire=questionnaire, track__in=tracks).values_list("track_id", "rater_id"))
    beyond = []
    for row in rows:
        if (row.track_id, raters[row.rater].pk) in known:
            raise AlreadyRated(
                _("Rater %(rater)s has rated track %(track_id)s already; nothing was imported.")
                % {"rater": row.rater, "track_id": row.track_id}
            )
        beyond.append(room.get(row.track_id, 0) <= 0)
        room[row.track_id] = room.get(row.track_id, 0) - 1
    Rating.objects.bulk_create(
        [
            Rating(
                questionnaire=questionnaire,
                track_id=row.track_id,
                rater=raters[row.rater],
                word=row.word,
                label=row.label,
                valence=row.valence,
                arousal=row.arousal,
                confidence=row.confidence,
                known=row.known,
                vocals=row.vocals,
                elsewhere=row.elsewhere,
                rated_at=row.rated_at or timezone.now(),
                not_counted=Rating.NotCounted.BEYOND if over else "",
            )
            for row, over in zip(rows, beyond, strict=True)
        ],
        batch_size=1000,
    )
    for consensus_row in consensuses:
        update_consensus(consensus_row)
    record(
        questionnaire,
        to="ratings imported",
        reason=f"{len(rows)} ratings of {len(tracks)} tracks by {len(raters)} raters, {sum(beyond)} of them beyond the number that the rule counts",
    )
    return len(rows)


def imported_raters(questionnaire: Questionnaire, names: Collection[str]) -> dict[str, Rater]:
    """Imported raters, the same name in the same dataset being the same rater.

    A name may be a person's (an e-mail address, say), so that only a keyed digest of it is kept. A pseudonym of somebody who rated here
    is that rater: what was frozen here comes home in a bundle, or in an exported table.
    """
    known = known_raters(questionnaire, names)
    missing = {name: _digest_of(questionnaire, name) for name in names if name not in known}
    made = {rater.pseudonym: rater for rater in Rater.objects.bulk_create([Rater(pseudonym=one) for one in missing.values()])}
    return known | {name: made[pseudonym] for name, pseudonym in missing.items()}


def known_raters(questionnaire: Questionnaire, names: Collection[str]) -> dict[str, Rater]:
    """Those of the names whose rater is here already."""
    digests = {_digest_of(questionnaire, name): name for name in names}
    found = {digests[rater.pseudonym]: rater for rater in Rater.objects.filter(pseudonym__in=list(digests))}
    here = Rater.objects.filter(pseudonym__in=list(names), ratings__questionnaire=questionnaire).distinct()
    return found | {rater.pseudonym: rater for rater in here}


def rated_already(questionnaire: Questionnaire, pairs: Collection[tuple[int, str]]) -> set[tuple[int, str]]:
    """Those pairs of a track and the name of a rater of which a rating is here."""
    raters = known_raters(questionnaire, {name for _track, name in pairs})
    mine = Rating.objects.filter(questionnaire=questionnaire, rater__in=raters.values())
    here = set(mine.values_list("track_id", "rater_id"))
    return {(track, name) for track, name in pairs if name in raters and (track, raters[name].pk) in here}


def _digest_of(questionnaire: Questionnaire, name: str) -> str:
    return f"R-{salted_hmac('rater', f'{questionnaire.dataset_id}:{name}').hexdigest()[:16]}"
