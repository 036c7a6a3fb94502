"""Reading questions asked of ratings."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

import numpy as np
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection
from django.db.models import Count, Max, Min, Q, QuerySet, Sum
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from numpy.typing import NDArray

from annotate.methods import agreement, quality, reliability
from annotate.models import Assignment, Consensus, Gold, Kind, Participation, Question, Questionnaire, Rater, Rating, Ruling
from datasets.methods.schemes import LabelSpec, Scheme, WordSpec
from datasets.models import Track, Word
from datasets.rows import as_moment, as_uuid, loaded
from datasets.selectors import is_guest

BOOTSTRAP_SEED = 1
FLAGS = {
    "too fast": _("too fast"),
    "straight-lining": _("always the same"),
    "misses gold": _("misses gold tracks"),
    "inconsistent": _("contradicts itself"),
}


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

    @property
    def n_kept(self) -> int:
        """Tracks that a release would hold."""
        return int(str(self.funnel[-1]["n"]))

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def summarise(questionnaire: Questionnaire) -> Summary:
    labels = [label.key for label in questionnaire.dataset.labels.all()]
    golds = Gold.objects.filter(questionnaire=questionnaire).values("track")
    rateable = Consensus.objects.filter(questionnaire=questionnaire, track__state=Track.State.READY).exclude(track__in=golds)
    rows = list(rateable.values_list("state", "votes", "label__key"))
    full = [row for row in rows if row[0] != Consensus.State.OPEN]
    agreed = [row for row in rows if row[0] == Consensus.State.AGREED]
    ruled = [row for row in rows if row[0] == Consensus.State.RULED]
    counts = count_table([votes for _, votes, _ in full], labels)
    alpha = reliability.krippendorff_alpha(counts) if full else math.nan
    low, high = reliability.alpha_interval(counts, seed=BOOTSTRAP_SEED) if full else (math.nan, math.nan)
    mine = Rating.objects.filter(questionnaire=questionnaire, kind=Kind.REGULAR)
    raters = mine.filter(not_counted="").aggregate(n=Count("id"), raters=Count("rater", distinct=True))
    funnel: list[dict[str, object]] = [
        {"name": gettext("tracks brought in"), "n": questionnaire.dataset.tracks.count()},
        {"name": gettext("converted and rateable"), "n": len(rows)},
        {"name": _rated_enough(questionnaire), "n": len(full)},
        {"name": gettext("agreement above %(threshold)s") % {"threshold": f"{questionnaire.threshold:.0%}"}, "n": len(agreed)},
    ]
    if ruled:
        funnel.append({"name": gettext("with those ruled on by a curator"), "n": len(agreed) + len(ruled)})
    return Summary(
        funnel=funnel,
        n_ratings=raters["n"],
        n_raters=raters["raters"],
        per_label={key: sum(1 for row in agreed + ruled if row[2] == key) for key in labels},
        n_split=len(full) - len(agreed) - len(ruled),
        n_open=len(rows) - len(full),
        alpha=number_or_none(alpha),
        alpha_low=number_or_none(low),
        alpha_high=number_or_none(high),
        acceptance=len(agreed) / len(full) if full else None,
        chance_acceptance=agreement.chance_acceptance_of(
            counts,
            questionnaire.stages,
            questionnaire.threshold,
            fewest=questionnaire.fewest,
            unanimous_at=questionnaire.unanimous_at,
        ),
        histogram=bars_of(counts, questionnaire.raters_per_track, questionnaire.threshold),
        rule=questionnaire.rule,
    )


def _rated_enough(questionnaire: Questionnaire) -> str:
    n = questionnaire.raters_per_track
    if questionnaire.unanimous_at or questionnaire.ask_more_when_split or questionnaire.fewest < n:
        return gettext("with the ratings that the rule asks for")
    return gettext("with all %(n)d ratings") % {"n": n}


def number_or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def count_table(votes: list[dict[str, int]], labels: list[str]) -> NDArray[np.int64]:
    return np.array([[row.get(label, 0) for label in labels] for row in votes], dtype=np.int64).reshape(-1, len(labels))


def bars_of(counts: NDArray[np.int64], n: int, threshold: float) -> list[dict[str, object]]:
    """Tracks per value of agreement: those that can occur with `n` raters, and any other that did. A tie is never accepted.

    counts : votes of each track for each label [shape=(n_tracks, n_labels)].
    """
    lowest = math.ceil(n / max(1, counts.shape[1]))
    values = [round(float(value), 4) for value in (agreement.agreement(counts) if len(counts) else [])]
    is_tie = [sorted(votes)[-2:] == [max(votes)] * 2 for votes in counts.tolist()]
    found, tied = Counter(values), Counter(value for value, tie in zip(values, is_tie, strict=True) if tie)
    shares = sorted({round(count / n, 4) for count in range(lowest, n + 1)} | set(found))
    top = max(found.values(), default=1)
    return [
        {
            "agreement": share,
            "n": found[share],
            "accepted": share > threshold and (not found[share] or tied[share] < found[share]),
            "height": round(100 * found[share] / top),
        }
        for share in shares
    ]


@dataclass(frozen=True)
class Progress:
    """The rater's own ratings, and how many there will be at most. Neither depends on what others rated."""

    done: int
    total: int


