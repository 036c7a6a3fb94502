"""How far the raters of a track agree.

Conventions
-----------
counts : int array [shape=(n_tracks, n_labels)], how many raters chose each label. Rows may have different totals.
"""

import itertools
from collections.abc import Sequence
from functools import reduce
from math import comb, factorial

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


def pairwise(counts: ArrayLike) -> NDArray[np.float64]:
    """Share of the pairs of raters of each track who chose the same label, float in [0, 1] [shape=(n_tracks,)]; nan below two raters.

    Fleiss' P_i (J. L. Fleiss, Psychological Bulletin 76, 1971).
    """
    table = np.asarray(counts, dtype=np.float64)
    totals = table.sum(axis=1)
    shares = np.full(len(table), np.nan)
    np.divide((table * (table - 1)).sum(axis=1), totals * (totals - 1), out=shares, where=totals >= 2)
    return shares


def entropy(counts: ArrayLike) -> NDArray[np.float64]:
    """Shannon entropy of each track's vote shares in bits, float in [0, log2(n_labels)] [shape=(n_tracks,)]; nan without ratings."""
    table = np.asarray(counts, dtype=np.float64)
    totals = table.sum(axis=1, keepdims=True)
    shares = np.divide(table, totals, out=np.zeros_like(table), where=totals > 0)
    bits = -(shares * np.log2(shares, out=np.zeros_like(shares), where=shares > 0)).sum(axis=1)
    return np.where(totals[:, 0] > 0, np.abs(bits), np.nan)


def chance_acceptance(n_raters: int, n_labels: int, threshold: float, *, marginals: Sequence[float] | None = None) -> float:
    """Share of tracks that the rule accepts when every rater draws a label at random, exact.

    A track is accepted when one label alone has the most votes and their share is strictly above `threshold` (a tie settles
    nothing, see `consensus.settle`). The winner's m votes are placed in comb(n, m) ways; the other votes are sequences in which no other
    label comes m times or more, counted by their generating functions.

    Parameters
    ----------
    n_raters, n_labels : int > 0. threshold : float in [0, 1].
    marginals : float > 0, adding up to 1 [length n_labels], optional. How often each label is drawn; evenly where not given.

    Raises
    ------
    ValueError
        No rater, no label, or marginals that are no distribution over the labels.

    Examples
    --------
    >>> round(chance_acceptance(5, 3, 0.5), 3)
    0.63
    >>> round(chance_acceptance(5, 3, 0.7), 3)
    0.136
    >>> round(chance_acceptance(5, 3, 0.5, marginals=[0.6, 0.2, 0.2]), 3)
    0.715
    """
    drawn = _marginals(n_raters, n_labels, marginals)
    accepted = 0.0
    for winner, share in enumerate(drawn):
        others = [p for label, p in enumerate(drawn) if label != winner]
        for m in range(1, n_raters + 1):
            if m / n_raters > threshold:
                accepted += comb(n_raters, m) * share**m * _sequences(n_raters - m, others, m - 1)
    return min(1.0, accepted)


def _marginals(n_raters: int, n_labels: int, marginals: Sequence[float] | None) -> list[float]:
    if n_raters < 1 or n_labels < 1:
        raise ValueError("at least one rater and one label are needed")
    drawn = [1 / n_labels] * n_labels if marginals is None else [float(value) for value in marginals]
    if len(drawn) != n_labels or min(drawn) < 0 or abs(sum(drawn) - 1) > 1e-6:
        raise ValueError(f"marginals must be {n_labels} shares that add up to 1, not {marginals}")
    return drawn


def _sequences(length: int, drawn: Sequence[float], most: int) -> float:
    """Probability of all sequences of `length` votes for labels drawn with these shares in which each comes at most `most` times."""
    ways = [1.0] + [0.0] * length
    for p in drawn:
        ways = [sum(comb(total, k) * p**k * ways[total - k] for k in range(min(most, total) + 1)) for total in range(length + 1)]
    return ways[length]


