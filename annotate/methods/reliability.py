"""Chance-corrected agreement over a whole table of ratings.

Krippendorff's alpha [1]_ is 1 for perfect agreement, 0 for what chance gives, and takes any number of raters a track. On
real music-emotion ratings it is 0.2-0.3; the rule of the paper accepts most tracks all the same, so both are shown.

Conventions
-----------
counts : int array [shape=(n_tracks, n_labels)], how many raters chose each label.

References
----------
.. [1] K. Krippendorff. Content Analysis, 4th ed., chapter 12. Sage, 2018.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def krippendorff_alpha(counts: ArrayLike) -> float:
    """Nominal alpha, float <= 1 [scalar]; nan when fewer than two labels or no track with two ratings.

    Tracks with fewer than two ratings hold no pair and are left out, as the definition says.
    """
    table = np.asarray(counts, dtype=np.float64)
    observed, expected = _disagreements(table[table.sum(axis=1) >= 2])
    return 1 - observed / expected if expected > 0 else float("nan")


def _disagreements(table: NDArray[np.float64]) -> tuple[float, float]:
    """Observed and expected share of disagreeing pairs."""
    totals = table.sum(axis=1)
    n = totals.sum()
    if n < 2:
        return 0.0, 0.0
    agreeing = (table * (table - 1)).sum(axis=1) / (totals - 1)
    margins = table.sum(axis=0)
    return float(1 - agreeing.sum() / n), float(1 - (margins * (margins - 1)).sum() / (n * (n - 1)))


def alpha_interval(counts: ArrayLike, *, seed: int, draws: int = 1000, level: float = 0.95) -> tuple[float, float]:
    """Bootstrap interval of alpha over tracks (they are the sampled unit), (low, high); nan for fewer than two tracks.

    Each draw weights the tracks by multinomial counts, so that all draws are two matrix products.
    """
    table = np.asarray(counts, dtype=np.float64)
    table = table[table.sum(axis=1) >= 2]
    if len(table) < 2:
        return float("nan"), float("nan")
    totals = table.sum(axis=1)
    agreeing = (table * (table - 1)).sum(axis=1) / (totals - 1)
    weights = np.random.default_rng(seed).multinomial(len(table), np.full(len(table), 1 / len(table)), size=draws)
    n = weights @ totals
    margins = weights @ table
    observed = 1 - (weights @ agreeing) / n
    expected = 1 - (margins * (margins - 1)).sum(axis=1) / (n * (n - 1))
    values = 1 - observed[expected > 0] / expected[expected > 0]
    if not values.size:
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
