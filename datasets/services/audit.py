"""Every change of state goes through here: compare-and-set on the row, and an event that says who and why."""

from django.contrib.auth.models import User
from django.db.models import Model
from django.utils.translation import gettext as _

from datasets.errors import WrongState
from datasets.models import Event
from datasets.rows import insert


def change_state(
    row: Model, *, to: str, allowed: tuple[str, ...], actor: User | None = None, reason: str = "", **values: object
) -> None:
    """Move `row.state` to `to` if, in the database, it still is one of `allowed`; else raise WrongState."""
    manager = type(row)._default_manager
    old = manager.values_list("state", flat=True).get(pk=row.pk)
    # One UPDATE that only matches the state just read: of two that try, exactly one changes the row.
    if old not in allowed or not manager.filter(pk=row.pk, state=old).update(state=to, **values):
        name = row._meta.verbose_name
        raise WrongState(
            _("The %(name)s “%(row)s” is %(old)s; this needs it to be %(list)s. Reload the page to see it as it is.")
            % {"name": name, "row": row, "old": old, "list": " or ".join(allowed)}
        )
    for field, value in {"state": to, **values}.items():
        setattr(row, field, value)
    record(row, to=to, before=old, actor=actor, reason=reason)


def record(row: Model, *, to: str, before: str = "", actor: User | None = None, reason: str = "") -> None:
    subject = row._meta.model_name or ""
    insert(Event(actor=actor, subject=subject, subject_id=row.pk, from_state=before, to_state=to, reason=reason))
