"""What pure code says, in the language of the reader."""

from collections.abc import Iterable

from django import template
from django.utils.translation import gettext

from datasets.methods.messages import Sentence, in_words

register = template.Library()


@register.filter
def in_language(said: Iterable[Sentence]) -> str:
    return in_words(said, gettext)
