"""States of rows in the words of the reader's language."""

from django import template

from datasets.models import Track

register = template.Library()


@register.filter
def track_state(state: str) -> str:
    """A track's state as its history names it; other events of a track keep their own word."""
    return str(dict(Track.State.choices).get(state, state))
