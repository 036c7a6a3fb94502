"""Questionnaires and what opens with them."""

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import ProtectedError, Q
from django.utils.translation import gettext as _

from annotate.methods import doubt
from annotate.models import Consensus, Gold, Questionnaire, Rating, Ruling, place_by_doubt, place_in_queue
from annotate.services import consensus
from datasets.errors import ValueRefused, WrongState
from datasets.methods.schemes import Scheme
from datasets.models import Dataset, Label, Release, Signal, Track
from datasets.services.audit import record
from datasets.services.labels import set_labels
from datasets.services.signals import saw_the_test
from datasets.signals import signals_written, track_ready


def questionnaire_of(dataset: Dataset) -> Questionnaire:
    """The dataset's questionnaire; the paper's is made for a dataset that has none."""
    questionnaire, _ = Questionnaire.objects.get_or_create(dataset=dataset, defaults={"name": f"Emotion of {dataset}"})
    return questionnaire


def labels_in_use(questionnaire: Questionnaire) -> bool:
    """Whether ratings, gold tracks, rulings or releases stand on the labels."""
    dataset = questionnaire.dataset
    mine = [
        Rating.objects.filter(questionnaire=questionnaire), Gold.objects.filter(questionnaire=questionnaire),
        Ruling.objects.filter(questionnaire=questionnaire), dataset.releases.all(),
    ]  # fmt: skip
    return any(rows.exists() for rows in mine)


@transaction.atomic
def change_labels(questionnaire: Questionnaire, scheme: Scheme, *, by: User | None = None) -> None:
    """Other labels and words, until the first rating."""
    # Every rating locks its track's row: none comes in while this looks and writes.
    list(Consensus.objects.select_for_update().filter(questionnaire=questionnaire).order_by("track_id").values_list("pk"))
    if labels_in_use(questionnaire):
        raise WrongState(_("There are ratings, gold tracks or releases that stand on these labels: they stay."))
    try:
        set_labels(questionnaire.dataset, scheme, by=by)
    except ProtectedError:
        raise WrongState(_("There are ratings, gold tracks or releases that stand on these labels: they stay.")) from None
    Questionnaire.objects.filter(pk=questionnaire.pk).update(name=questionnaire.name)  # what is kept in memory of it is old now


def apply_rule(questionnaire: Questionnaire) -> None:
    """After an edit, before the first rating: every track's target and place follow the questionnaire."""
    rows = list(Consensus.objects.filter(questionnaire=questionnaire))
    for row in rows:
        row.target = questionnaire.raters_per_track
    Consensus.objects.bulk_update(rows, ["target"], batch_size=500)
    reorder(questionnaire)


def reorder(questionnaire: Questionnaire) -> None:
    """Put the queue in the order that the questionnaire asks for."""
    rows = list(Consensus.objects.filter(questionnaire=questionnaire))
    unsure: dict[int, float] = {}
    if questionnaire.queue_order == Questionnaire.QueueOrder.UNCERTAIN:
        signals = Signal.objects.filter(track__dataset=questionnaire.dataset_id, part="")
        unsure = {row.track_id: doubt.entropy(row.probabilities) for row in signals}  # the promoted run's
    elif questionnaire.queue_order == Questionnaire.QueueOrder.DISPUTED:
        unsure = {row.track_id: doubt.entropy(row.votes) for row in rows if row.n_ratings}
    for row in rows:
        known = unsure.get(row.track_id)
        row.position = place_in_queue(questionnaire.seed, row.track_id) if known is None else place_by_doubt(known)
    Consensus.objects.bulk_update(rows, ["position"], batch_size=500)


@dataclass(frozen=True)
class Rule:
    """What the laboratory tries and applies: raters a track, ratings from which on it is settled, agreement that is not enough."""

    raters: int
    fewest: int
    threshold: float


def rule_of(questionnaire: Questionnaire) -> Rule:
    return Rule(questionnaire.raters_per_track, questionnaire.fewest, questionnaire.threshold)


def change_rule(questionnaire: Questionnaire, rule: Rule, *, by: User | None = None) -> int:
    """Settle every track anew under another rule; each that changes leaves an event. Returns how many did.

    Of a track that has more ratings than the rule counts, the first count and the others wait; they count again when it counts more.
    Targets that a curator or a split raised stay. Frozen releases stay as they are.
    """
    if not (1 <= rule.fewest <= rule.raters <= MOST_RATINGS and 0 <= rule.threshold < 1):
        raise ValueRefused(
            _("The rule does not hold together: 1 to %(most)d raters, at most as many that are needed, a threshold below 100%%.")
            % {"most": MOST_RATINGS}
        )
    old = rule_of(questionnaire)
    fewest = rule.fewest if rule.fewest < rule.raters else 0
    values = {"raters_per_track": rule.raters, "fewest_raters": fewest, "threshold": rule.threshold}
    before = {name: getattr(questionnaire, name) for name in values}
    with transaction.atomic():
        if not Questionnaire.objects.filter(pk=questionnaire.pk, **before).update(**values):
            raise WrongState(_("Somebody changed the rule meanwhile. Reload the page to see it as it is."))
        record(questionnaire, to="rule changed", actor=by, reason=f"{_said(old)} -> {_said(rule)}")
        for name, value in values.items():
            setattr(questionnaire, name, value)
        n = _follow(questionnaire, old, by=by)
    with transaction.atomic():  # tracks whose last rating was on its way under the old rule
        return n + _follow(questionnaire, old, by=by)


