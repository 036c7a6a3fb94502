"""The colours that admins gave labels, as a stylesheet: pages name a label by its key alone."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from datasets import selectors


@require_safe
@cache_control(private=True, max_age=60)
def label_colours(request: HttpRequest) -> HttpResponse:
    """Mixed with the ink, so that a label can be read in either theme."""
    rules = [
        f":is(.label, .label-ink).of-{key} {{ color: color-mix(in oklab, {colour} 70%, var(--ink)); }}"
        for key, colour in selectors.label_colours()
    ]
    return HttpResponse("\n".join(rules), content_type="text/css")
