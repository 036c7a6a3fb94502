"""Signs of how carefully a rater works. Each is a reason to look, none is a verdict.

Conventions
-----------
votes : mapping of label to number of raters, of one track, the rater's own vote included.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median

LONG_RUN = 8  # the same word so often in a row; with nine words, chance gives it once in 9**7 places
SAME_SHARE = 0.9  # share of one word among all
FAST_MARGIN_S = 2.0  # sent this soon after the shortest allowed time
FAST_SHARE = 0.5
FEWEST = 10  # ratings; below this nothing is flagged


def longest_run(words: Sequence[str]) -> int:
    """Length of the longest run of the same word, in the order of rating ("longstring": Johnson, J. Res. Pers. 39, 2005).

    >>> longest_run(["sad", "calm", "calm", "calm", "sad"])
    3
    """
    return max((len(list(run)) for _word, run in groupby(words)), default=0)


def is_straight_lining(words: Sequence[str]) -> bool:
    """A run of at least 8 of the same word, or one word in at least 90% of at least 10 ratings."""
    if len(words) < FEWEST:
        return False
    return longest_run(words) >= LONG_RUN or max(Counter(words).values()) / len(words) >= SAME_SHARE


def fast_share(elapsed_s: Iterable[float], minimum_s: Iterable[float]) -> float | None:
    """Share of ratings sent within 2 s of the shortest time allowed, float in [0, 1]; None without times.

    Parameters
    ----------
    elapsed_s : seconds from shown to sent, one a rating. minimum_s : the shortest time allowed, in the same order.
    """
    pairs = list(zip(elapsed_s, minimum_s, strict=True))
    return sum(elapsed <= minimum + FAST_MARGIN_S for elapsed, minimum in pairs) / len(pairs) if pairs else None


def is_too_fast(share: float | None, n: int) -> bool:
    """More than half of at least 10 ratings came as soon as they could."""
    return share is not None and n >= FEWEST and share > FAST_SHARE


def others(votes: Mapping[str, int], own: str) -> dict[str, int]:
    """The votes of the other raters.

    Raises
    ------
    ValueError
        The rater's own vote is not among the votes.
    """
    if votes.get(own, 0) < 1:
        raise ValueError(f"{own} is not among the votes {dict(votes)}")
    return {label: n - (label == own) for label, n in votes.items() if n - (label == own)}


def agreement_with_others(tracks: Iterable[tuple[str, Mapping[str, int]]]) -> tuple[float | None, int]:
    """Mean share of the other raters who chose the rater's label, and the number of tracks that it is a mean of.

    Parameters
    ----------
    tracks : (own label, votes) of each track. Tracks that nobody else rated say nothing and are left out.
    """
    shares = []
    for own, votes in tracks:
        rest = others(votes, own)
        if total := sum(rest.values()):
            shares.append(rest.get(own, 0) / total)
    return (sum(shares) / len(shares) if shares else None), len(shares)


def majority(votes: Mapping[str, int]) -> str | None:
    """The label with most votes, None for a tie or no votes."""
    ranked = sorted(votes.values(), reverse=True)
    if not ranked or (len(ranked) > 1 and ranked[0] == ranked[1]):
        return None
    return max(votes, key=lambda label: votes[label])


def confusion(tracks: Iterable[tuple[str, Mapping[str, int]]], labels: Sequence[str]) -> list[list[int]]:
    """Tracks by the others' majority (rows) and the rater's own label (columns), ints [shape=(n_labels, n_labels)].

    The rater's own vote is taken out first, or it would confirm itself. Tracks on which the others tie are left out.
    """
    table = [[0] * len(labels) for _ in labels]
    for own, votes in tracks:
        label = majority(others(votes, own))
        if label in labels and own in labels:
            table[labels.index(label)][labels.index(own)] += 1
    return table


def share_same(pairs: Iterable[tuple[str, str]]) -> tuple[float | None, int]:
    """Share of pairs whose two values are the same, and their number: self-consistency on repeats, hits on gold tracks."""
    same = [first == second for first, second in pairs]
    return (sum(same) / len(same) if same else None), len(same)


@dataclass(frozen=True)
class Pace:
    """n ratings with a time; median_s and fast_share are None without any."""

    n: int
    median_s: float | None
    fast_share: float | None


def pace(elapsed_s: Sequence[float], minimum_s: Sequence[float]) -> Pace:
    return Pace(len(elapsed_s), median(elapsed_s) if elapsed_s else None, fast_share(elapsed_s, minimum_s))
