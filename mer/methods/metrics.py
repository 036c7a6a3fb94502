"""What a set of predictions is worth: accuracy with its interval, macro-F1, the majority baseline, confusion.

Conventions
-----------
truth, predicted : int arrays of class indices [shape=(n,)].
"""

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray


def confusion_matrix(truth: ArrayLike, predicted: ArrayLike, n_labels: int) -> NDArray[np.int64]:
    """Counts, rows are truth and columns prediction [shape=(n_labels, n_labels)].

    Raises
    ------
    ValueError
        Lengths differ, or an index lies outside 0..n_labels-1.
    """
    rows, columns = np.asarray(truth, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    if rows.shape != columns.shape:
        raise ValueError(f"{len(rows)} true labels but {len(columns)} predictions")
    for values in (rows, columns):
        if values.size and (values.min() < 0 or values.max() >= n_labels):
            raise ValueError(f"class indices must lie in 0..{n_labels - 1}")
    table = np.zeros((n_labels, n_labels), dtype=np.int64)
    np.add.at(table, (rows, columns), 1)
    return table


def accuracy(confusion: NDArray[np.int64]) -> float:
    """Share on the diagonal, float in [0, 1]; nan without predictions."""
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total else float("nan")


def macro_f1(confusion: NDArray[np.int64]) -> float:
    """Mean F1 over the labels that occur in truth or prediction, float in [0, 1]; nan without predictions."""
    hits = np.diag(confusion).astype(float)
    sizes = confusion.sum(axis=0) + confusion.sum(axis=1)
    present = sizes > 0
    return float(np.mean(2 * hits[present] / sizes[present])) if present.any() else float("nan")


def majority_accuracy(train_truth: ArrayLike, truth: ArrayLike) -> float:
    """Accuracy on `truth` of always answering the most frequent label of the training part."""
    train, target = np.asarray(train_truth, dtype=np.int64), np.asarray(truth, dtype=np.int64)
    if not train.size or not target.size:
        return float("nan")
    return float(np.mean(target == np.bincount(train).argmax()))


def wilson_interval(correct: int, n: int, *, z: float = 1.959963984540054) -> tuple[float, float]:
    """95% interval of a share (E. B. Wilson, JASA 22, 1927), (low, high) in [0, 1]; (nan, nan) for n = 0."""
    if not 0 <= correct <= n:
        raise ValueError(f"{correct} correct of {n} is impossible")
    if n == 0:
        return float("nan"), float("nan")
    share = correct / n
    centre = share + z * z / (2 * n)
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def one_rater(counts: ArrayLike) -> tuple[float, int]:
    """What a rater would score: the share of ratings that name the most frequent label of the same track's other ratings.

    A human reference for accuracies: a model far above it on the raters' own consensus has found something that people do not agree on.
    Ratings whose others are tied, or of which there are none, are left out.

    Parameters
    ----------
    counts : int [shape=(n_tracks, n_labels)], votes.

    Returns
    -------
    share : float in [0, 1], nan without a rating to judge. n : int, ratings that were judged.
    """
    table = np.asarray(counts, dtype=np.int64)
    right = judged = 0
    for label in range(table.shape[1] if table.ndim == 2 else 0):
        others = table.copy()
        others[:, label] -= 1
        rated = table[:, label] > 0
        top = others.max(axis=1)
        clear = rated & (top > 0) & ((others == top[:, None]).sum(axis=1) == 1)
        judged += int(table[clear, label].sum())
        right += int(table[clear & (others.argmax(axis=1) == label), label].sum())
    return (right / judged if judged else float("nan")), judged
