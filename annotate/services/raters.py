"""Raters: inviting them, their way to the first track, their way back, setting them aside, erasing them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core import signing
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.crypto import constant_time_compare, get_random_string, salted_hmac
from django.utils.translation import gettext as _

from annotate.errors import AnswerRefused, EraseRefused, InviteRefused, NotInvited, WayNotDone
from annotate.models import (
    COUNTS_OR_WAITS,
    Assignment,
    Consensus,
    Gold,
    Invite,
    Kind,
    Participation,
    Question,
    Questionnaire,
    Rater,
    Rating,
    _nonce,
)  # fmt: skip
from annotate.services import slots
from annotate.services.consensus import decide_in_order, lock, recount, ruling_that_holds, update_consensus
from datasets.errors import WrongState
from datasets.models import Event, Track
from datasets.selectors import is_guest
from datasets.services.audit import record

INVITE, RETURN, RECORD = "annotate.invite", "annotate.return", "annotate.record"


def rater_of(user: User) -> Rater:
    rater, _made = Rater.objects.get_or_create(user=user)
    return rater


def participation_of(user: User, questionnaire: Questionnaire) -> Participation:
    """The user's way through the questionnaire. Accounts that an admin made may take part in any; invited ones where invited."""
    if is_guest(user):
        raise NotInvited(_("Guests look; they do not rate."))
    mine = Participation.objects.select_related("rater", "questionnaire__dataset")
    if found := mine.filter(questionnaire=questionnaire, rater__user=user).first():
        return found
    rater = rater_of(user)
    if rater.by_invite:
        raise NotInvited(_("You are not invited to this questionnaire. Ask for an invite link."))
    Participation.objects.get_or_create(questionnaire=questionnaire, rater=rater)
    return mine.get(questionnaire=questionnaire, rater=rater)


def ready(participation: Participation) -> Participation:
    """The participation, if its way to the first track is done; else WayNotDone names the step that is missing."""
    if step := participation.next_step:
        raise WayNotDone(_("Before the first track comes another step: %(step)s.") % {"step": step})
    return participation


# --- inviting -----------------------------------------------------------------------------------------------------
def invite_token(invite: Invite) -> str:
    return signing.dumps(invite.pk, salt=INVITE)


def find_invite(token: str) -> Invite:
    """The invite of a link; InviteRefused says why it does not work any more."""
    try:
        invite = Invite.objects.select_related("questionnaire__dataset").get(pk=signing.loads(token, salt=INVITE))
    except (signing.BadSignature, Invite.DoesNotExist, ValueError, TypeError):
        raise InviteRefused(_("This link is not an invite. Copy it again, as a whole, or ask whoever sent it to you.")) from None
    if invite.revoked_at:
        raise InviteRefused(_("This invite was taken back. Ask whoever sent it to you for a new one."))
    if invite.expires_at and invite.expires_at <= timezone.now():
        raise InviteRefused(_("This invite has expired. Ask whoever sent it to you for a new one."))
    if not invite.questionnaire.is_open:
        raise InviteRefused(_("This study is closed at the moment. Thank you for your interest."))
    return invite


def refuse_used_up(invite: Invite) -> None:
    """Before anybody reads the consent. A form that was sent already may be sent again, so that `join` asks once more."""
    if invite.max_uses is not None and invite.uses >= invite.max_uses:
        raise InviteRefused(_("This invite has been used by as many people as it was made for. Ask for a new one."))


@transaction.atomic
def join(invite: Invite, *, user: User | None = None, nonce: str = "") -> Participation:
    """Become a rater by an invite. InviteRefused when it is used up.

    Somebody who takes part already uses up nothing, nor does the same form (`nonce`) sent again within an hour, because the
    first answer may not have arrived.
    """
    if user and is_guest(user):
        raise InviteRefused(_("Guests look; they do not rate."))
    nonce = nonce.replace("\0", "")[:32]
    lately = timezone.now() - timedelta(hours=1)
    if user is None and nonce and (mine := invite.participations.filter(nonce=nonce, joined_at__gte=lately).first()):
        return mine
    if nonce and invite.participations.filter(nonce=nonce).exists():  # the form was left open and sent again much later
        nonce = ""
    if user and (mine := Participation.objects.filter(questionnaire=invite.questionnaire, rater__user=user).first()):
        return mine
    free = Q(max_uses=None) | Q(uses__lt=F("max_uses"))
    open_invite = Invite.objects.filter(free, pk=invite.pk, revoked_at=None)
    if not open_invite.update(uses=F("uses") + 1):
        raise InviteRefused(_("This invite has been used by as many people as it was made for. Ask for a new one."))
    if user is None:
        user = User(username=f"rater-{get_random_string(10, 'abcdefghijkmnpqrstuvwxyz23456789')}")
        user.set_unusable_password()
        user.save()
        Rater.objects.create(user=user, by_invite=True)
    return Participation.objects.create(questionnaire=invite.questionnaire, rater=rater_of(user), invite=invite, nonce=nonce)


