"""Freezing what the raters agree on."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext
from django.utils.translation import gettext as _

from annotate import selectors
from annotate.methods import consensus
from annotate.models import Consensus, Gold, Kind, Questionnaire, Rating
from datasets.errors import WrongState
from datasets.methods.licences import may_be_passed_on
from datasets.models import Release, Track
from datasets.services import releases
from datasets.signals import release_preparing

RULE = ("raters_per_track", "fewest_raters", "threshold", "ask_more_when_split", "unanimous_at")


@dataclass(frozen=True)
class Prepared:
    """What a release would hold if it were frozen now."""

    items: list[releases.Item]
    left_out: list[releases.LeftOut]
    summary: selectors.Summary
    rule_values: dict[str, object]
    funnel: list[dict[str, object]]  # the questionnaire's steps, and what the exclusions leave of the agreed tracks

    @property
    def mark(self) -> str:
        """What was looked at: the rule, the tracks and their labels."""
        seen = [self.rule_values, [[item.track.pk, item.label] for item in self.items]]
        return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:32]


def prepare(questionnaire: Questionnaire, *, without_incomplete: bool = False, without_unlicensed: bool = False) -> Prepared:
    """`without_incomplete` leaves out tracks whose spectrogram could not be made, as the paper did (536 -> 361)."""
    golds = Gold.objects.filter(questionnaire=questionnaire).values("track")
    states = [Consensus.State.AGREED, Consensus.State.RULED]
    settled = Consensus.objects.filter(questionnaire=questionnaire, state__in=states, track__state=Track.State.READY)
    settled = settled.exclude(track__in=golds).select_related("track__dataset", "label").order_by("track_id")
    items = [
        releases.Item(row.track, row.label.key, row.agreement or 0, row.votes, is_ruled=row.state == Consensus.State.RULED)
        for row in settled
        if row.label
    ]
    unlicensed = {item.track.pk for item in items if without_unlicensed and not may_be_passed_on(item.track.licence)}
    items = [item for item in items if item.track.pk not in unlicensed]
    cleaned = [(gettext("with a licence to pass on"), len(items))] if unlicensed else []
    incomplete: dict[int, str] = {}
    if without_incomplete:
        sent: Any = release_preparing.send(Release, tracks=[item.track.pk for item in items], draw=False)
        for _receiver, reasons in sent:
            incomplete.update(reasons)
        items = [item for item in items if item.track.pk not in incomplete]
        cleaned.append((gettext("complete spectrograms"), len(items)))
    why = dict.fromkeys(unlicensed, "Without a licence that lets it be passed on") | {
        pk: f"Spectrogram incomplete: {text}" for pk, text in incomplete.items()
    }
    summary = selectors.summarise(questionnaire)
    funnel = [*summary.funnel, *({"name": name, "n": n} for name, n in cleaned)]
    return Prepared(
        items,
        _left_out(questionnaire, {item.track.pk for item in items}, why),
        summary,
        {name: getattr(questionnaire, name) for name in RULE},
        funnel,
    )


def draw_missing(questionnaire: Questionnaire) -> None:
    """What workers would have drawn: for a freeze that leaves out incomplete spectrograms, where no worker runs."""
    tracks = questionnaire.dataset.tracks.filter(state=Track.State.READY)
    release_preparing.send(Release, tracks=list(tracks.values_list("pk", flat=True)), draw=True)


@transaction.atomic
def freeze(
    questionnaire: Questionnaire, *, name: str, seed: int, description: str = "", licence: str = "", authors: Sequence[str] = (),
    parts: Mapping[int, str] | None = None, without_incomplete: bool = False, without_unlicensed: bool = False, mark: str = "",
    sizes: Mapping[str, int] | None = None, n_folds: int | None = None, by: User | None = None,
) -> Release:  # fmt: skip
    """Freeze the settled tracks as a release; everything that is not in it is listed with its reason.

    Always in English, whoever freezes: the same release has the same text and hash. `mark` is that of what somebody looked at: WrongState
    where it would not be that any more.
    """
    imprint = releases.Imprint(name, description, licence, tuple(authors))
    # Nothing moves while it is frozen: whatever changes a rating locks its track's row.
    list(Consensus.objects.select_for_update().filter(questionnaire=questionnaire).order_by("track_id").values_list("pk"))
    with translation.override("en"):
        prepared, rule = (
            prepare(questionnaire, without_incomplete=without_incomplete, without_unlicensed=without_unlicensed),
            questionnaire.rule,
        )
    if mark and mark != prepared.mark:
        raise WrongState(_("Ratings or the rule have changed since you looked. Look at what it would hold now, and freeze again."))
    votes = Rating.objects.filter(
        questionnaire=questionnaire, track__in=[item.track.pk for item in prepared.items], kind=Kind.REGULAR, not_counted=""
    )
    rated = votes.select_related("rater", "word", "label").order_by("track_id", "rater__pseudonym")
    reliability = prepared.summary.as_dict() | {"n_elsewhere": votes.filter(elsewhere=True).count()}
    return releases.freeze_release(
        dataset=questionnaire.dataset, imprint=imprint, seed=seed, rule=rule, rule_values=prepared.rule_values, items=prepared.items,
        ratings=[_as_vote(rating) for rating in rated], left_out=prepared.left_out, funnel=prepared.funnel,
        reliability=reliability, parts=parts, sizes=sizes, n_folds=n_folds, by=by,
    )  # fmt: skip


def _as_vote(rating: Rating) -> releases.VoteRow:
    return releases.VoteRow(
        track_id=rating.track_id, pseudonym=rating.rater.pseudonym, word=rating.word.key if rating.word else "",
        label=rating.label.key, valence=rating.valence, arousal=rating.arousal, confidence=rating.confidence,
        known=rating.known, vocals=rating.vocals, rated_at=rating.rated_at,
    )  # fmt: skip


def _left_out(questionnaire: Questionnaire, taken: set[int], excluded: Mapping[int, str]) -> list[releases.LeftOut]:
    states = {row.track_id: row for row in Consensus.objects.filter(questionnaire=questionnaire)}
    golds = set(Gold.objects.filter(questionnaire=questionnaire).values_list("track_id", flat=True))
    rows = []
    for track in questionnaire.dataset.tracks.exclude(pk__in=taken):
        row = states.get(track.pk)
        if track.state != Track.State.READY:
            reason = f"{track.get_state_display()}: {track.reason}" if track.reason else track.get_state_display()
        elif track.pk in golds:
            reason = "Gold track: its emotion was given, not agreed on"
        elif track.pk in excluded:
            reason = excluded[track.pk]
        elif row is None or row.state == Consensus.State.OPEN:
            reason = f"Too few ratings: {row.n_ratings if row else 0} of {row.target if row else questionnaire.raters_per_track}"
        else:
            reason = f"Ambiguous label: {consensus.in_words(row.votes)}"
        rows.append(releases.LeftOut(track.pk, track.title, reason))
    return rows
