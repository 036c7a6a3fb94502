"""Side roads by which a network could learn a label without hearing the emotion: how well one clue alone predicts it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_PERMUTATIONS = 500
N_BINS = 5


@dataclass(frozen=True)
class Clue:
    """accuracy : share of the tracks whose label the others with the same value of the clue name right; by_chance : the mean of
    that over shuffled labels; p : share of shuffles that do as well, from 1 / (N_PERMUTATIONS + 1).
    """

    name: str
    n: int
    accuracy: float
    by_chance: float
    p: float


def clues(labels: Sequence[str], values: Mapping[str, Sequence[object]], *, seed: int) -> list[Clue]:
    """How well each clue alone predicts the label, leaving the track itself out.

    Parameters
    ----------
    labels : sequence of str [length n]
    values : mapping of clue to a value for each track [length n]
        Text is taken as it is; numbers are cut into fifths; None is a value of its own.
    seed : int
        Of the shuffles.

    Returns
    -------
    list of Clue
        A clue with one value only says nothing and is left out.
    """
    _names, truth = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    rng = np.random.default_rng(seed)
    found = []
    for name, column in values.items():
        bins = _bins(column)
        if bins.size == 0 or bins.max() == 0:
            continue
        accuracy = _left_one_out(bins, truth)
        shuffled = np.array([_left_one_out(bins, rng.permutation(truth)) for _ in range(N_PERMUTATIONS)])
        p = (1 + np.count_nonzero(shuffled >= accuracy - 1e-12)) / (N_PERMUTATIONS + 1)
        found.append(Clue(name, len(truth), float(accuracy), float(shuffled.mean()), float(p)))
    return found


def _bins(column: Sequence[object]) -> NDArray[np.intp]:
    numbers = [value for value in column if isinstance(value, int | float)]
    if numbers:
        edges = np.unique(np.quantile(numbers, np.linspace(0, 1, N_BINS + 1)[1:-1]))
        column = [str(np.searchsorted(edges, value)) if isinstance(value, int | float) else "" for value in column]
    _names, bins = np.unique(np.asarray([str(value or "") for value in column], dtype=str), return_inverse=True)
    return np.asarray(bins, dtype=np.intp)


def _left_one_out(bins: NDArray[np.intp], truth: NDArray[np.intp]) -> float:
    """Share of the tracks whose label is the most frequent one among the others of their bin (ties go to the first label)."""
    n_labels = int(truth.max()) + 1
    table = np.bincount(bins * n_labels + truth, minlength=(int(bins.max()) + 1) * n_labels).reshape(-1, n_labels)
    right = 0
    for label in range(n_labels):
        others = table.copy()
        others[:, label] -= 1
        right += table[(others.argmax(axis=1) == label) & (table[:, label] > 0), label].sum()
    return float(right / len(truth))
