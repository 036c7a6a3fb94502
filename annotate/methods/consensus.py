"""The rule of the paper: votes in, consensus out, one pure function.

A track is settled when all its ratings are in and the share of its most frequent label is strictly above the threshold:
with five raters and 0.5, 3-1-1 passes (60%), 2-2-1 does not (40%).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Outcome:
    """state : "open" (ratings are missing), "agreed" or "split". label : the settled label, only when agreed."""

    state: str
    label: str | None
    agreement: float | None
    votes: dict[str, int]

    @property
    def n_ratings(self) -> int:
        return sum(self.votes.values())


def in_words(votes: Mapping[str, int]) -> str:
    """As in 3 positive - 1 neutral - 1 negative: most votes first, whatever order a database keeps."""
    return " - ".join(f"{n} {label}" for label, n in sorted(votes.items(), key=lambda pair: (-pair[1], pair[0])))


def settle(labels: Iterable[str], *, target: int, threshold: float) -> Outcome:
    """Apply the rule to the labels that distinct raters gave one track.

    Parameters
    ----------
    labels : one label a rater.
    target : int > 0. Ratings that must be in before anything is settled.
    threshold : float in [0, 1]. Agreement must be strictly above it.

    Raises
    ------
    ValueError
        `target` is not positive or `threshold` not in [0, 1].
    """
    if target < 1 or not 0 <= threshold <= 1:
        raise ValueError(f"target must be positive and threshold in [0, 1], not {target} and {threshold}")
    votes = Counter(labels)
    n = votes.total()
    if not n:
        return Outcome("open", None, None, {})
    ranked = sorted(votes.items(), key=lambda pair: (-pair[1], pair[0]))
    top, count = ranked[0]
    agreement = count / n
    if n < target:
        return Outcome("open", None, agreement, dict(ranked))
    tied = len(ranked) > 1 and ranked[1][1] == count
    if agreement > threshold and not tied:
        return Outcome("agreed", top, agreement, dict(ranked))
    return Outcome("split", None, agreement, dict(ranked))


def target_now(votes: Mapping[str, int], *, asked: int, usual: int, threshold: float, more: int = 0, unanimous_at: int = 0) -> int:
    """How many ratings a track is to get, now that these are in. It depends on nothing else: a rule that is taken back leaves no trace.

    Parameters
    ----------
    votes : {label: number of raters}.
    asked : int. Ratings that a curator asked for; 0: none did.
    usual : int. Ratings that every track gets.
    threshold : float in [0, 1], as in `settle`.
    more : int. Further ratings for a track that is split after the usual ones; 0: none. One that has more than the usual got them so.
    unanimous_at : int. So many ratings that all agree are enough; 0: never. It holds only where unanimous_at / usual is above both
        `threshold` and one half: then it changes no outcome, because the ratings that are saved could not have changed it.
    """
    n = sum(votes.values())
    if asked:
        return max(asked, usual)
    if (
        is_safe_stop(unanimous_at, usual=usual, threshold=threshold)
        and unanimous_at <= n < usual
        and sum(1 for count in votes.values() if count) == 1
    ):
        return n
    if more and n > usual:
        return usual + more
    if more and n == usual:
        labels = [label for label, count in votes.items() for _ in range(count)]
        if settle(labels, target=usual, threshold=threshold).state == "split":
            return usual + more
    return usual


def is_safe_stop(unanimous_at: int, *, usual: int, threshold: float) -> bool:
    """Whether so many ratings that all agree could not be outvoted by the others of the usual number."""
    return unanimous_at > usual / 2 and unanimous_at / usual > threshold


def needed(*, target: int, asked: int, usual: int, fewest: int) -> int:
    """Ratings from which on a track is settled: `fewest`, but all of them where somebody or a split asked for more than usual."""
    return target if asked or target > usual else min(target, fewest)


def first_ratings(tracks: NDArray[np.int64], most: int | NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which ratings are among the first `most` of their track, bool [shape=(n_ratings,)].

    Parameters
    ----------
    tracks : int array [shape=(n_ratings,)], the track of each rating, in the order of rating.
    most : int, or an int array [shape=(n_tracks,)] of one for each track.
    """
    order = np.argsort(tracks, kind="stable")
    found = tracks[order]
    starts = np.flatnonzero(np.r_[True, found[1:] != found[:-1]]) if found.size else np.zeros(0, np.int64)
    place = np.arange(found.size) - np.repeat(starts, np.diff(np.r_[starts, found.size]))
    kept = np.empty(found.size, bool)
    kept[order] = place < (most if isinstance(most, int) else most[found])
    return kept


def settle_table(counts: NDArray[np.int64], *, fewest: int | NDArray[np.int64], threshold: float) -> NDArray[np.int64]:
    """The rule on many tracks at once: the label that each is settled on, -1 where it is split, -2 where ratings are missing.

    Parameters
    ----------
    counts : int array [shape=(n_tracks, n_labels)]. fewest : int > 0, ratings that must be in, or an array of one for each
        track. threshold : as in `settle`.
    """
    if np.any(np.less(fewest, 1)) or not 0 <= threshold <= 1:
        raise ValueError(f"fewest must be positive and threshold in [0, 1], not {fewest} and {threshold}")
    totals = counts.sum(axis=1)
    ranked = np.sort(counts, axis=1)
    alone = ranked[:, -1] > (ranked[:, -2] if counts.shape[1] > 1 else 0)
    wins = (ranked[:, -1] / np.maximum(totals, 1) > threshold) & alone
    return np.where(totals < fewest, -2, np.where(wins, counts.argmax(axis=1), -1))
