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

    Agreement above `threshold` >= 0.5 can hold for one label only, so the labels' binomial tails add up; below that the
    multinomial is enumerated.

    Examples
    --------
    >>> round(chance_acceptance(5, 3, 0.5), 3)
    0.63
    >>> round(chance_acceptance(5, 3, 0.7), 3)
    0.136
    """
    if n_raters < 1 or n_labels < 1:
        raise ValueError("at least one rater and one label are needed")
    accepted = sum(ways for counts, ways in _compositions(n_raters, n_labels) if max(counts) / n_raters > threshold)
    return float(accepted / n_labels**n_raters)


def _compositions(n: int, k: int) -> list[tuple[tuple[int, ...], int]]:
    """Every way to hand n votes to k labels, with the number of vote sequences that give it."""
    if k == 1:
        return [((n,), 1)]
    return [((first, *rest), comb(n, first) * ways) for first in range(n + 1) for rest, ways in _compositions(n - first, k - 1)]
