"""How good a linear model becomes with more labels, and whether it helps to rate first what it is least sure of.

References
----------
.. [1] B. Settles. Active Learning Literature Survey. University of Wisconsin-Madison, 2009: uncertainty sampling, entropy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer.methods import features
from mer.methods.metrics import Interval, mean_interval, share_interval

Floats = NDArray[np.float64]
SHARES = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0)  # of the tracks that can be learned from
FEWEST = 6  # tracks to begin with
FEWEST_TRACKS = 20  # in all
DRAWS = 10
FOLDS = 5
PENALTY = 0.03  # fixed: choosing it anew at every point would take hours and tell nothing of the order
ORDERS = ("random", "uncertain")


@dataclass(frozen=True)
class Point:
    """accuracy : mean over the draws; low, high : 95%, from draws of whole groups. n : tracks learned from, mean over the folds."""

    order: str
    n: float
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """gain : accuracy with the least sure first less that at random, mean over the sizes between the first and the last, with its 95%
    interval from draws of whole groups. n : tracks that were tested, each once a draw."""

    points: list[Point]
    gain: Interval
    n: int


def learning_curve(
    X: Floats, shares: Floats, truth: NDArray[np.int64], groups: Sequence[str], *, names: list[str], seed: int,  # noqa: N803
    tell: Callable[[float], None] = lambda share: None,
) -> Curve:  # fmt: skip
    """Both orders on the same folds (whole groups) and from the same tracks to begin with.

    Parameters
    ----------
    X : features [shape=(n, n_features)]. shares : vote shares [shape=(n, n_labels)]. truth : class indices [shape=(n,)].
    groups : the group of each track [length n]. tell : called with the share that is done.

    Raises
    ------
    ValueError
        Fewer than five groups or twenty tracks: there is no curve to draw.
    """
    if len(set(groups)) < FOLDS or len(X) < FEWEST_TRACKS:
        raise ValueError(
            f"{len(X)} tracks of {len(set(groups))} artists are too few for a curve: {FEWEST_TRACKS} tracks of {FOLDS} artists are needed"
        )
    # Of few tracks the first shares are less than the fewest to begin with: one size then stands for all of them.
    larger = [share for share in SHARES if round(share * len(X) * (FOLDS - 1) / FOLDS) > FEWEST]
    shares_of = SHARES[-min(len(SHARES), len(larger) + 1) :]
    right = np.zeros((DRAWS, len(ORDERS), len(shares_of), len(X)))
    sizes = np.zeros((FOLDS, len(shares_of)))
    for draw in range(DRAWS):
        folds = features.group_folds(list(groups), seed + draw, FOLDS)
        for fold in range(FOLDS):
            held = folds == fold
            pool = np.random.default_rng([seed, draw, fold]).permutation(np.flatnonzero(~held))
            steps = [max(min(FEWEST, len(pool)), round(share * len(pool))) for share in shares_of]
            sizes[fold] = steps
            for number, order in enumerate(ORDERS):
                taken, model = pool[: steps[0]], None
                for place, step in enumerate(steps):
                    taken = pool[:step] if order == "random" or model is None else _least_sure(taken, pool, step, model, X)
                    model = features.fit_at(X[taken], shares[taken], names, PENALTY)
                    right[draw, number, place, held] = model.probabilities(X[held]).argmax(axis=1) == truth[held]
            tell((draw * FOLDS + fold + 1) / (DRAWS * FOLDS))
    often = right.mean(axis=0)  # how often each track was answered right [orders, sizes, tracks]
    points = []
    for number, order in enumerate(ORDERS):
        for place, values in enumerate(often[number]):
            found = share_interval(values, groups)
            points.append(Point(order, float(sizes[:, place].mean()), found.value, found.low, found.high))
    gain = mean_interval((often[1] - often[0])[1:-1].mean(axis=0), groups)
    gain = Interval(*(round(value, 9) for value in (gain.value, gain.low, gain.high)))  # what is nothing but rounding is nothing
    if not gain.low < gain.high:  # no draw differs: both orders say the same of every track
        gain = Interval(gain.value, gain.value, gain.value)
    return Curve(points, gain, len(X))


def _least_sure(
    taken: NDArray[np.intp], pool: NDArray[np.intp], n: int, model: features.LinearModel, X: Floats  # noqa: N803
) -> NDArray[np.intp]:  # fmt: skip
    """Those taken and, up to `n`, the others of the pool that the model is least sure of [1]_."""
    rest = pool[~np.isin(pool, taken)]
    P = model.probabilities(X[rest])  # noqa: N806
    entropy = -(P * np.log(np.maximum(P, 1e-12))).sum(axis=1)
    return np.concatenate([taken, rest[np.argsort(-entropy, kind="stable")][: n - len(taken)]])