def create_invite(
    questionnaire: Questionnaire,
    *,
    note: str = "",
    max_uses: int | None = None,
    expires_at: datetime | None = None,
    by: User | None = None,
) -> Invite:
    invite = Invite.objects.create(questionnaire=questionnaire, note=note, max_uses=max_uses, expires_at=expires_at, created_by=by)
    record(invite, to="created", actor=by, reason=note)
    return invite


@transaction.atomic
def revoke_invite(invite: Invite, *, by: User) -> None:
    """Nobody can join by it from now on; whoever has joined stays."""
    if Invite.objects.filter(pk=invite.pk, revoked_at=None).update(revoked_at=timezone.now()):
        record(invite, to="revoked", actor=by)


# --- the way to the first track, and back to it ---------------------------------------------------------------------
@transaction.atomic
def pass_step(participation: Participation, step: str, **how: object) -> None:
    """Note that a step of the way is done, when and how. Doing it again keeps the first time."""
    row = Participation.objects.select_for_update().get(pk=participation.pk)
    row.steps = {step: {"at": timezone.now().isoformat(), **how}} | row.steps
    row.save(update_fields=["steps"])
    participation.steps = row.steps


def save_background(rater: Rater, background: dict[str, object]) -> None:
    Rater.objects.filter(pk=rater.pk).update(background={name: value for name, value in background.items() if value})


@transaction.atomic
def practise(participation: Participation, gold: Gold, word_key: str) -> None:
    """A word for a practice piece. It is no rating: nothing is counted, and it may be tried again."""
    if not participation.questionnaire.dataset.labels.filter(words__key=word_key).exists():
        raise AnswerRefused(_("Choose one of the words."))
    row = Participation.objects.select_for_update().get(pk=participation.pk)
    row.practice = row.practice | {str(gold.pk): word_key}
    row.save(update_fields=["practice"])
    participation.practice = row.practice


def return_token(rater: Rater) -> str:
    """The personal return link's secret, valid until a new one is made. Only for raters by invite: others have a password."""
    return signing.dumps([rater.pseudonym, rater.return_nonce], salt=RETURN) if _has_link(rater) else ""


def _has_link(rater: Rater) -> bool:
    """Whether a link may open the account: never one that can do more than rate."""
    user = rater.user
    return bool(
        user and rater.by_invite and user.is_active and not user.is_staff and not user.is_superuser and not user.groups.exists()
    )


def find_returning(token: str) -> Rater:
    try:
        pseudonym, nonce = signing.loads(token, salt=RETURN)
        rater = Rater.objects.select_related("user").get(pseudonym=pseudonym)
    except (signing.BadSignature, Rater.DoesNotExist, ValueError, TypeError):
        rater, nonce = None, ""
    if rater is None or not _has_link(rater) or not constant_time_compare(nonce, rater.return_nonce):
        raise InviteRefused(_("This return link does not work (any more). Use your newest one, or ask whoever invited you."))
    return rater


def renew_return_link(rater: Rater) -> None:
    """A new return link; the old one stops working."""
    rater.return_nonce = _nonce()
    rater.save(update_fields=["return_nonce"])


def completion_code(questionnaire: Questionnaire, rater: Rater, n: int) -> str:
    """A record that a lab can pay by: pseudonym, number of tracks, and a check that only this studio can make."""
    check = salted_hmac(RECORD, f"{questionnaire.pk}:{rater.pseudonym}:{n}").hexdigest()[:8]
    return f"{rater.pseudonym}-{n}-{check}"


