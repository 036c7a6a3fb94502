"""Freezing what the raters agree on."""

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import translation

from annotate import selectors
from annotate.methods import consensus
from annotate.models import Consensus, Gold, Kind, Questionnaire, Rating
from datasets.models import Release, Track
from datasets.services import releases


@transaction.atomic
def freeze(questionnaire: Questionnaire, *, name: str, seed: int, by: User | None = None) -> Release:
    """Freeze the settled tracks as a release; everything that is not in it is listed with its reason.

    Always in English, whoever freezes: the same release has the same text and hash.
    """
    with translation.override("en"):
        return _freeze(questionnaire, name=name, seed=seed, by=by)


def _freeze(questionnaire: Questionnaire, *, name: str, seed: int, by: User | None) -> Release:
    # Nothing moves while it is frozen: whatever changes a rating locks its track's row.
    list(Consensus.objects.select_for_update().filter(questionnaire=questionnaire).order_by("track_id").values_list("pk"))
    golds = Gold.objects.filter(questionnaire=questionnaire).values("track")
    settled = Consensus.objects.filter(questionnaire=questionnaire, state="agreed", track__state=Track.State.READY)
    settled = settled.exclude(track__in=golds)
    settled = settled.select_related("track", "label").order_by("track_id")
    items = [
        releases.Item(track=row.track, label=row.label.key, agreement=row.agreement or 0, votes=row.votes)
        for row in settled
        if row.label
    ]
    taken = {item.track.pk for item in items}
    votes = (
        Rating.objects.filter(questionnaire=questionnaire, track__in=taken, kind=Kind.REGULAR, not_counted="")
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
    golds = set(Gold.objects.filter(questionnaire=questionnaire).values_list("track_id", flat=True))
    rows = []
    for track in questionnaire.dataset.tracks.exclude(pk__in=taken):
        row = states.get(track.pk)
        if track.state != Track.State.READY:
            reason = f"{track.get_state_display()}: {track.reason}" if track.reason else track.get_state_display()
        elif track.pk in golds:
            reason = "Gold track: its emotion was given, not agreed on"
        elif row is None or row.state == Consensus.State.OPEN:
            reason = f"Too few ratings: {row.n_ratings if row else 0} of {row.target if row else questionnaire.raters_per_track}"
        else:
            reason = f"Ambiguous label: {consensus.in_words(row.votes)}"
        rows.append(releases.LeftOut(track.pk, track.title, reason))
    return rows
