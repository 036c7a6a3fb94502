"""Can the data tell two models apart? Exact paired test on the same tracks, with the verdict in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb


@dataclass(frozen=True)
class Verdict:
    """only_first, only_second : tracks that just one of the two gets right. p : two-sided, exact, in (0, 1]."""

    n: int
    only_first: int
    only_second: int
    p: float
    words: str


def mcnemar(first: Sequence[bool], second: Sequence[bool], names: tuple[str, str]) -> Verdict:
    """Exact McNemar test (Q. McNemar, Psychometrika 12, 1947) on which of two models is right, track by track.

    Raises
    ------
    ValueError
        The two were not tested on the same number of tracks.
    """
    if len(first) != len(second):
        raise ValueError("the two models must be tested on the same tracks")
    n = len(first)
    b = sum(one and not two for one, two in zip(first, second, strict=True))
    c = sum(two and not one for one, two in zip(first, second, strict=True))
    discordant = b + c
    p = min(1.0, 2 * sum(comb(discordant, k) for k in range(min(b, c) + 1)) / 2**discordant)
    if p < 0.05:
        better, worse = names if b > c else names[::-1]
        words = f"{better} is better than {worse} on these {n} tracks (exact McNemar p = {p:.3f})."
    else:
        words = f"{n} track{'' if n == 1 else 's'} can’t tell {names[0]} and {names[1]} apart (exact McNemar p = {p:.2f})."
    return Verdict(n, b, c, p, words)
