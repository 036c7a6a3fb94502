"""Can the data tell two models apart? Paired tests on the same tracks, with the verdict in words."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import comb

import numpy as np
from numpy.typing import NDArray

from mer.methods import metrics

DRAWS = 2000


@dataclass(frozen=True)
class Interval:
    """A difference, first less second, and its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Verdict:
    """only_first, only_second : tracks that just one of the two gets right. p : two-sided, exact, in (0, 1]. accuracy, macro_f1 : the
    differences, first less second, by a bootstrap over groups."""

    n: int
    only_first: int
    only_second: int
    p: float
    words: str
    accuracy: Interval | None = None
    macro_f1: Interval | None = None


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
    b = sum(bool(one) and not two for one, two in zip(first, second, strict=True))
    c = sum(bool(two) and not one for one, two in zip(first, second, strict=True))
    discordant = b + c
    p = min(1.0, 2 * sum(comb(discordant, k) for k in range(min(b, c) + 1)) / 2**discordant)
    if p < 0.05:
        better, worse = names if b > c else names[::-1]
        words = f"{better} is better than {worse} on these {n} tracks (exact McNemar p = {p:.3f})."
    else:
        words = f"{n} track{'' if n == 1 else 's'} can’t tell {names[0]} and {names[1]} apart (exact McNemar p = {p:.2f})."
    return Verdict(n, b, c, p, words)


def with_differences(
    verdict: Verdict, truth: Sequence[int], first: Sequence[int], second: Sequence[int], groups: Sequence[str], *, n_labels: int
) -> Verdict:
    """The verdict with the differences in accuracy and macro-F1 and their intervals, said in words."""
    accuracy, macro_f1 = paired_bootstrap(truth, first, second, groups, n_labels=n_labels)
    words = f"{verdict.words} Accuracy differs by {accuracy.value:+.1%} (95% {accuracy.low:+.1%} to {accuracy.high:+.1%}), "
    words += f"macro-F1 by {macro_f1.value:+.3f} ({macro_f1.low:+.3f} to {macro_f1.high:+.3f})."
    return replace(verdict, words=words, accuracy=accuracy, macro_f1=macro_f1)


def paired_bootstrap(
    truth: Sequence[int], first: Sequence[int], second: Sequence[int], groups: Sequence[str], *, n_labels: int, seed: int = 1
) -> tuple[Interval, Interval]:
    """Differences in accuracy and macro-F1, first less second, with percentile intervals from draws of whole groups.

    Tracks of one artist are not independent: a group is drawn with all its tracks, for both models at once (B. Efron, R. Tibshirani.
    An Introduction to the Bootstrap, 1993, ch. 8).

    Parameters
    ----------
    truth, first, second : class indices [same length n > 0]. groups : the group of each track [length n].
    """
    _names, group = np.unique(np.asarray(groups), return_inverse=True)
    n_groups = int(group.max()) + 1
    tables = [_tables(truth, predicted, group, n_groups, n_labels) for predicted in (first, second)]
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=DRAWS)
    found = []
    for measure in (_accuracies, _macro_f1s):
        value = measure(tables[0].sum(axis=0)[None]) - measure(tables[1].sum(axis=0)[None])
        draws = [measure(np.tensordot(weights, table, axes=1)) for table in tables]
        low, high = np.nanpercentile(draws[0] - draws[1], [2.5, 97.5])
        found.append(Interval(float(value[0]), float(low), float(high)))
    return found[0], found[1]


def _tables(
    truth: Sequence[int], predicted: Sequence[int], group: NDArray[np.intp], n_groups: int, n_labels: int
) -> NDArray[np.int64]:
    """A confusion matrix for each group [shape=(n_groups, n_labels, n_labels)]."""
    tables = np.zeros((n_groups, n_labels, n_labels), np.int64)
    np.add.at(tables, (group, np.asarray(truth), np.asarray(predicted)), 1)
    return tables


def _accuracies(tables: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.array([metrics.accuracy(table) for table in tables])


def _macro_f1s(tables: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.array([metrics.macro_f1(table) for table in tables])
