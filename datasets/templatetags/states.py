"""States of rows in the words of the reader's language."""

from django import template
from django.utils.translation import gettext_lazy as _

from datasets.models import Track

register = template.Library()
OTHERS = {"described": _("Described anew")}


@register.filter
def track_state(state: str) -> str:
    """A track's state as its history names it; other events of a track keep their own word."""
    names = {str(value): label for value, label in Track.State.choices} | OTHERS
    return str(names.get(state, state))
