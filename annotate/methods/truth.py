"""What the true labels are, how good each rater is, and how sure one can be: models of the raters, fitted by expectation-maximisation.

Dawid and Skene [1]_ give each rater a confusion matrix; the one-coin model gives each one accuracy, the same for every label. Both need
raters who rated several tracks: from one track each, nothing can be told of a rater, and the fit only repeats the votes.

Conventions
-----------
tracks, raters, labels : int arrays [shape=(n_ratings,)], indices from 0: rating i says that this rater gave this track this label.
posterior : float array [shape=(n_tracks, n_labels)], rows add up to 1.
confusion : float array [shape=(n_raters, n_labels, n_labels)], row = true label, column = label given; rows add up to 1.

References
----------
.. [1] A. P. Dawid, A. M. Skene. Maximum likelihood estimation of observer error-rates using the EM algorithm. Applied Statistics 28,
   20-28, 1979.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from annotate.errors import RatersUnconnected

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SMOOTHING = 1.0  # ratings added to each rater's row, spread as all raters' answers are: few ratings do not make a rater perfect


@dataclass(frozen=True)
class Fit:
    """posterior, confusion : see the module. prior : share of each label [shape=(n_labels,)]. n_iterations : until it stood still.
    log_likelihood : of the ratings under the fit (natural logarithm)."""

    posterior: Floats
    confusion: Floats
    prior: Floats
    log_likelihood: float
    n_iterations: int
    rated: NDArray[np.bool_]  # which tracks have a rating: of the others the posterior is the prior

    @property
    def expected_accuracy(self) -> float:
        """How many of the most likely labels are expected to be true, float in [0, 1]."""
        return float(self.posterior[self.rated].max(axis=1).mean())

    @property
    def rater_accuracy(self) -> Floats:
        """Share of right answers that is expected of each rater over labels as frequent as they are, [shape=(n_raters,)]."""
        return np.asarray(np.einsum("rkk,k->r", self.confusion, self.prior))


def dawid_skene(
    tracks: ArrayLike,
    raters: ArrayLike,
    labels: ArrayLike,
    *,
    n_labels: int,
    smoothing: float = SMOOTHING,
    max_iterations: int = 200,
    tolerance: float = 1e-6,
) -> Fit:
    """The model with a confusion matrix for each rater.

    Parameters
    ----------
    smoothing : float >= 0. Ratings added to each row of a rater's matrix, distributed as the pooled answers to that label are; 0 is the
        paper's maximum likelihood.
    tolerance : float > 0. It stands still when no posterior moves by more.

    Raises
    ------
    ValueError
        Arrays of different lengths, no ratings, or indices out of range.
    RatersUnconnected
        Every rater saw one track only.
    """
    t, r, y = _check(tracks, raters, labels, n_labels)
    return _fit(t, r, y, n_labels, _matrices, smoothing, max_iterations, tolerance)


def one_coin(
    tracks: ArrayLike,
    raters: ArrayLike,
    labels: ArrayLike,
    *,
    n_labels: int,
    smoothing: float = SMOOTHING,
    max_iterations: int = 200,
    tolerance: float = 1e-6,
) -> Fit:
    """The model with one accuracy for each rater; wrong answers fall evenly on the other labels. Parameters and errors as above."""
    t, r, y = _check(tracks, raters, labels, n_labels)
    return _fit(t, r, y, n_labels, _coins, smoothing, max_iterations, tolerance)


def _check(tracks: ArrayLike, raters: ArrayLike, labels: ArrayLike, n_labels: int) -> tuple[Ints, Ints, Ints]:
    t, r, y = (np.asarray(values, dtype=np.int64) for values in (tracks, raters, labels))
    if not t.size or not t.shape == r.shape == y.shape or t.ndim != 1:
        raise ValueError("tracks, raters and labels must be as long as each other, and not empty")
    if min(t.min(), r.min(), y.min()) < 0 or y.max() >= n_labels:
        raise ValueError(f"indices must lie in 0 and above, labels below {n_labels}")
    if np.bincount(r).max() < 2:
        raise RatersUnconnected(
            "Every rater saw one track only, so nothing can be told of how well any of them answers: a model of the raters would only "
            "repeat the votes. It needs raters with several tracks each."
        )
    return t, r, y


def _fit(
    t: Ints, r: Ints, y: Ints, k: int, model: Callable[[Floats, float], Floats], smoothing: float, most: int, tolerance: float
) -> Fit:
    n_tracks, n_raters = int(t.max()) + 1, int(r.max()) + 1
    votes = np.bincount(t * k + y, minlength=n_tracks * k).reshape(n_tracks, k).astype(np.float64)
    posterior = (votes + 1e-9) / (votes + 1e-9).sum(axis=1, keepdims=True)  # the vote shares, as in the paper
    cell = r * k + y
    prior, confusion, likelihood, n_done = np.empty(k), np.empty((n_raters, k, k)), -np.inf, 0
    for n in range(1, most + 1):
        prior = np.maximum(posterior.mean(axis=0), 1e-12)
        given = np.stack([np.bincount(cell, weights=posterior[t, true], minlength=n_raters * k) for true in range(k)])
        confusion = model(np.asarray(given.reshape(k, n_raters, k).transpose(1, 0, 2), dtype=np.float64), smoothing)
        logs = np.log(np.maximum(confusion, 1e-12))
        joint = np.log(prior)[None, :] + np.stack(
            [np.bincount(t, weights=logs[r, true, y], minlength=n_tracks) for true in range(k)], axis=1
        )
        top = joint.max(axis=1, keepdims=True)
        scaled = np.exp(joint - top)
        sums = scaled.sum(axis=1, keepdims=True)
        likelihood = float((top + np.log(sums)).sum())
        before, posterior, n_done = posterior, scaled / sums, n
        if np.abs(posterior - before).max() < tolerance:
            break
    rated = np.bincount(t, minlength=len(posterior)) > 0
    return Fit(posterior, confusion, prior, likelihood, n_done, rated)


def _matrices(given: Floats, smoothing: float) -> Floats:
    """Confusion matrices from expected counts [shape=(n_raters, true, given)]."""
    pooled = given.sum(axis=0)
    k = pooled.shape[0]
    typical = (pooled + 1 / k) / (pooled.sum(axis=1, keepdims=True) + 1)
    counts = given + smoothing * typical[None]
    totals = counts.sum(axis=2, keepdims=True)
    return np.asarray(np.divide(counts, totals, out=np.full_like(counts, 1 / k), where=totals > 0))


def _coins(given: Floats, smoothing: float) -> Floats:
    """The same with one accuracy a rater."""
    k = given.shape[1]
    right, total = np.trace(given, axis1=1, axis2=2), given.sum(axis=(1, 2))
    typical = (right.sum() + 1 / k) / (total.sum() + 1)
    wanted = total + smoothing
    accuracy = np.divide(right + smoothing * typical, wanted, out=np.full_like(right, 1 / k), where=wanted > 0)
    wrong = (1 - accuracy) / max(k - 1, 1)
    eye = np.eye(k)[None]
    return np.asarray(accuracy[:, None, None] * eye + wrong[:, None, None] * (1 - eye))
