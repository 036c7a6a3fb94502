import itertools

import numpy as np
import pytest

from annotate.methods.agreement import agreement, chance_acceptance
from annotate.methods.consensus import settle


def test_it_is_the_share_of_the_modal_label():
    assert agreement([[3, 1, 1], [2, 2, 1], [5, 0, 0]]).tolist() == [0.6, 0.4, 1.0]


def test_a_track_without_ratings_has_none():
    assert np.isnan(agreement([[0, 0, 0]])[0])


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="non-negative"):
        agreement([[-1, 2]])


@pytest.mark.parametrize(
    ("raters", "labels", "threshold"), [(5, 3, 0.5), (5, 3, 0.7), (4, 2, 0.5), (3, 4, 0.3), (5, 3, 0.3), (6, 3, 0.4)]
)
def test_chance_acceptance_is_what_the_rule_does_to_all_vote_sequences(raters, labels, threshold):
    sequences = list(itertools.product("abcd"[:labels], repeat=raters))
    accepted = sum(settle(votes, target=raters, threshold=threshold).state == "agreed" for votes in sequences)
    assert chance_acceptance(raters, labels, threshold) == pytest.approx(accepted / len(sequences))


def test_many_raters_and_labels_take_no_time():
    assert 0 < chance_acceptance(50, 8, 0.2) < 1


def test_the_rule_of_the_paper_accepts_63_percent_of_guesses():
    assert chance_acceptance(5, 3, 0.5) == pytest.approx(153 / 243)
