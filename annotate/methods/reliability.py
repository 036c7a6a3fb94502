"""Chance-corrected agreement over a whole table of ratings.

Krippendorff's alpha [1]_ is 1 for perfect agreement, 0 for what chance gives, and takes any number of raters a track. On
real music-emotion ratings it is 0.2-0.3; the rule of the paper accepts most tracks all the same, so both are shown. Fleiss' kappa [2]_ is
the older cousin for nominal labels.

Tracks with the same votes are one row with a weight: a table of 90,000 tracks with five ratings in three labels has 21 different rows, so
that every statistic, and the bootstrap over tracks, costs what 21 tracks cost.

Conventions
-----------
counts : int array [shape=(n_tracks, n_labels)], how many raters chose each label. Missing ratings are simply not counted.
level : "nominal", "ordinal" (labels in their order) or "interval" (labels at `values`).

References
----------
.. [1] K. Krippendorff. Content Analysis, 4th ed., chapter 12. Sage, 2018.
.. [2] J. L. Fleiss. Measuring nominal scale agreement among many raters. Psychological Bulletin 76, 1971.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Level = Literal["nominal", "ordinal", "interval"]
DRAWS_AT_ONCE = 100  # of the bootstrap, so that memory stays flat


def patterns(counts: ArrayLike, *, fewest: int = 2) -> tuple[Floats, NDArray[np.int64]]:
    """The different rows of a table and how often each occurs, without tracks that have fewer than `fewest` ratings.

    Raises ValueError for a table that is not two-dimensional or has negative counts.
    """
    table = np.asarray(counts, dtype=np.int64)
    if table.ndim != 2 or (table < 0).any():
        raise ValueError("counts must be a table of non-negative numbers, one row a track")
    table = np.ascontiguousarray(table[table.sum(axis=1) >= fewest])
    if not len(table):
        return table.astype(np.float64), np.zeros(0, np.int64)
    base = int(table.max()) + 1
    if base ** table.shape[1] < 2**62:  # a row as one number: a tenth of the time of sorting rows
        packed = table @ (base ** np.arange(table.shape[1], dtype=np.int64))
        _, first, times = np.unique(packed, return_index=True, return_counts=True)
        return table[first].astype(np.float64), times
    rows, times = np.unique(table, axis=0, return_counts=True)
    return rows.astype(np.float64), times


def krippendorff_alpha(counts: ArrayLike, *, level: Level = "nominal", values: Sequence[float] | None = None) -> float:
    """Alpha, float <= 1 [scalar]; nan when fewer than two labels or no track with two ratings.

    Tracks with fewer than two ratings hold no pair and are left out, as the definition says.

    Raises
    ------
    ValueError
        An unknown level, or values whose number is not that of the labels.
    """
    rows, times = patterns(counts)
    return float(_alphas(rows, times[None, :].astype(np.float64), level, values)[0]) if len(rows) else float("nan")


def alpha_interval(
    counts: ArrayLike,
    *,
    seed: int,
    draws: int = 1000,
    confidence: float = 0.95,
    level: Level = "nominal",
    values: Sequence[float] | None = None,
) -> tuple[float, float]:
    """Bootstrap interval of alpha over tracks (they are the sampled unit), (low, high); nan for fewer than two tracks.

    Drawing tracks with replacement is drawing multinomial weights for the different rows.
    """
    rows, times = patterns(counts)
    return _interval(lambda weights: _alphas(rows, weights, level, values), times, seed=seed, draws=draws, confidence=confidence)


def fleiss_kappa(counts: ArrayLike) -> float:
    """Fleiss' kappa, float <= 1 [scalar]; nan when one label has all votes or no track two ratings.

    The definition has the same number of raters for every track. With unequal numbers it is the usual generalisation: the mean of the
    tracks' pairwise agreement, and the shares of the labels among all ratings.
    """
    rows, times = patterns(counts)
    return float(_kappas(rows, times[None, :].astype(np.float64))[0]) if len(rows) else float("nan")


def kappa_interval(counts: ArrayLike, *, seed: int, draws: int = 1000, confidence: float = 0.95) -> tuple[float, float]:
    """Bootstrap interval of Fleiss' kappa over tracks, (low, high); nan for fewer than two tracks."""
    rows, times = patterns(counts)
    return _interval(lambda weights: _kappas(rows, weights), times, seed=seed, draws=draws, confidence=confidence)


def _interval(
    statistic: Callable[[Floats], Floats], times: NDArray[np.int64], *, seed: int, draws: int, confidence: float
) -> tuple[float, float]:
    n = int(times.sum())
    if n < 2:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    found = []
    for start in range(0, draws, DRAWS_AT_ONCE):
        weights = rng.multinomial(n, times / n, size=min(DRAWS_AT_ONCE, draws - start)).astype(np.float64)
        found.append(statistic(weights))
    drawn = np.concatenate(found)
    drawn = drawn[np.isfinite(drawn)]
    if not drawn.size:
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def _alphas(rows: Floats, weights: Floats, level: Level, values: Sequence[float] | None) -> Floats:
    """Alpha for each row of weights [shape=(n_draws, n_rows)]: 1 - observed / expected disagreement of pairable ratings."""
    totals = rows.sum(axis=1)
    margins = weights @ rows  # how often each label was given, [shape=(n_draws, n_labels)]
    n = margins.sum(axis=1)
    # Pairs within tracks: n_c * n_k (less the rating with itself), each track's pairs weighing as many as its ratings.
    products = rows[:, :, None] * rows[:, None, :] - np.eye(rows.shape[1])[None] * rows[:, :, None]
    inside = weights @ (products / (totals - 1)[:, None, None]).reshape(len(rows), -1)
    distances = _distances(level, margins, values)
    observed = (inside * distances).sum(axis=1) / n
    across = margins[:, :, None] * margins[:, None, :]
    expected = (across.reshape(len(margins), -1) * distances).sum(axis=1) / (n * (n - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected > 1e-15, 1 - observed / expected, np.nan)


def _distances(level: Level, margins: Floats, values: Sequence[float] | None) -> Floats:
    """Squared differences between labels [shape=(n_draws or 1, n_labels ** 2)]."""
    k = margins.shape[1]
    if level == "nominal":
        return (1 - np.eye(k)).reshape(1, -1)
    if level == "interval":
        at = np.arange(k, dtype=np.float64) if values is None else np.asarray(values, dtype=np.float64)
        if at.shape != (k,):
            raise ValueError(f"{k} labels need {k} values, not {values}")
        return np.asarray(((at[:, None] - at[None, :]) ** 2).reshape(1, -1))
    if level == "ordinal":
        # Ratings from one label to the other, both ends counted half.
        middle = np.cumsum(margins, axis=1) - margins / 2
        return np.asarray(((middle[:, :, None] - middle[:, None, :]) ** 2).reshape(len(margins), -1))
    raise ValueError(f"“{level}” is no level; use nominal, ordinal or interval")


def _kappas(rows: Floats, weights: Floats) -> Floats:
    totals = rows.sum(axis=1)
    agreeing = (rows * (rows - 1)).sum(axis=1) / (totals * (totals - 1))
    observed = weights @ agreeing / weights.sum(axis=1)
    margins = weights @ rows
    expected = ((margins / margins.sum(axis=1, keepdims=True)) ** 2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected < 1 - 1e-15, (observed - expected) / (1 - expected), np.nan)
