"""Where raters agree and where not: by word, by pair of labels, by group of raters, and in the plane of valence and arousal.

Conventions
-----------
tracks, chosen : int arrays [shape=(n_ratings,)], the track of each rating and the index of its label (or word).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def counts_of(tracks: Ints, labels: Ints, n_labels: int) -> Ints:
    """Ratings for each label [shape=(n_tracks, n_labels)]."""
    n_tracks = int(tracks.max()) + 1 if tracks.size else 0
    return np.bincount(tracks * n_labels + labels, minlength=n_tracks * n_labels).reshape(n_tracks, n_labels)


def others_agree(tracks: Ints, labels: Ints, n_labels: int) -> Floats:
    """For each rating the share of the track's other ratings with its label; nan where there is no other [shape=(n_ratings,)]."""
    counts = counts_of(tracks, labels, n_labels)
    others = counts.sum(axis=1)[tracks] - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(others > 0, (counts[tracks, labels] - 1) / others, math.nan)


def label_pairs(counts: Ints) -> tuple[Floats, Floats]:
    """How often two raters of one track chose this pair of labels, and how often they would by chance.

    Parameters
    ----------
    counts : int [shape=(n_tracks, n_labels)], ratings for each label.

    Returns
    -------
    observed, expected : float [shape=(n_labels, n_labels)], symmetric, each adds up to 1: the coincidence matrix of Krippendorff
        (Content Analysis, 2004, ch. 11), every track's pairs weighing as its ratings, and the products of the labels' shares.
    """
    table = counts[counts.sum(axis=1) > 1].astype(float)
    if not len(table):
        nothing = np.zeros((counts.shape[1], counts.shape[1]))
        return nothing, nothing
    n = table.sum(axis=1)
    together = np.einsum("tc,tk,t->ck", table, table, 1 / (n - 1)) - np.diag((table / (n - 1)[:, None]).sum(axis=0))
    observed = together / together.sum()
    shares = observed.sum(axis=1)
    return observed, np.outer(shares, shares)


@dataclass(frozen=True)
class Ellipse:
    """Where two thirds of a label's ratings lie, were they normal: centre, half axes, angle of the long one in degrees from valence."""

    n: int
    valence: float
    arousal: float
    long: float
    short: float
    angle: float


# Standard deviations: the root of the quantile 2/3 of a chi-square with two degrees of freedom.
COVERED = math.sqrt(-2 * math.log(1 / 3))


def ellipse(points: Floats) -> Ellipse | None:
    """Of points [shape=(n, 2)] in the plane; None for fewer than three."""
    if len(points) < 3:
        return None
    values, vectors = np.linalg.eigh(np.cov(points, rowvar=False))
    short, long = COVERED * np.sqrt(np.maximum(values, 0))
    angle = math.degrees(math.atan2(vectors[1, 1], vectors[0, 1]))
    centre = points.mean(axis=0)
    return Ellipse(len(points), float(centre[0]), float(centre[1]), float(long), float(short), (angle + 90) % 180 - 90)
