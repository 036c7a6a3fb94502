import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotate.methods import consensus
from annotate.methods.consensus import settle

LABELS = ("positive", "neutral", "negative")


def votes(*counts: int) -> list[str]:
    return [label for label, n in zip(LABELS, counts, strict=False) for _ in range(n)]


@pytest.mark.parametrize(
    ("counts", "state", "label"),
    [
        ((3, 1, 1), "agreed", "positive"),
        ((2, 2, 1), "split", None),
        ((0, 0, 5), "agreed", "negative"),
        ((1, 4, 0), "agreed", "neutral"),
        ((2, 1, 1), "open", None),
        ((0, 0, 0), "open", None),
    ],
)
def test_five_raters_and_a_threshold_of_one_half(counts, state, label):
    outcome = settle(votes(*counts), target=5, threshold=0.5)
    assert (outcome.state, outcome.label) == (state, label)


def test_exactly_the_threshold_is_not_enough():
    assert settle(votes(2, 2), target=4, threshold=0.5).state == "split"
    assert settle(votes(3, 2), target=5, threshold=0.6).state == "split"


def test_a_tie_settles_nothing_however_low_the_threshold():
    assert settle(votes(2, 2, 1), target=5, threshold=0.1).state == "split"


def test_a_senseless_rule_is_refused():
    with pytest.raises(ValueError, match="threshold"):
        settle([], target=5, threshold=1.5)


@given(st.lists(st.sampled_from(LABELS), max_size=9), st.integers(1, 7), st.floats(0, 1))
def test_what_it_settles_is_the_most_frequent_label_above_the_threshold_in_any_order(labels, target, threshold):
    outcome = settle(labels, target=target, threshold=threshold)
    assert outcome == settle(labels[::-1], target=target, threshold=threshold)
    assert outcome.n_ratings == len(labels)
    if outcome.state == "agreed":
        assert len(labels) >= target
        assert labels.count(outcome.label) / len(labels) > threshold
        assert all(labels.count(other) < labels.count(outcome.label) for other in set(labels) - {outcome.label})


@given(
    st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=20),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.3, 0.4, 0.5, 0.6, 0.75, 1.0]),
)
def test_many_tracks_at_once_are_settled_as_one_by_one(rows, fewest, threshold):
    found = consensus.settle_table(np.array(rows), fewest=fewest, threshold=threshold)
    for row, label in zip(rows, found, strict=True):
        one = consensus.settle(
            [key for key, n in zip("abc", row, strict=True) for _ in range(n)], target=fewest, threshold=threshold
        )
        assert label == {"open": -2, "split": -1}.get(one.state, "abc".index(one.label) if one.label else None)


@given(st.lists(st.integers(0, 4), max_size=30), st.integers(1, 5))
def test_the_first_ratings_of_each_track_are_kept_in_the_order_of_rating(tracks, most):
    kept, seen = consensus.first_ratings(np.array(tracks, dtype=np.int64), most), dict.fromkeys(range(5), 0)
    for track, is_kept in zip(tracks, kept, strict=True):
        assert is_kept == (seen[track] < most)
        seen[track] += 1
