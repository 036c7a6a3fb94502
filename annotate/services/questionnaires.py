"""Questionnaires and what opens with them."""

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from annotate.methods import consensus as rule
from annotate.models import Consensus, Questionnaire, place_in_queue
from annotate.services import consensus
from datasets.errors import ValueRefused, WrongState
from datasets.models import Dataset, Track
from datasets.services.audit import record
from datasets.signals import track_ready


def questionnaire_of(dataset: Dataset) -> Questionnaire:
    """The dataset's questionnaire; the paper's is made for a dataset that has none."""
    questionnaire, _ = Questionnaire.objects.get_or_create(dataset=dataset, defaults={"name": f"Emotion of {dataset}"})
    return questionnaire


def apply_rule(questionnaire: Questionnaire) -> None:
    """After an edit, before the first rating: every track's target and place follow the questionnaire."""
    rows = list(Consensus.objects.filter(questionnaire=questionnaire))
    for row in rows:
        row.target = questionnaire.raters_per_track
        row.position = place_in_queue(questionnaire.seed, row.track_id)
    Consensus.objects.bulk_update(rows, ["target", "position"], batch_size=500)


def change_threshold(questionnaire: Questionnaire, *, threshold: float, by: User | None = None) -> int:
    """Settle every fully rated track anew under another threshold; each that changes leaves an event. Returns how many did.

    Frozen releases stay as they are.
    """
    if not 0 <= threshold < 1:
        raise ValueRefused(_("The threshold %(threshold)s is not between 0%% and 100%%.") % {"threshold": threshold})
    old = questionnaire.threshold
    with transaction.atomic():
        if not Questionnaire.objects.filter(pk=questionnaire.pk, threshold=old).update(threshold=threshold):
            raise WrongState(_("Somebody changed the rule meanwhile. Reload the page to see it as it is."))
        record(questionnaire, to="rule changed", actor=by, reason=f"threshold {old:g} -> {threshold:g}")
        questionnaire.threshold = threshold
        n = _settle_anew(questionnaire)
    with transaction.atomic():  # tracks whose last rating was on its way with the old threshold
        return n + _settle_anew(questionnaire)


def _settle_anew(questionnaire: Questionnaire) -> int:
    full = Consensus.objects.filter(questionnaire=questionnaire, n_ratings__gte=F("target"))
    changed = 0
    for track, votes, target, state, label in full.order_by("track_id").values_list(
        "track_id", "votes", "target", "state", "label__key"
    ):
        labels = [key for key, n in votes.items() for _number in range(n)]
        outcome = rule.settle(labels, target=target, threshold=questionnaire.threshold)
        if (outcome.state, outcome.label) != (state, label):
            consensus.update_consensus(consensus.lock(questionnaire.pk, track))
            changed += 1
    return changed


MOST_RATINGS = 50


@transaction.atomic
def ask_for_more(track: Track, *, more: int = 2, by: User | None = None, reason: str = "") -> None:
    """Send a track back to the raters: it is open until so many more have rated it, and its label is settled anew by all of them."""
    if track.state != Track.State.READY:
        raise WrongState(
            _("“%(title)s” is %(state)s; only tracks that are ready can be rated.")
            % {"title": track.title, "state": track.get_state_display().lower()}
        )
    questionnaire = questionnaire_of(track.dataset)
    Consensus.objects.get_or_create(questionnaire=questionnaire, track=track, defaults={"target": questionnaire.raters_per_track})
    row = consensus.lock(questionnaire.pk, track.pk)
    target = max(row.target, row.n_ratings + more)
    if target > MOST_RATINGS:
        raise WrongState(
            _("“%(title)s” has %(n)d ratings; at most %(most)d can be asked for.")
            % {"title": track.title, "n": row.n_ratings, "most": MOST_RATINGS}
        )
    if row.n_ratings < row.target:
        raise WrongState(
            _("“%(title)s” is with the raters already: %(n)d of %(target)d ratings are in.")
            % {"title": track.title, "n": row.n_ratings, "target": row.target}
        )
    Consensus.objects.filter(pk=row.pk).update(target=target)
    row.target = target
    consensus.update_consensus(row)
    record(row, to="sent back", actor=by, reason=reason or f"{more} more ratings, {target} in all")


def _open_consensus(sender: object, track: Track, **kwargs: object) -> None:
    """A track that becomes ready can be rated."""
    questionnaire = questionnaire_of(track.dataset)
    place = {"target": questionnaire.raters_per_track, "position": place_in_queue(questionnaire.seed, track.pk)}
    Consensus.objects.get_or_create(questionnaire=questionnaire, track=track, defaults=place)


def connect() -> None:
    track_ready.connect(_open_consensus, dispatch_uid="annotate.open_consensus")
