"""Models of the raters: against a plain implementation of the paper's equations, and on ratings whose truth is known."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotate.errors import RatersUnconnected
from annotate.methods import truth

K = 3


def simulated(seed: int, n_tracks: int = 300, n_raters: int = 12, per_track: int = 5, accuracy=None):
    rng = np.random.default_rng(seed)
    accuracy = rng.uniform(0.4, 0.95, n_raters) if accuracy is None else np.asarray(accuracy)
    true = rng.choice(K, n_tracks, p=[0.5, 0.3, 0.2])
    rows = []
    for track in range(n_tracks):
        for rater in rng.choice(n_raters, per_track, replace=False):
            right = rng.random() < accuracy[rater]
            rows.append((track, rater, true[track] if right else (true[track] + rng.integers(1, K)) % K))
    return true, accuracy, *np.array(rows).T


def plain_dawid_skene(tracks, raters, labels, iterations: int):
    """Equations 2.3 to 2.5 of Dawid and Skene, ratings one by one."""
    n_tracks, n_raters = max(tracks) + 1, max(raters) + 1
    posterior = np.zeros((n_tracks, K))
    for t, y in zip(tracks, labels, strict=True):
        posterior[t, y] += 1
    posterior /= posterior.sum(axis=1, keepdims=True)
    for _ in range(iterations):
        prior = posterior.mean(axis=0)
        confusion = np.zeros((n_raters, K, K))
        for t, r, y in zip(tracks, raters, labels, strict=True):
            confusion[r, :, y] += posterior[t]
        confusion /= np.maximum(confusion.sum(axis=2, keepdims=True), 1e-12)
        posterior = np.tile(prior, (n_tracks, 1))
        for t, r, y in zip(tracks, raters, labels, strict=True):
            posterior[t] *= np.maximum(confusion[r, :, y], 1e-12)
        posterior /= posterior.sum(axis=1, keepdims=True)
    return posterior, confusion


def test_without_smoothing_it_is_the_papers_equations():
    _true, _accuracy, t, r, y = simulated(1, n_tracks=60, n_raters=6)
    fit = truth.dawid_skene(t, r, y, n_labels=K, smoothing=0, max_iterations=15, tolerance=1e-300)
    posterior, confusion = plain_dawid_skene(t, r, y, fit.n_iterations)
    np.testing.assert_allclose(fit.posterior, posterior, atol=1e-6)
    np.testing.assert_allclose(fit.confusion, confusion, atol=1e-6)


@pytest.mark.parametrize("model", [truth.dawid_skene, truth.one_coin])
def test_it_finds_the_truth_better_than_the_majority_and_knows_its_raters(model):
    better = []
    for seed in range(5):
        true, accuracy, t, r, y = simulated(seed, n_tracks=800)
        fit = model(t, r, y, n_labels=K)
        votes = np.bincount(t * K + y, minlength=len(true) * K).reshape(-1, K)
        found, majority = (fit.posterior.argmax(axis=1) == true).mean(), (votes.argmax(axis=1) == true).mean()
        better.append(found - majority)
        assert abs(fit.expected_accuracy - found) < 0.05
        assert np.corrcoef(fit.rater_accuracy, accuracy)[0, 1] > 0.9
    assert np.mean(better) > 0.01


@pytest.mark.parametrize("model", [truth.dawid_skene, truth.one_coin])
@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(0, 2)), min_size=3, max_size=40))
def test_shares_add_up_to_one_whatever_the_ratings(model, rows):
    t, r, y = np.array(rows).T
    try:
        fit = model(t, r, y, n_labels=K, max_iterations=30)
    except RatersUnconnected:
        assert np.bincount(r).max() < 2
        return
    np.testing.assert_allclose(fit.posterior.sum(axis=1), 1)
    np.testing.assert_allclose(fit.confusion.sum(axis=2), 1)
    assert fit.prior.sum() == pytest.approx(1)
    assert np.isfinite(fit.log_likelihood)


def test_the_likelihood_never_falls():
    _true, _accuracy, t, r, y = simulated(2)
    found = [
        truth.dawid_skene(t, r, y, n_labels=K, smoothing=0, max_iterations=n, tolerance=0).log_likelihood for n in range(1, 12)
    ]
    assert all(later >= earlier - 1e-6 for earlier, later in itertools.pairwise(found))


def test_raters_of_one_track_each_are_refused_with_the_reason():
    with pytest.raises(RatersUnconnected, match="one track only"):
        truth.dawid_skene([0, 0, 1, 1], [0, 1, 2, 3], [0, 1, 2, 0], n_labels=K)


@pytest.mark.parametrize(("t", "r", "y"), [([], [], []), ([0], [0, 1], [0]), ([0, 1], [0, 0], [0, 3]), ([-1, 0], [0, 0], [0, 1])])
def test_what_are_no_ratings_is_refused(t, r, y):
    with pytest.raises(ValueError, match="must"):
        truth.one_coin(t, r, y, n_labels=K)
