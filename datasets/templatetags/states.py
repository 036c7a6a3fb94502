"""States of rows and names of labels in the words of the reader's language."""

from django import template
from django.core.cache import cache
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from datasets.models import Track
from datasets.selectors import labels_in_use

register = template.Library()
OTHERS = {"described": _("Described anew")}


@register.filter
def track_state(state: str) -> str:
    """A track's state as its history names it; other events of a track keep their own word."""
    names = {str(value): label for value, label in Track.State.choices} | OTHERS
    return str(names.get(state, state))


@register.filter
def label_name(key: str) -> str:
    """A label's name by its key, where only the key was stored, as in releases; a key that no dataset has any more stays as it is."""
    place = f"label-names-{get_language()}"
    names: dict[str, str] | None = cache.get(place)
    if names is None:
        names = dict(labels_in_use())
        cache.set(place, names, 10)
    return names.get(key, key)
