"""How far the raters of a track agree.

Conventions
-----------
counts : int array [shape=(n_tracks, n_labels)], how many raters chose each label. Rows may have different totals.
"""

from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray


def agreement(counts: ArrayLike) -> NDArray[np.float64]:
    """Share of the modal label of each track, float in (0, 1] [shape=(n_tracks,)]; nan for a track without ratings.

    The paper's measure (section 3.2): with votes 3-1-1 it is 0.6, with 2-2-1 it is 0.4.

    Raises
    ------
    ValueError
        `counts` is not a table of non-negative numbers.
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or (table < 0).any():
        raise ValueError("counts must be a table of non-negative numbers, one row a track")
    totals = table.sum(axis=1)
    shares = np.full(len(table), np.nan)
    np.divide(table.max(axis=1), totals, out=shares, where=totals > 0)
    return shares


def chance_acceptance(n_raters: int, n_labels: int, threshold: float) -> float:
    """Share of tracks that the rule accepts when every rater guesses evenly, exact.

    A track is accepted when one label alone has the most votes and their share is strictly above `threshold` (a tie settles
    nothing, see `consensus.settle`). The label and its m votes can be placed in `n_labels * comb(n, m)` ways; the other votes
    are then sequences in which no other label comes m times or more.

    Examples
    --------
    >>> round(chance_acceptance(5, 3, 0.5), 3)
    0.63
    >>> round(chance_acceptance(5, 3, 0.7), 3)
    0.136
    """
    if n_raters < 1 or n_labels < 1:
        raise ValueError("at least one rater and one label are needed")
    winning = [m for m in range(1, n_raters + 1) if m / n_raters > threshold]
    ways = sum(comb(n_raters, m) * _sequences(n_raters - m, n_labels - 1, m - 1) for m in winning)
    return float(n_labels * ways / n_labels**n_raters)


def _sequences(length: int, n_labels: int, most: int) -> int:
    """Sequences of `length` votes over `n_labels` labels in which each label comes at most `most` times."""
    ways = [1] + [0] * length
    for _ in range(n_labels):
        ways = [sum(comb(total, k) * ways[total - k] for k in range(min(most, total) + 1)) for total in range(length + 1)]
    return ways[length]
