"""Questionnaires and what opens with them."""

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from annotate.models import Consensus, Questionnaire, place_in_queue
from annotate.services import consensus
from datasets.errors import WrongState
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


MOST_RATINGS = 50


@transaction.atomic
def ask_for_more(track: Track, *, more: int = 2, by: User | None = None, reason: str = "") -> None:
    """Send a track back to the raters: it is open until so many more have rated it, and its label is settled anew by all of them."""
    if track.state != Track.State.READY:
        raise WrongState(
            _("“%(title)s” is %(state)s; only tracks that are ready can be rated.")
            % {"title": track.title, "state": track.get_state_display().lower()}
        )
    row = consensus.lock(questionnaire_of(track.dataset).pk, track.pk)
    target = max(row.target, row.n_ratings + more)
    if row.n_ratings < row.target or target > MOST_RATINGS:
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