def check_code(questionnaire: Questionnaire, code: str) -> tuple[Rater, int] | None:
    """Whom a completion code belongs to, and how many tracks it vouches for; None when this studio has not made it."""
    code = code.replace("\0", "")
    pseudonym, _dash, rest = code.strip().rpartition("-")[0].rpartition("-")
    if not rest.isdecimal() or len(rest) > 9:
        return None
    rater = Rater.objects.filter(pseudonym=pseudonym).first()
    if rater and constant_time_compare(completion_code(questionnaire, rater, int(rest)), code.strip()):
        return rater, int(rest)
    return None


# --- quality ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Change:
    """What setting a rater aside does to one track."""

    track_id: int
    title: str
    before: str
    after: str
    n_before: int
    n_after: int

    @property
    def flips(self) -> bool:
        return self.before != self.after


def preview_set_aside(rater: Rater, since: datetime) -> list[Change]:
    """Every track that would lose a counted rating, with its consensus now and then. Nothing is changed."""
    changes = []
    counted = _counted(rater, since).filter(not_counted="")
    for rating in counted.select_related("track").order_by("questionnaire_id", "track_id"):
        row = Consensus.objects.select_related("questionnaire", "label").get(
            questionnaire=rating.questionnaire_id, track=rating.track_id
        )
        left = Rating.objects.filter(
            questionnaire=row.questionnaire_id, track=row.track_id, kind=Kind.REGULAR, not_counted__in=COUNTS_OR_WAITS
        )
        keys = list(left.exclude(pk=rating.pk).order_by("rated_at", "pk").values_list("label__key", flat=True))
        after, _n = decide_in_order(keys, row)
        ruling = ruling_that_holds(row, after.state)
        label = ruling.label.key if ruling and ruling.label else after.label
        now = row.label.key if row.label else row.state
        changes.append(Change(row.track_id, rating.track.title, now, label or after.state, row.n_ratings, after.n_ratings))
    return changes


def set_aside(rater: Rater, since: datetime, *, by: User | None) -> list[Change]:
    """Stop counting the rater's ratings from `since` on, in every questionnaire, recompute each consensus, give out no more tracks."""
    changes = preview_set_aside(rater, since)
    with transaction.atomic():
        if not Rater.objects.filter(pk=rater.pk, set_aside_from=None).update(set_aside_from=since):
            raise WrongState(_("The rater is set aside already. Count the ratings again first, to choose another day."))
        rater.set_aside_from = since
        n = _stop_counting(rater, since)
        Assignment.objects.filter(rater=rater, state__in=("open", "ahead")).update(state="expired")
        record(rater, to="set aside", actor=by, reason=f"from {since.isoformat()}: {n} ratings no longer count")
    with transaction.atomic():  # a rating that was on its way when the date was not known yet
        _stop_counting(rater, since)
    return changes


def _stop_counting(rater: Rater, since: datetime) -> int:
    mine = list(_counted(rater, since).order_by("questionnaire_id", "track_id").values_list("pk", "questionnaire_id", "track_id"))
    for pk, questionnaire_id, track_id in mine:
        row = lock(questionnaire_id, track_id)
        Rating.objects.filter(pk=pk).update(not_counted=Rating.NotCounted.SET_ASIDE)
        recount(row)
    return len(mine)


@transaction.atomic
def reinstate(rater: Rater, *, by: User | None) -> int:
    """Count the rater's ratings again, except on tracks that others have filled meanwhile, or hold: there they are surplus."""
    Rater.objects.filter(pk=rater.pk).update(set_aside_from=None)
    rater.set_aside_from = None
    mine = Rating.objects.filter(rater=rater, not_counted=Rating.NotCounted.SET_ASIDE).select_related("track")
    n = 0
    for rating in mine.order_by("questionnaire_id", "track_id"):
        row = lock(rating.questionnaire_id, rating.track_id)
        free = row.target - row.n_ratings - slots.n_live(rating.track_id, timezone.now())
        if rating.track.state != Track.State.READY:
            why = Rating.NotCounted.TAKEN_OUT.value
        else:
            why = "" if rating.kind != Kind.REGULAR or free > 0 else Rating.NotCounted.SURPLUS.value
        Rating.objects.filter(pk=rating.pk).update(not_counted=why)
        update_consensus(row)
        n += not why
    record(rater, to="reinstated", actor=by, reason=f"{n} ratings count again")
    return n


