import itertools

import numpy as np
import pytest

from annotate.methods import agreement
from annotate.methods.consensus import settle


def test_it_is_the_share_of_the_modal_label():
    assert agreement.agreement([[3, 1, 1], [2, 2, 1], [5, 0, 0]]).tolist() == [0.6, 0.4, 1.0]


def test_a_track_without_ratings_has_none():
    assert np.isnan(agreement.agreement([[0, 0, 0]])[0])


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="non-negative"):
        agreement.agreement([[-1, 2]])


@pytest.mark.parametrize(
    ("raters", "labels", "threshold"), [(5, 3, 0.5), (5, 3, 0.7), (4, 2, 0.5), (3, 4, 0.3), (5, 3, 0.3), (6, 3, 0.4)]
)
def test_chance_acceptance_is_what_the_rule_does_to_all_vote_sequences(raters, labels, threshold):
    sequences = list(itertools.product("abcd"[:labels], repeat=raters))
    accepted = sum(settle(votes, target=raters, threshold=threshold).state == "agreed" for votes in sequences)
    assert agreement.chance_acceptance(raters, labels, threshold) == pytest.approx(accepted / len(sequences))


def test_many_raters_and_labels_take_no_time():
    assert 0 < agreement.chance_acceptance(50, 8, 0.2) < 1


def test_the_rule_of_the_paper_accepts_63_percent_of_guesses():
    assert agreement.chance_acceptance(5, 3, 0.5) == pytest.approx(153 / 243)


def simulated_rule(stages, n_labels, threshold, marginals=None, n=200_000) -> float:
    """The rule, told plainly, on votes that are drawn."""
    rng = np.random.default_rng(0)
    votes = rng.choice(n_labels, size=(n, max(stages)), p=marginals)
    open_ones, accepted = np.ones(n, bool), 0
    for stage in stages:
        counts = np.stack([(votes[:, :stage] == label).sum(axis=1) for label in range(n_labels)], axis=1)
        ranked = np.sort(counts, axis=1)
        wins = (ranked[:, -1] / stage > threshold) & (ranked[:, -1] > ranked[:, -2]) & open_ones
        accepted += int(wins.sum())
        open_ones &= ~wins
    return accepted / n


@pytest.mark.parametrize(
    ("stages", "n_labels", "threshold", "marginals"),
    [
        ((5,), 3, 0.5, None), ((5, 7), 3, 0.5, None), ((5, 7), 3, 0.5, [0.5, 0.3, 0.2]), ((3, 7), 4, 0.4, None),
        ((4,), 5, 0.25, [0.4, 0.3, 0.1, 0.1, 0.1]), ((5, 7), 9, 0.3, None),
    ],
)  # fmt: skip
def test_chance_acceptance_is_what_drawing_votes_gives(stages, n_labels, threshold, marginals):
    exact = agreement.sequential_chance_acceptance(stages, n_labels, threshold, marginals=marginals)
    assert exact == pytest.approx(simulated_rule(stages, n_labels, threshold, marginals), abs=0.004)
    if len(stages) == 1:
        assert agreement.chance_acceptance(stages[0], n_labels, threshold, marginals=marginals) == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("marginals", [None, [0.6, 0.3, 0.1]])
@pytest.mark.parametrize(("first", "last", "threshold"), [(3, 5, 0.5), (4, 6, 0.3), (2, 4, 0.2), (3, 6, 0.34), (5, 7, 0.6)])
def test_what_two_stages_accept_is_counted_vote_by_vote(first, last, threshold, marginals):
    shares = marginals or [1 / 3] * 3
    found = 0.0
    for votes in itertools.product(range(3), repeat=last):
        if any(settle(map(str, votes[:n]), target=n, threshold=threshold).state == "agreed" for n in (first, last)):
            found += float(np.prod([shares[vote] for vote in votes]))
    exact = agreement.sequential_chance_acceptance((first, last), 3, threshold, marginals=marginals)
    assert exact == pytest.approx(found, abs=1e-12)


def test_twelve_labels_of_uneven_shares_are_no_problem():
    shares = np.random.default_rng(1).dirichlet(np.ones(12)).tolist()
    exact = agreement.sequential_chance_acceptance((9, 11), 12, 0.5, marginals=shares)
    assert exact == pytest.approx(simulated_rule((9, 11), 12, 0.5, shares), abs=0.004)


def test_tracks_that_stopped_early_count_as_if_all_had_rated_and_those_settled_on_fewer_as_they_are():
    stopped, settled, whole = [3, 0, 0], [2, 1, 0], [3, 1, 1]
    of = agreement.chance_acceptance_of
    assert of([stopped, whole], (5,), 0.5, fewest=3, unanimous_at=3) == pytest.approx(153 / 243)
    assert of([settled], (5,), 0.5, fewest=3) == pytest.approx(agreement.chance_acceptance(3, 3, 0.5))
    assert of([settled, whole], (5,), 0.5, fewest=3) == pytest.approx((agreement.chance_acceptance(3, 3, 0.5) + 153 / 243) / 2)
    assert of(np.zeros((0, 3)), (5,), 0.5, fewest=3) == pytest.approx(153 / 243)


def test_a_sixth_and_seventh_rater_raise_63_percent_to_71():
    assert agreement.chance_acceptance(5, 3, 0.5) == pytest.approx(0.6296, abs=1e-4)
    assert agreement.sequential_chance_acceptance((5, 7), 3, 0.5) == pytest.approx(0.7119, abs=1e-4)
    assert agreement.chance_acceptance(5, 3, 0.75) == pytest.approx(0.1358, abs=1e-4)


def test_28_labels_and_50_raters_are_no_problem():
    assert 0 <= agreement.chance_acceptance(50, 28, 0.1) <= 1
    assert 0 <= agreement.sequential_chance_acceptance((5, 7), 28, 0.5) < 0.05


@pytest.mark.parametrize("stages", [(), (5, 5), (7, 5), (0,)])
def test_stages_that_do_not_rise_are_refused(stages):
    with pytest.raises(ValueError, match=r"rise|at least one"):
        agreement.sequential_chance_acceptance(stages, 3, 0.5)


def test_marginals_that_are_no_distribution_are_refused():
    with pytest.raises(ValueError, match="add up to 1"):
        agreement.chance_acceptance(5, 3, 0.5, marginals=[0.5, 0.3])


def test_pairs_and_entropy_at_their_extremes():
    counts = [[5, 0, 0], [2, 2, 1], [1, 1, 1], [0, 0, 0], [1, 0, 0]]
    np.testing.assert_allclose(agreement.pairwise(counts), [1, 0.2, 0, np.nan, np.nan])
    np.testing.assert_allclose(agreement.entropy(counts), [0, 1.521928, np.log2(3), np.nan, 0], atol=1e-6)
