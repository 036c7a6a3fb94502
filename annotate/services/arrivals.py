"""What comes with a release that another studio froze: the ratings behind it, and its curators' rulings."""

from collections.abc import Sequence

from django.contrib.auth.models import User
from django.db.models import Count

from annotate.models import Consensus, Questionnaire, Ruling, place_in_queue
from annotate.services.consensus import lock, update_consensus
from annotate.services.questionnaires import questionnaire_of
from annotate.services.ratings import ImportedRating, import_ratings, rated_already
from datasets.models import Release, Word
from datasets.signals import release_arrived


def _release_arrived(sender: object, release: Release, numbers: tuple[int, int], by: User | None, **kwargs: object) -> None:
    """The ratings behind another studio's release count here as they did there; a curator's rulings stand beside them."""
    ratings, items = release.ratings.filter(number__range=numbers), release.items.filter(number__range=numbers)
    questionnaire = questionnaire_of(release.dataset)
    _go_by_its_rule(questionnaire, release)
    labels = {label.key: label for label in release.dataset.labels.all()}
    words = {word.key: word for word in Word.objects.filter(label__dataset=release.dataset)}
    n_of = dict(ratings.values_list("track").annotate(n=Count("pk")))
    for item in items:
        n = n_of.get(item.track_id, 0)
        place = {"target": questionnaire.raters_per_track, "position": place_in_queue(questionnaire.seed, item.track_id)}
        row, _made = Consensus.objects.get_or_create(questionnaire=questionnaire, track_id=item.track_id, defaults=place)
        if n > max(row.target, row.asked, questionnaire.raters_per_track):  # it was sent back there, or was split
            Consensus.objects.filter(pk=row.pk).update(asked=n, target=n)
    rows = [
        ImportedRating(
            track_id=row.track_id, rater=row.pseudonym, word=words.get(row.word), label=labels[row.label], valence=row.valence,
            arousal=row.arousal, rated_at=row.rated_at, confidence=row.confidence, known=row.known, vocals=row.vocals,
            elsewhere=row.known is None,
        )
        for row in ratings
    ]  # fmt: skip
    import_ratings(questionnaire, _not_here(questionnaire, rows))
    for item in items.filter(is_ruled=True):
        row = lock(questionnaire.pk, item.track_id)
        if Ruling.objects.filter(questionnaire=questionnaire, track_id=item.track_id).exists():
            continue
        agreed_otherwise = row.state == Consensus.State.AGREED and row.label != labels[item.label]
        if row.state == Consensus.State.SPLIT or agreed_otherwise:
            reason = f"Ruled in the studio that froze {release.name}"
            Ruling.objects.create(
                questionnaire=questionnaire,
                track_id=item.track_id,
                label=labels[item.label],
                reason=reason,
                by=by,
                over=agreed_otherwise,
            )
            update_consensus(row)


def _go_by_its_rule(questionnaire: Questionnaire, release: Release) -> None:
    """A dataset that came with the release is settled by the rule that it was settled by there; one that was here before keeps its own."""
    came_with_it = not questionnaire.ratings.exists() and release.dataset.releases.count() == 1
    if came_with_it and release.rule_values:
        Questionnaire.objects.filter(pk=questionnaire.pk).update(**release.rule_values)
        questionnaire.refresh_from_db()


def _not_here(questionnaire: Questionnaire, rows: Sequence[ImportedRating]) -> list[ImportedRating]:
    """Without those that came with an earlier release."""
    here = rated_already(questionnaire, {(row.track_id, row.rater) for row in rows})
    return [row for row in rows if (row.track_id, row.rater) not in here]


def connect() -> None:
    release_arrived.connect(_release_arrived, dispatch_uid="annotate.release_arrived")