def progress_of(questionnaire: Questionnaire, rater: Rater) -> Progress:
    return progress(questionnaire, Rating.objects.filter(questionnaire=questionnaire, rater=rater).count())


def progress(questionnaire: Questionnaire, done: int, *, one_more: bool = False) -> Progress:
    n = n_tracks(questionnaire)
    total = min(questionnaire.tracks_per_rater or n, n)
    return Progress(done, max(total, done + one_more))


def n_tracks(questionnaire: Questionnaire) -> int:
    """Tracks that can be rated; counted at most once a minute, because it is shown with every track."""
    key = f"annotate.n_tracks.{questionnaire.pk}"
    n = cache.get(key)
    if n is None:
        golds = Gold.objects.filter(questionnaire=questionnaire).values("track")
        rows = Consensus.objects.filter(questionnaire=questionnaire, track__state=Track.State.READY).exclude(track__in=golds)
        n = rows.count()
        cache.set(key, n, 60)
    return int(n)


def words_of(questionnaire: Questionnaire) -> list[Word]:
    return list(Word.objects.filter(label__dataset=questionnaire.dataset_id).select_related("label"))


@dataclass(frozen=True)
class Asked:
    """What raters of a questionnaire choose from and are asked beside it."""

    words: list[Word]
    questions: list[Question]


def asked_by(questionnaire: Questionnaire) -> Asked:
    """The words and questions; kept in memory until the questionnaire is edited, because every rating needs them."""
    return _asked(questionnaire.pk, questionnaire.edited_at, _minute())


@lru_cache(maxsize=100)
def _asked(pk: int, edited_at: object, minute: int) -> Asked:
    questionnaire = Questionnaire.objects.get(pk=pk)
    return Asked(words_of(questionnaire), list(Question.objects.filter(questionnaire=questionnaire)))


