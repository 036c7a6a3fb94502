"""Runs after their training: repeated, promoted, written about."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from datasets.errors import ValueRefused, WrongState
from datasets.models import Dataset, Release
from datasets.services.audit import record
from datasets.services.signals import forget_outside
from mer import selectors
from mer.methods.params import SpectrogramParams, TrainingParams
from mer.models import Promotion, Run
from mer.services import inferences
from mer.services.runs import create_run


def train_again(run: Run, *, release: Release | None = None, by: User | None = None) -> Run:
    """The same run once more, on its own release or on another one."""
    if run.members and release is not None and release != run.release:
        raise WrongState(
            _("%(run)s is the mean of other runs: train those again, then choose them for a new one.") % {"run": run.name}
        )
    known = TrainingParams.__dataclass_fields__
    return create_run(
        release=release or run.release,
        training=TrainingParams(**{name: value for name, value in run.params.items() if name in known}),
        spectrograms=SpectrogramParams.stored(run.spectrogram_set.params) if run.spectrogram_set else SpectrogramParams(),
        folds=run.in_folds,
        members=list(Run.objects.filter(pk__in=run.members)),
        by=by,
    )


@transaction.atomic
def promote(run: Run, *, by: User | None = None, reason: str = "") -> Promotion:
    """From now on the dataset goes by this run: it hears the tracks that are not rated yet."""
    dataset = Dataset.objects.select_for_update().get(pk=run.release.dataset_id)
    if run.state != "done" or run.is_control:
        raise WrongState(_("%(run)s cannot be promoted: only a finished run that learned from the labels can.") % {"run": run.name})
    if not run.can_predict:
        raise WrongState(
            _("%(run)s was tested in folds and keeps no model. Train the same on the hold-out split, and promote that.")
            % {"run": run.name}
        )
    if selectors.promoted(dataset) == run:
        raise WrongState(_("%(run)s is promoted already.") % {"run": run.name})
    made = Promotion.objects.create(dataset=dataset, run=run, by=by, reason=reason.strip()[:500])
    record(run, to="promoted", actor=by, reason=reason)
    forget_outside(run.release)  # what the one before said: the queue goes by this one
    inferences.hear_unrated(run, by=by)
    return made


@transaction.atomic
def step_down(run: Run, *, by: User | None = None, reason: str = "") -> Promotion:
    """The dataset goes by no run any more."""
    dataset = Dataset.objects.select_for_update().get(pk=run.release.dataset_id)
    if selectors.promoted(dataset) != run:
        raise WrongState(_("%(run)s is not promoted.") % {"run": run.name})
    made = Promotion.objects.create(dataset=dataset, run=None, by=by, reason=reason.strip()[:500])
    record(run, to="no longer promoted", actor=by, reason=reason)
    forget_outside(run.release)
    return made


@transaction.atomic
def write_notes(run: Run, notes: str, *, was: str, by: User | None = None) -> None:
    """Replace the notes, unless somebody else has meanwhile."""
    if len(notes) > 5000:
        raise ValueRefused(_("The notes have %(n)d characters; 5000 fit.") % {"n": len(notes)})
    if not Run.objects.filter(pk=run.pk, notes=was).update(notes=notes):
        raise WrongState(_("Somebody else has written notes meanwhile. Reload the page to see them."))
    record(run, to="notes", actor=by)
