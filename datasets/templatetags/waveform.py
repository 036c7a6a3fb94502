"""A waveform as a small picture."""

from collections.abc import Sequence

from django import template

register = template.Library()
BARS, HEIGHT = 48, 24


@register.filter
def wave_path(peaks: Sequence[int]) -> str:
    """An SVG path of 48 bars for a box of 96 x 24; each is the loudest sample (0-100) of its stretch."""
    if not peaks:
        return ""
    step = len(peaks) / BARS
    bars = []
    for number in range(BARS):
        stretch = peaks[int(number * step) : max(int(number * step) + 1, int((number + 1) * step))]
        half = max(0.5, HEIGHT / 2 * max(stretch) / 100)
        bars.append(f"M{2 * number + 1} {HEIGHT / 2 - half:.1f}v{2 * half:.1f}")
    return "".join(bars)
