"""What curators do about labels that models doubt."""

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from annotate.models import Consensus, Review
from annotate.services import consensus, questionnaires
from datasets.errors import ValueRefused, WrongState
from datasets.models import Label, ReleaseItem, Signal, SplitMember
from datasets.services import tracks
from datasets.services.audit import record

Action = Review.Action


def is_test(item: ReleaseItem) -> bool:
    return SplitMember.objects.filter(item=item, part=SplitMember.Part.TEST).exists()


@transaction.atomic
def review(
    item: ReleaseItem, *, action: str, by: User, label: Label | None = None, reason: str = "", seen: int | None = None
) -> Review:
    """Keep the label, send the track back, rule on it, or leave it out. Of a test track only the first two: it is rated again blind.

    `seen` is how many reviews of it the page showed: when somebody has dealt with it since, nothing is done.
    Raises WrongState where the track does not allow it (any more), ValueRefused where a reason or a label is missing.
    """
    questionnaire = questionnaires.questionnaire_of(item.release.dataset)
    if action not in Action.values:
        raise ValueRefused(_("Choose what to do with the track."))
    if action in (Action.RULE, Action.EXCLUDE) and is_test(item):
        raise WrongState(
            _(
                "“%(title)s” is in the test part: what a model said must not decide on it. Send it back, so that raters judge it again blind."
            )
            % {"title": item.title}
        )
    if action in (Action.RULE, Action.EXCLUDE) and not reason.strip():
        raise ValueRefused(_("Say why: the reason stands beside the votes."))
    Consensus.objects.get_or_create(
        questionnaire=questionnaire, track=item.track, defaults={"target": questionnaire.raters_per_track}
    )
    row = consensus.lock(questionnaire.pk, item.track_id)  # two who decide at once: one after the other
    last = Review.objects.filter(release=item.release, track=item.track).select_related("by").order_by("pk")
    if seen is not None and len(last) > seen:
        raise WrongState(
            _("%(person)s has dealt with “%(title)s” meanwhile: %(action)s. Look at it again before you decide.")
            % {"person": last[len(last) - 1].by, "title": item.title, "action": last[len(last) - 1].get_action_display()}
        )
    if action == Action.MORE:
        why = _("a model doubts its label in %(release)s") % {"release": item.release.name}
        questionnaires.ask_for_more(item.track, by=by, reason=f"{why}: {reason}" if reason else why)
    elif action == Action.RULE:
        if label is None:
            raise ValueRefused(_("Choose a label, and say why: the reason stands beside the votes."))
        questionnaires.rule_on(row, label=label, reason=reason, by=by, over=True)
    elif action == Action.EXCLUDE:
        tracks.exclude_track(item.track, reason=reason, by=by)
    runs = list(Signal.objects.filter(release=item.release, track=item.track).order_by("run").values_list("run", flat=True))
    made = Review.objects.create(
        questionnaire=questionnaire, release=item.release, track=item.track, action=action, label=item.label, runs=runs,
        reason=reason.strip()[:500], by=by,
    )  # fmt: skip
    record(made, to=action, actor=by, reason=reason)
    return made
