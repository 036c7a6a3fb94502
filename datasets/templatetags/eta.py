"""Numbers as people read them."""

from django import template

from datasets.methods.lists import as_clock

register = template.Library()


@register.filter
def eta(seconds: float) -> str:
    """90 -> "2 min", 20 -> "20 s", 7000 -> "1 h 57 min"."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


register.filter("clock", as_clock)


@register.filter
def percent(share: float | None) -> str:
    """0.583 -> "58"; nothing -> "–"."""
    return "–" if share is None else f"{100 * share:.0f}"


@register.filter
def percent1(share: float | None) -> str:
    """0.5833 -> "58.3"; nothing -> "–"."""
    return "–" if share is None else f"{round(100 * share, 1) + 0.0:.1f}"  # neither plus nor minus nothing


@register.filter
def seconds_later(offset_s: float) -> str:
    """-12.04 -> "12.0": the same distance, told from the other side."""
    return f"{-offset_s:.1f}"