def sequential_chance_acceptance(
    stages: Sequence[int], n_labels: int, threshold: float, *, marginals: Sequence[float] | None = None
) -> float:
    """The same for a rule that asks further raters while a track is split, exact: (5, 7) asks a sixth and a seventh once.

    What the second stage adds is what it accepts less what both accept. The latter is counted by generating functions in two variables, votes
    until the first stage and votes after it: a label's own limits at both stages bound its powers.

    Parameters
    ----------
    stages : one or two int, rising. Numbers of ratings at which the rule looks at a track that is not accepted yet.

    Raises
    ------
    ValueError
        Stages that do not rise, or more than two.

    Examples
    --------
    >>> round(sequential_chance_acceptance((5, 7), 3, 0.5), 3)
    0.712
    """
    if not 1 <= len(stages) <= 2 or any(later <= earlier for earlier, later in itertools.pairwise(stages)):
        raise ValueError(f"stages must be one or two that rise, not {stages}")
    once = chance_acceptance(stages[0], n_labels, threshold, marginals=marginals)
    if len(stages) == 1:
        return once
    drawn = _marginals(stages[0], n_labels, marginals)
    later = chance_acceptance(stages[1], n_labels, threshold, marginals=marginals)
    return min(1.0, once + later - _accepted_twice(stages[0], stages[1], drawn, threshold))


def _accepted_twice(first: int, last: int, drawn: Sequence[float], threshold: float) -> float:
    """Probability that the votes are accepted at both numbers of ratings, whatever the labels are that win."""
    more, n_labels = last - first, len(drawn)
    weights = [[[p ** (k + j) / factorial(k) / factorial(j) for j in range(more + 1)] for k in range(first + 1)] for p in drawn]
    tables = [np.array(table) for table in weights]
    k, j = np.indices((first + 1, more + 1))
    even = max(drawn) - min(drawn) < 1e-12
    pairs = [(0, 0), *([(0, 1)] if n_labels > 1 else [])] if even else list(itertools.product(range(n_labels), repeat=2))
    times = {(0, 0): n_labels, (0, 1): n_labels * (n_labels - 1)} if even else {}
    found = 0.0
    for won, wins in itertools.product(range(1, first + 1), range(1, last + 1)):
        if won / first <= threshold or wins / last <= threshold or wins > won + more:
            continue
        behind = (k < won) & (k + j < wins)  # of a label that wins neither time
        losers = [table * behind for table in tables]
        for one, two in pairs:
            if one == two:
                leaders = [tables[one] * ((k == won) & (k + j == wins))]
            else:
                leaders = [tables[one] * ((k == won) & (k + j < wins)), tables[two] * ((k < won) & (k + j == wins))]
            if all(leader.any() for leader in leaders):
                others = [losers[label] for label in range(n_labels) if label not in (one, two)]
                ways = reduce(_product, [*leaders, *others])
                found += times.get((one, two), 1) * float(ways[first, more])
    return found * factorial(first) * factorial(more)


def _product(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of two polynomials in two variables, cut at their size: rows set apart so far that nothing runs into the next (Kronecker)."""
    rows, columns = one.shape
    wide = [np.pad(table, ((0, 0), (0, columns - 1))).ravel() for table in (one, other)]
    cut: NDArray[np.float64] = np.convolve(wide[0], wide[1])[: rows * (2 * columns - 1)].reshape(rows, -1)[:, :columns]
    return cut


def chance_acceptance_of(
    counts: ArrayLike,
    stages: Sequence[int],
    threshold: float,
    *,
    fewest: int,
    unanimous_at: int = 0,
    marginals: Sequence[float] | None = None,
) -> float:
    """The same for a rule that settles a track from `fewest` ratings on: the mean over tracks, each by the ratings that it has.

    Parameters
    ----------
    counts : int array [shape=(n_tracks, n_labels)] of the settled tracks. Without tracks, every one is taken to get stages[0] ratings.
    fewest : int > 0. With fewer than stages[0] ratings but as many as this, a track was settled on what it had.
    unanimous_at : int. So many that all agree were enough, because the others could not have changed it: such a track counts as one that
        has stages[0]. 0: never.
    """
    table, usual = np.asarray(counts, dtype=np.int64), stages[0]
    n_labels = table.shape[1]
    totals = table.sum(axis=1)
    if unanimous_at:
        totals = np.where((table.max(axis=1, initial=0) == totals) & (totals >= unanimous_at), np.maximum(totals, usual), totals)
    found, times = np.unique(np.clip(totals, min(fewest, usual), usual), return_counts=True)
    if not found.size:
        found, times = np.array([usual]), np.array([1])
    chances = [
        sequential_chance_acceptance(stages if n == usual else (int(n),), n_labels, threshold, marginals=marginals) for n in found
    ]
    return float(np.average(chances, weights=times))
