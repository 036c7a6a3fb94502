"""Rating: reserving slots, taking ratings, settling labels, freezing releases."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zlib import crc32

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac

from annotate import selectors
from annotate.errors import AlreadyRated, SlotGone, UnknownWord
from annotate.methods import consensus
from annotate.models import Assignment, Consensus, Questionnaire, Rater, Rating
from datasets.models import Dataset, Label, Release, Track, Word
from datasets.services import releases
from datasets.services.audit import record
from datasets.signals import track_ready

LEASE = timedelta(minutes=30)


def questionnaire_of(dataset: Dataset) -> Questionnaire:
    """The dataset's questionnaire; the paper's is made for a dataset that has none."""
    questionnaire, _ = Questionnaire.objects.get_or_create(dataset=dataset, defaults={"name": f"Emotion of {dataset}"})
    return questionnaire


def rater_of(user: User) -> Rater:
    rater, _ = Rater.objects.get_or_create(user=user)
    return rater


def reserve_next(questionnaire: Questionnaire, rater: Rater) -> Assignment | None:
    """The rater's open slot, or a new one on the track that needs fewest ratings to be done; None when none is left.

    The order among equals is shuffled per rater, so that raters do not all meet the same tracks first. The track's
    consensus row is locked while its free slots are counted, so that two raters can't reserve its last one.
    """
    if not questionnaire.is_open:
        return None
    now = timezone.now()
    with transaction.atomic():
        mine_open = Assignment.objects.filter(rater=rater, questionnaire=questionnaire, state="open")
        # A slot whose time ran out, whose track was taken out or filled by others is of no use any more.
        full = Consensus.objects.filter(questionnaire=questionnaire, n_ratings__gte=questionnaire.raters_per_track).values("track")
        useless = Q(expires_at__lte=now) | ~Q(track__state=Track.State.READY) | Q(track__in=full)
        Assignment.objects.filter(pk__in=list(mine_open.filter(useless).values_list("pk", flat=True))).update(state="expired")
        mine = mine_open.select_related("track").first()
        if mine:
            return mine
    for track_id in _candidates(questionnaire, rater, now):
        try:
            with transaction.atomic():
                row = Consensus.objects.select_for_update().get(questionnaire=questionnaire, track_id=track_id)
                if row.n_ratings + _live_leases(questionnaire, track_id, now).count() >= questionnaire.raters_per_track:
                    continue
                return Assignment.objects.create(
                    questionnaire=questionnaire, track_id=track_id, rater=rater, expires_at=now + LEASE
                )
        except IntegrityError:  # the same rater asked twice at once: the other request has reserved
            return Assignment.objects.filter(rater=rater, questionnaire=questionnaire, state="open").select_related("track").first()
    return None


def _live_leases(questionnaire: Questionnaire, track_id: int, now: datetime) -> QuerySet[Assignment]:
    return Assignment.objects.filter(questionnaire=questionnaire, track_id=track_id, state="open", expires_at__gt=now)


def _candidates(questionnaire: Questionnaire, rater: Rater, now: datetime) -> list[int]:
    """Tracks that still have a free slot and that this rater has not rated; fewest missing first."""
    rated = Rating.objects.filter(questionnaire=questionnaire, rater=rater, track_id=OuterRef("track_id"))
    rows = Consensus.objects.filter(
        ~Exists(rated), questionnaire=questionnaire, track__state=Track.State.READY, n_ratings__lt=questionnaire.raters_per_track
    ).values_list("track_id", "n_ratings")
    held = dict(
        Assignment.objects.filter(questionnaire=questionnaire, state="open", expires_at__gt=now)
        .values_list("track_id")
        .annotate(Count("id"))
    )
    free = [(track_id, n + held.get(track_id, 0)) for track_id, n in rows]
    free = [(track_id, n) for track_id, n in free if n < questionnaire.raters_per_track]
    free.sort(key=lambda pair: (-pair[1], crc32(f"{rater.pk}:{pair[0]}".encode())))
    return [track_id for track_id, _ in free[:20]]


def submit_rating(assignment: Assignment, *, word_key: str, valence: float | None = None, arousal: float | None = None) -> Rating:
    """Close a slot with a word; the consensus is settled in the same transaction.

    Raises UnknownWord for a word outside the questionnaire, AlreadyRated for a second rating, SlotGone when the lease ran
    out and others filled the track.
    """
    questionnaire = assignment.questionnaire
    words = {word.key: word for word in Word.objects.select_related("label").filter(label__dataset=questionnaire.dataset_id)}
    word = words.get(word_key)
    if word is None:
        raise UnknownWord(f"“{word_key[:50]}” is not a word of this questionnaire. Its words are: {', '.join(words)}.")
    with transaction.atomic():
        row = Consensus.objects.select_for_update().get(questionnaire=questionnaire, track=assignment.track_id)
        if Rating.objects.filter(questionnaire=questionnaire, track=assignment.track_id, rater=assignment.rater_id).exists():
            raise AlreadyRated("You have rated this track already; your first rating counts.")
        if not Questionnaire.objects.filter(pk=questionnaire.pk, is_open=True).exists():
            raise SlotGone("The questionnaire was closed while you listened. What you rated before is kept.")
        if not Track.objects.filter(pk=assignment.track_id, state=Track.State.READY).exists():
            raise SlotGone("This track was taken out while you listened. Thank you; here is another one.")
        if row.n_ratings >= questionnaire.raters_per_track:
            raise SlotGone(
                "This track has all its ratings by now: the slot was held for 30 minutes. Thank you; here is another track."
            )
        # An expired lease on a track that is not full yet is as good as a live one; a used one is not.
        if not Assignment.objects.filter(pk=assignment.pk).exclude(state="rated").update(state="rated"):
            raise AlreadyRated("This slot was used already; your first rating counts.")
        rating = Rating.objects.create(
            questionnaire=questionnaire, track_id=assignment.track_id, rater_id=assignment.rater_id, word=word, label=word.label,
            valence=valence, arousal=arousal, rated_at=timezone.now(),
        )  # fmt: skip
        update_consensus(row)
    return rating


def update_consensus(row: Consensus) -> None:
    """Settle a track from its ratings: the one place where a consensus is decided. Call it with the row locked."""
    questionnaire = row.questionnaire
    keys = Rating.objects.filter(questionnaire=questionnaire, track=row.track_id).values_list("label__key", flat=True)
    outcome = consensus.settle(keys, target=questionnaire.raters_per_track, threshold=questionnaire.threshold)
    before = row.state
    row.state, row.votes, row.agreement = outcome.state, outcome.votes, outcome.agreement
    row.n_ratings = outcome.n_ratings
    row.label = questionnaire.dataset.labels.get(key=outcome.label) if outcome.label else None
    row.save()
    if row.state != before:
        record(row, before=before, to=row.state, reason=consensus.in_words(outcome.votes))


@dataclass(frozen=True)
class ImportedRating:
    """A checked row of a table of ratings that were collected elsewhere (see `methods.imports`)."""

    track_id: int
    rater: str
    word: Word | None
    label: Label
    valence: float | None
    arousal: float | None
    rated_at: datetime | None


@transaction.atomic
def import_ratings(questionnaire: Questionnaire, rows: Sequence[ImportedRating]) -> int:
    """Store ratings that were collected elsewhere and settle their tracks.

    All or nothing; a rating that is here already raises AlreadyRated with its row.
    """
    raters = _imported_raters(questionnaire, {row.rater for row in rows})
    tracks = {row.track_id for row in rows}
    known = set(Rating.objects.filter(questionnaire=questionnaire, track__in=tracks).values_list("track_id", "rater_id"))
    for row in rows:
        if (row.track_id, raters[row.rater].pk) in known:
            raise AlreadyRated(f"Rater {row.rater} has rated track {row.track_id} already; nothing was imported.")
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
                rated_at=row.rated_at or timezone.now(),
            )
            for row in rows
        ],
        batch_size=1000,
    )
    for consensus_row in Consensus.objects.select_for_update().filter(questionnaire=questionnaire, track__in=tracks):
        update_consensus(consensus_row)
    record(questionnaire, to="ratings imported", reason=f"{len(rows)} ratings of {len(tracks)} tracks by {len(raters)} raters")
    return len(rows)


def _imported_raters(questionnaire: Questionnaire, names: Iterable[str]) -> dict[str, Rater]:
    """Imported raters, the same name in the same dataset being the same rater.

    A name may be a person's (an e-mail address, say), so that only a keyed digest of it is kept.
    """
    pseudonyms = {name: f"R-{salted_hmac('rater', f'{questionnaire.dataset_id}:{name}').hexdigest()[:16]}" for name in names}
    known = {rater.pseudonym: rater for rater in Rater.objects.filter(pseudonym__in=pseudonyms.values())}
    missing = [Rater(pseudonym=pseudonym) for pseudonym in pseudonyms.values() if pseudonym not in known]
    known |= {rater.pseudonym: rater for rater in Rater.objects.bulk_create(missing)}
    return {name: known[pseudonym] for name, pseudonym in pseudonyms.items()}


@transaction.atomic
def freeze(questionnaire: Questionnaire, *, name: str, seed: int, by: User | None = None) -> Release:
    """Freeze the settled tracks as a release; everything that is not in it is listed with its reason."""
    settled = Consensus.objects.filter(questionnaire=questionnaire, state="agreed", track__state=Track.State.READY)
    settled = settled.select_related("track", "label").order_by("track_id")
    items = [
        releases.Item(track=row.track, label=row.label.key, agreement=row.agreement or 0, votes=row.votes)
        for row in settled
        if row.label
    ]
    taken = {item.track.pk for item in items}
    votes = (
        Rating.objects.filter(questionnaire=questionnaire, track__in=taken)
        .select_related("rater", "word", "label")
        .order_by("track_id", "rater__pseudonym")
    )
    rows = [
        releases.VoteRow(
            rating.track_id, rating.rater.pseudonym, rating.word.key if rating.word else "", rating.label.key, rating.rated_at
        )
        for rating in votes
    ]
    summary = selectors.summarise(questionnaire)
    return releases.freeze_release(
        dataset=questionnaire.dataset, name=name, seed=seed, rule=questionnaire.rule, items=items, ratings=rows,
        left_out=_left_out(questionnaire, taken), funnel=summary.funnel, reliability=summary.as_dict(), by=by,
    )  # fmt: skip


def _left_out(questionnaire: Questionnaire, taken: set[int]) -> list[releases.LeftOut]:
    states = {row.track_id: row for row in Consensus.objects.filter(questionnaire=questionnaire)}
    rows = []
    for track in questionnaire.dataset.tracks.exclude(pk__in=taken):
        row = states.get(track.pk)
        if track.state != Track.State.READY:
            reason = f"{track.get_state_display()}: {track.reason}" if track.reason else track.get_state_display()
        elif row is None or row.state == Consensus.State.OPEN:
            reason = f"Too few ratings: {row.n_ratings if row else 0} of {questionnaire.raters_per_track}"
        else:
            reason = f"Ambiguous label: {consensus.in_words(row.votes)}"
        rows.append(releases.LeftOut(track.pk, track.title, reason))
    return rows


def _open_consensus(sender: object, track: Track, **kwargs: object) -> None:
    """A track that becomes ready can be rated."""
    Consensus.objects.get_or_create(questionnaire=questionnaire_of(track.dataset), track=track)


def connect() -> None:
    track_ready.connect(_open_consensus, dispatch_uid="annotate.open_consensus")