def _counted(rater: Rater, since: datetime) -> QuerySet[Rating]:
    return Rating.objects.filter(rater=rater, kind=Kind.REGULAR, rated_at__gte=since, not_counted__in=COUNTS_OR_WAITS)


# --- personal data ------------------------------------------------------------------------------------------------
def personal_data(rater: Rater) -> dict[str, object]:
    """Everything that is kept about a rater, as plain values."""
    ratings = Rating.objects.filter(rater=rater).select_related("word", "label", "assignment").order_by("rated_at")
    slots: Sequence[Assignment] = list(rater.assignments.filter(state="declined"))
    return {
        "pseudonym": rater.pseudonym,
        "account": {name: getattr(rater.user, name) for name in ("username", "email", "first_name", "last_name")}
        if rater.user
        else None,
        "by_invite": rater.by_invite,
        "set_aside_from": rater.set_aside_from.isoformat() if rater.set_aside_from else None,
        "since": rater.created_at.isoformat(),
        "background": rater.background,
        "questionnaires": [
            {"name": str(row.questionnaire), "joined_at": row.joined_at.isoformat(), "steps": row.steps, "practice": row.practice}
            for row in rater.participations.select_related("questionnaire")
        ],
        "ratings": [
            {
                "slot": str(rating.assignment.key) if rating.assignment else None,
                "word": rating.word.key if rating.word else None,
                "label": rating.label.key,
                **{
                    name: getattr(rating, name)
                    for name in ("valence", "arousal", "confidence", "known", "vocals", "answers", "heard_s", "heard_share")
                },
                **{name: getattr(rating, name) for name in ("replays", "hidden_s", "elapsed_s")},
                "rated_at": rating.rated_at.isoformat(),
            }
            for rating in ratings
        ],
        "drafts": [slot.draft for slot in rater.assignments.exclude(draft={})],
        "not_rated": [{"slot": str(slot.key), "reason": slot.reason, "note": slot.note} for slot in slots],
        "given_out": [
            {"slot": str(key), "state": state, "at": at.isoformat()}
            for key, state, at in rater.assignments.order_by("pk").values_list("key", "state", "created_at")
        ],
        "tokens": [
            {"name": row.name, "scope": row.scope, "until": row.expires_at.isoformat(), "used": str(row.last_used_at or "")}
            for row in (rater.user.api_tokens.order_by("pk") if rater.user else ())
        ],
        "did": [
            {"what": f"{row.subject} {row.subject_id}", "to": row.to_state, "at": row.at.isoformat()}
            for row in Event.objects.filter(actor=rater.user, actor__isnull=False).order_by("pk")
        ],
    }


@transaction.atomic
def erase(rater: Rater, *, by: User | None) -> None:
    """Destroy the account and what the person told of himself; the ratings stay under the pseudonym, with nothing that leads to him.

    Raises EraseRefused for an account that has other work here: it would live on, and could rate the same tracks once more.
    """
    user = rater.user
    if user and (user.is_staff or user.is_superuser or user.groups.exists()):
        raise EraseRefused(_("This account has other work here (curator or admin). Take that away first, then it can be erased."))
    texts = Question.Kind.TEXT
    known = set(Question.objects.exclude(kind=texts).values_list("questionnaire_id", "key"))
    for rating in Rating.objects.filter(rater=rater).exclude(answers={}):
        rating.answers = {key: value for key, value in rating.answers.items() if (rating.questionnaire_id, key) in known}
        rating.save(update_fields=["answers"])
    rater.assignments.update(draft={}, note="")
    rater.assignments.filter(state__in=("open", "ahead")).update(state="expired")
    rater.participations.update(invite=None, nonce="", practice={})
    Rater.objects.filter(pk=rater.pk).update(user=None, background={}, return_nonce=_nonce(), erased_at=timezone.now())
    record(rater, to="erased", actor=by if by != user else None)
    if user:
        for rows in (AccessAttempt, AccessLog, AccessFailureLog):
            rows.objects.filter(username=user.username).delete()
        LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(User), object_id=str(user.pk)).delete()
        user.delete()
