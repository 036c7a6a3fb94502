"""Questionnaires and what opens with them."""

from annotate.models import Consensus, Questionnaire, place_in_queue
from datasets.models import Dataset, Track
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


def _open_consensus(sender: object, track: Track, **kwargs: object) -> None:
    """A track that becomes ready can be rated."""
    questionnaire = questionnaire_of(track.dataset)
    place = {"target": questionnaire.raters_per_track, "position": place_in_queue(questionnaire.seed, track.pk)}
    Consensus.objects.get_or_create(questionnaire=questionnaire, track=track, defaults=place)


def connect() -> None:
    track_ready.connect(_open_consensus, dispatch_uid="annotate.open_consensus")
