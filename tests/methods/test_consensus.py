import pytest
from hypothesis import given
from hypothesis import strategies as st

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