def _minute() -> int:
    """What is kept in memory is read anew every minute, whatever happened meanwhile."""
    return int(time.time() // 60)


def as_edited(pk: int, edited_at: object) -> Questionnaire:
    """A questionnaire as it is since its last edit; kept in memory, because every request of a rater needs it. Never change it."""
    return _edited(pk, edited_at, _minute())


@lru_cache(maxsize=100)
def _edited(pk: int, edited_at: object, minute: int) -> Questionnaire:
    return Questionnaire.objects.select_related("dataset").get(pk=pk)


# The next two run for every request of a rater. As SQL, because putting them together took the ORM longer than they run.
WAY = """
SELECT p.id, p.steps, r.id, r.pseudonym, r.set_aside_from, q.edited_at,
    (SELECT COUNT(*) FROM annotate_rating mine WHERE mine.rater_id = r.id AND mine.questionnaire_id = p.questionnaire_id)
FROM annotate_participation p
JOIN annotate_rater r ON r.id = p.rater_id
JOIN annotate_questionnaire q ON q.id = p.questionnaire_id
WHERE p.questionnaire_id = %s AND r.user_id = %s
"""


def way_of(user: User, questionnaire_id: int) -> tuple[Participation, int] | None:
    """The user's way through a questionnaire, with rater and questionnaire, and the number of ratings so far."""
    with connection.cursor() as cursor:
        cursor.execute(WAY, [questionnaire_id, user.pk])
        row = cursor.fetchone()
    if row is None:
        return None
    pk, steps, rater_id, pseudonym, set_aside_from, edited_at, n_rated = row
    here = loaded(Participation, id=pk, questionnaire_id=questionnaire_id, rater_id=rater_id, steps=json.loads(steps))
    here.rater = loaded(Rater, id=rater_id, user_id=user.pk, pseudonym=pseudonym, set_aside_from=as_moment(set_aside_from))
    here.questionnaire = as_edited(questionnaire_id, edited_at)
    return here, n_rated


SLOTS = """
SELECT a.id, a.key, a.questionnaire_id, a.rater_id, a.kind, a.state, a.created_at, a.expires_at, a.shown_at, a.draft, a.undone_key,
    t.id, t.state, t.title, t.artist, t.duration_s, q.edited_at
FROM annotate_assignment a
JOIN datasets_track t ON t.id = a.track_id
JOIN annotate_questionnaire q ON q.id = a.questionnaire_id
"""
ONE_OF_USER = "JOIN annotate_rater r ON r.id = a.rater_id WHERE a.key = %s AND r.user_id = %s"
HELD_BY_RATER = "WHERE a.questionnaire_id = %s AND a.rater_id = %s AND a.state IN ('open', 'ahead')"


def _slots(which: str, *values: Any) -> list[Assignment]:
    with connection.cursor() as cursor:
        cursor.execute(SLOTS + which, values)
        return [_slot(*row) for row in cursor.fetchall()]


def _slot(
    pk: int, key: str | UUID, questionnaire_id: int, rater_id: int, kind: str, state: str, created_at: Any, expires_at: Any,
    shown_at: Any, draft: str, undone_key: str | UUID | None, track_id: int, track_state: str, title: str, artist: str,
    duration_s: float | None, edited_at: Any,
) -> Assignment:  # fmt: skip
    slot = loaded(
        Assignment, id=pk, key=as_uuid(key), questionnaire_id=questionnaire_id, track_id=track_id, rater_id=rater_id, kind=kind,
        state=state, created_at=as_moment(created_at), expires_at=as_moment(expires_at), shown_at=as_moment(shown_at),
        draft=json.loads(draft), undone_key=as_uuid(undone_key),
    )  # fmt: skip
    slot.track = loaded(Track, id=track_id, state=track_state, title=title, artist=artist, duration_s=duration_s)
    slot.questionnaire = as_edited(questionnaire_id, edited_at)
    return slot


def slot_of(user: User, key: UUID) -> Assignment | None:
    """A slot of the user's own, with questionnaire and track."""
    return next(iter(_slots(ONE_OF_USER, key if connection.features.has_native_uuid_field else key.hex, user.pk)), None)


def slots_held(questionnaire: Questionnaire, rater: Rater) -> list[Assignment]:
    """The rater's open slot and the one reserved ahead, as far as there are such."""
    return sorted(_slots(HELD_BY_RATER, questionnaire.pk, rater.pk), key=lambda slot: slot.state != Assignment.State.OPEN)


def golds_of(questionnaire: Questionnaire, use: str) -> list[Gold]:
    rows = Gold.objects.filter(questionnaire=questionnaire, use=use, track__state=Track.State.READY)
    return list(rows.select_related("track", "word__label"))


def questionnaires_for(user: User) -> QuerySet[Questionnaire]:
    """The open questionnaires that the user may rate: all of them, or those that an invited rater is invited to."""
    rows = Questionnaire.objects.filter(is_open=True).select_related("dataset")
    if is_guest(user):
        return rows.none()
    invited = Rater.objects.filter(user=user, by_invite=True).exists()
    return rows.filter(participations__rater__user=user) if invited else rows


def work_of(questionnaire: Questionnaire, rater: Rater) -> dict[str, Any]:
    """The rater's own work: number of tracks, minutes heard, first and last day."""
    mine = Rating.objects.filter(questionnaire=questionnaire, rater=rater)
    done = mine.aggregate(n=Count("pk"), heard_s=Sum("heard_s"), first=Min("rated_at"), last=Max("rated_at"))
    return done | {"minutes": (done["heard_s"] or 0) / 60}


def raters_of(questionnaire: Questionnaire) -> QuerySet[Rater]:
    """Everybody who takes part or has rated, most ratings first."""
    theirs = Q(participations__questionnaire=questionnaire) | Q(ratings__questionnaire=questionnaire)
    n = Count("ratings", filter=Q(ratings__questionnaire=questionnaire), distinct=True)
    return Rater.objects.filter(theirs).annotate(n=n).order_by("-n", "pk").select_related("user").distinct()


RATING_COLUMNS = [
    "track_id", "external_id", "rater", "kind", "not_counted", "word", "label", "valence", "arousal", "confidence", "known", "vocals",
    "heard_s", "heard_share", "replays", "hidden_s", "elapsed_s", "rated_at",
]  # fmt: skip


def rating_table(questionnaire: Questionnaire) -> tuple[list[str], Iterator[dict[str, object]]]:
    """Every rating with its evidence and the answers to the admin's questions; raters under their pseudonyms."""
    asked = list(Question.objects.filter(questionnaire=questionnaire).values_list("key", flat=True))
    answered = Rating.objects.filter(questionnaire=questionnaire).exclude(answers={}).values_list("answers", flat=True)
    keys = [*asked, *sorted({key for answers in answered.iterator() for key in answers} - set(asked))]  # also of deleted questions
    names = {"external_id": "track__external_id", "rater": "rater__pseudonym", "word": "word__key", "label": "label__key"}
    fields = [names.get(column, column) for column in RATING_COLUMNS]
    rows = Rating.objects.filter(questionnaire=questionnaire).order_by("track_id", "rater__pseudonym", "kind")
    table = rows.values_list(*fields, "answers").iterator(chunk_size=2000)
    lines = (
        dict(zip(RATING_COLUMNS, values, strict=True)) | {f"answer_{key}": answers.get(key, "") for key in keys}
        for *values, answers in table
    )
    return [*RATING_COLUMNS, *(f"answer_{key}" for key in keys)], lines


def recent_ratings(questionnaire: Questionnaire, rater: Rater) -> list[Rating]:
    mine = Rating.objects.filter(questionnaire=questionnaire, rater=rater).select_related("track", "word", "label")
    return list(mine.order_by("-rated_at")[:100])


def reports_of(questionnaire: Questionnaire) -> QuerySet[Assignment]:
    """Open reports that a track cannot be rated, newest first."""
    rows = Assignment.objects.filter(questionnaire=questionnaire, state=Assignment.State.DECLINED, seen_at=None)
    return rows.select_related("track", "rater").order_by("-pk")


def ratings_of(track: Track) -> list[Rating]:
    return list(Rating.objects.filter(track=track).select_related("word", "label", "rater").order_by("rated_at"))


def reports_on(track: Track) -> list[Assignment]:
    return list(Assignment.objects.filter(track=track, state=Assignment.State.DECLINED).select_related("rater").order_by("-pk"))


def scheme_of(questionnaire: Questionnaire) -> Scheme:
    """The labels and words of a questionnaire as plain values."""
    return tuple(
        LabelSpec(
            label.name, label.translations.get("id", ""), label.colour,
            tuple(WordSpec(word.name, word.translations.get("id", ""), word.valence, word.arousal) for word in label.words.all()),
        )
        for label in questionnaire.dataset.labels.prefetch_related("words")
    )  # fmt: skip


def split_tracks(questionnaire: Questionnaire) -> QuerySet[Consensus]:
    """Tracks on which the raters do not agree and nobody has ruled, the most disputed first."""
    rows = Consensus.objects.filter(questionnaire=questionnaire, state=Consensus.State.SPLIT, track__state=Track.State.READY)
    return rows.select_related("track", "label").order_by("agreement", "track_id")


def next_split(questionnaire: Questionnaire, track: int | None) -> tuple[Consensus | None, int | None]:
    """The asked or first track of the queue, also one that was ruled on; and the number of the track after it."""
    waiting = list(split_tracks(questionnaire).values_list("track_id", flat=True)[:1000])
    if track is None:
        track = waiting[0] if waiting else None
    states = [Consensus.State.SPLIT, Consensus.State.RULED]
    row = Consensus.objects.select_related("track__dataset", "label").filter(
        questionnaire=questionnaire, track=track, state__in=states
    )
    place = waiting.index(track) + 1 if track in waiting else 0
    others = [number for number in waiting[place:] + waiting[:place] if number != track]
    return row.first(), others[0] if others else None


def rulings_of(questionnaire: Questionnaire) -> QuerySet[Ruling]:
    return questionnaire.rulings.select_related("track", "label", "by")


def consensus_of(track: Track) -> Consensus | None:
    return Consensus.objects.filter(track=track).select_related("label", "questionnaire").first()


@dataclass(frozen=True)
class Quality:
    """What an admin sees of one rater; see `methods.quality`."""

    rater: Rater
    n: int
    not_counted: dict[str, int]
    pace: quality.Pace
    minutes: float
    agreement: float | None
    agreement_n: int
    consistency: float | None
    consistency_n: int
    gold: float | None
    gold_n: int
    longest_run: int
    flags: list[str]
    labels: list[str]
    confusion: list[list[int]]

    @property
    def flag_names(self) -> list[str]:
        return [str(FLAGS[flag]) for flag in self.flags]

    @property
    def confusion_n(self) -> int:
        return sum(map(sum, self.confusion))

    @property
    def confusion_rows(self) -> list[tuple[str, list[int]]]:
        return list(zip(self.labels, self.confusion, strict=True))


def quality_of(questionnaire: Questionnaire, raters: Sequence[Rater]) -> list[Quality]:
    """The signs of quality of these raters (a page of them), from four queries."""
    rows = Rating.objects.filter(questionnaire=questionnaire, rater__in=raters).order_by("rated_at", "pk")
    table = list(
        rows.values_list(
            "rater_id", "track_id", "kind", "not_counted", "word__key", "label__key", "elapsed_s", "heard_s", "track__duration_s"
        )
    )
    tracks = {row[1] for row in table}
    votes = dict(Consensus.objects.filter(questionnaire=questionnaire, track__in=tracks).values_list("track_id", "votes"))
    golds = dict(Gold.objects.filter(questionnaire=questionnaire).values_list("track_id", "word__label__key"))
    labels = [label.key for label in questionnaire.dataset.labels.all()]
    return [
        _quality(questionnaire, rater, [row[1:] for row in table if row[0] == rater.pk], votes, golds, labels) for rater in raters
    ]


def _quality(
    questionnaire: Questionnaire, rater: Rater, rows: list[tuple[Any, ...]], votes: dict[int, dict[str, int]], golds: dict[int, str],
    labels: list[str],
) -> Quality:  # fmt: skip
    regular = [row for row in rows if row[1] == Kind.REGULAR]
    first = {track: label for track, _kind, _reason, _word, label, *_rest in regular}
    counted = [(label, votes[track]) for track, _kind, reason, _word, label, *_rest in regular if not reason and track in votes]
    timed = [row for row in rows if row[5] is not None]
    pace = quality.pace([row[5] for row in timed], [questionnaire.minimum_for(row[7] or 0) for row in timed])
    words = [row[3] or row[4] for row in rows]
    agreement, agreement_n = quality.agreement_with_others(counted)
    repeats = [(first[row[0]], row[4]) for row in rows if row[1] == Kind.REPEAT and row[0] in first]
    consistency, consistency_n = quality.share_same(repeats)
    gold, gold_n = quality.share_same([(golds[row[0]], row[4]) for row in rows if row[1] == Kind.GOLD and row[0] in golds])
    flags = [
        name
        for name, raised in (
            ("too fast", quality.is_too_fast(pace.fast_share, pace.n)),
            ("straight-lining", quality.is_straight_lining(words)),
            ("misses gold", gold is not None and gold_n >= 3 and gold < 0.5),
            ("inconsistent", consistency is not None and consistency_n >= 3 and consistency < 0.5),
        )
        if raised
    ]
    return Quality(
        rater=rater, n=len(rows), not_counted=dict(Counter(str(Rating.NotCounted(row[2]).label) for row in rows if row[2])), pace=pace,
        minutes=sum(row[6] or 0 for row in rows) / 60, agreement=agreement, agreement_n=agreement_n, consistency=consistency,
        consistency_n=consistency_n, gold=gold, gold_n=gold_n, longest_run=quality.longest_run(words), flags=flags, labels=labels,
        confusion=quality.confusion(counted, labels),
    )  # fmt: skip