def _said(rule: Rule) -> str:
    return f"{rule.raters} raters, settled from {rule.fewest} on, threshold {rule.threshold:g}"


def _follow(questionnaire: Questionnaire, old: Rule, *, by: User | None) -> int:
    """Targets and the ratings that count, then what they settle."""
    usual, changed = questionnaire.raters_per_track, 0
    rows = Consensus.objects.filter(questionnaire=questionnaire)
    waiting = Rating.objects.filter(questionnaire=questionnaire, not_counted=Rating.NotCounted.BEYOND).values("track")
    for row in rows.filter(Q(n_ratings__gt=usual, asked=0) | Q(track__in=waiting)).order_by("track_id"):
        changed += consensus.recount(consensus.lock(questionnaire.pk, row.track_id), by=by)
    if usual != old.raters:
        rows.filter(asked=0, n_ratings=0).update(target=usual)
        rows.filter(asked__gt=0, asked__lt=usual).update(target=usual)
    return changed + settle_anew(questionnaire, by=by)


@transaction.atomic
def settle_anew(questionnaire: Questionnaire, *, by: User | None = None) -> int:
    """Settle every rated track as the rule is now; returns how many changed."""
    rated = Consensus.objects.filter(questionnaire=questionnaire, n_ratings__gt=0)
    changed = 0
    for row in rated.select_related("label").order_by("track_id"):
        row.questionnaire = questionnaire
        labels = [key for key, n in row.votes.items() for _number in range(n)]
        before, target = (row.state, row.label.key if row.label else None), row.target
        after = consensus.decide(labels, row)
        ruling = consensus.ruling_that_holds(row, after.state)
        now = (Consensus.State.RULED, ruling.label.key) if ruling and ruling.label else (after.state, after.label)
        if now != before or row.target != target:
            consensus.update_consensus(consensus.lock(questionnaire.pk, row.track_id), by=by)
        changed += (now[1] or now[0]) != (before[1] or before[0])
    return changed


@transaction.atomic
def rule_on(row: Consensus, *, label: Label | None, reason: str, by: User, over: bool = False) -> Ruling:
    """A curator settles a track on which the raters do not agree; without a label the ruling is taken back. The votes stay.

    over : also where the raters agree. Whoever has seen predictions does not rule on what tests them.
    """
    row = consensus.lock(row.questionnaire_id, row.track_id)
    if saw_the_test(by, row.track):
        raise WrongState(
            _(
                "You have seen what models say of this track, which tests them or may come to: a ruling of yours would no longer be blind. Send the track back to the raters, or let somebody rule who has not looked."
            )
        )
    if row.state not in (Consensus.State.SPLIT, Consensus.State.RULED) and not (over and row.state == Consensus.State.AGREED):
        raise WrongState(
            _("The track is not split: it is %(state)s. Rulings are for tracks on which raters do not agree.")
            % {"state": row.get_state_display().lower()}
        )
    if label is not None and not reason.strip():
        raise ValueRefused(_("Say why: the reason stands beside the votes."))
    ruling = Ruling.objects.create(
        questionnaire=row.questionnaire, track=row.track, label=label, reason=reason.strip()[:500], by=by, over=over
    )
    before = row.state
    consensus.update_consensus(row, by=by)
    record(
        row,
        before=before,
        to="ruled" if label else "ruling taken back",
        actor=by,
        reason=f"{label.key}: {reason}" if label else reason,
    )
    return ruling


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
    # Above what every track gets, so that neither a unanimous nor a split track ends as it would have without.
    target = max(row.target, row.n_ratings + more, questionnaire.raters_per_track + 1)
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
    Consensus.objects.filter(pk=row.pk).update(asked=target)
    row.asked = target
    consensus.update_consensus(row, by=by)
    record(row, to="sent back", actor=by, reason=reason or f"{target - row.n_ratings} more ratings, {target} in all")


def _open_consensus(sender: object, track: Track, **kwargs: object) -> None:
    """A track that becomes ready can be rated."""
    questionnaire = questionnaire_of(track.dataset)
    place = {"target": questionnaire.raters_per_track, "position": place_in_queue(questionnaire.seed, track.pk)}
    Consensus.objects.get_or_create(questionnaire=questionnaire, track=track, defaults=place)


def _signals_written(sender: object, release: Release, **kwargs: object) -> None:
    """What a model is unsure of has changed."""
    for questionnaire in Questionnaire.objects.filter(dataset=release.dataset_id, queue_order=Questionnaire.QueueOrder.UNCERTAIN):
        reorder(questionnaire)


def connect() -> None:
    signals_written.connect(_signals_written, dispatch_uid="annotate.reorder")
    track_ready.connect(_open_consensus, dispatch_uid="annotate.open_consensus")
