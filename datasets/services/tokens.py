"""Tokens for the API: scoped, expiring, shown once, only a digest is kept; and signed addresses of recordings."""

import hashlib
import secrets
from datetime import timedelta

from django.contrib.auth.models import User
from django.core import signing
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from datasets.errors import ValueRefused
from datasets.models import ApiToken, Track
from datasets.services.audit import record

PREFIX = "mer_"  # so that scanners for leaked secrets find them
LONGEST_DAYS = 366
MOST = 20  # live ones a person


def digest_of(secret: str) -> str:
    """SHA-256 is enough: a token has 256 bits of chance, nobody guesses it."""
    return hashlib.sha256(secret.encode()).hexdigest()


@transaction.atomic
def issue_token(user: User, *, name: str, scope: str = ApiToken.Scope.WRITE, days: int = 90) -> tuple[ApiToken, str]:
    """A new token and its secret, which nobody can read again."""
    if not 1 <= days <= LONGEST_DAYS:
        raise ValueRefused(_("A token lives 1 to %(most)d days, not %(days)d.") % {"most": LONGEST_DAYS, "days": days})
    if scope not in ApiToken.Scope.values:
        raise ValueRefused(_("“%(scope)s” is no scope: read or write.") % {"scope": scope})
    if ApiToken.objects.filter(user=user, expires_at__gt=timezone.now()).count() >= MOST:
        raise ValueRefused(_("You have %(most)d tokens; take one back first.") % {"most": MOST})
    secret = PREFIX + secrets.token_urlsafe(32)
    row = ApiToken.objects.create(
        user=user,
        name=name.strip()[:100] or scope,
        scope=scope,
        digest=digest_of(secret),
        expires_at=timezone.now() + timedelta(days=days),
    )
    record(row, to="issued", actor=user, reason=f"{row.name}: {scope}, {days} days")
    return row, secret


@transaction.atomic
def revoke_token(token: ApiToken, *, by: User) -> None:
    record(token, to="revoked", actor=by, reason=token.name)
    token.delete()


def token_for(secret: str) -> ApiToken | None:
    """The live token that has this secret; its use is noted at most once a minute."""
    now = timezone.now()
    row = ApiToken.objects.select_related("user").filter(digest=digest_of(secret), expires_at__gt=now).first()
    if row and (row.last_used_at is None or (now - row.last_used_at).total_seconds() > 60):
        ApiToken.objects.filter(pk=row.pk).update(last_used_at=now)
    return row


AUDIO, AUDIO_S = "datasets.audio", 3600


def signed_audio_url(track: Track) -> str:
    """An address of its recording for those who may not log in, such as a script's player; it works for an hour."""
    return reverse("datasets:signed_audio", args=[signing.dumps(track.pk, salt=AUDIO)])


def track_of_signature(token: str) -> int:
    """Raises signing.BadSignature for an address that was not made here, or is too old."""
    return int(signing.loads(token, salt=AUDIO, max_age=AUDIO_S))
