"""The learning curve: more labels help where there is something to learn, and both orders begin and end alike."""

import numpy as np
import pytest

from mer.methods import curves


def planted(n: int = 80, noise: float = 0.7, seed: int = 0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    X = rng.normal(0, noise, (n, 8))
    X[np.arange(n), truth] += 1.5
    return X, np.eye(3)[truth], truth, [f"artist {number % 20}" for number in range(n)]


def test_accuracy_grows_with_the_number_of_labels_and_orders_meet_at_both_ends(monkeypatch):
    monkeypatch.setattr(curves, "DRAWS", 3)
    told = []
    found = curves.learning_curve(*planted(), names=list("abcdefgh"), seed=1, tell=told.append)
    by_order = {order: [point for point in found.points if point.order == order] for order in curves.ORDERS}
    for points in by_order.values():
        assert [round(point.n) for point in points] == sorted({round(point.n) for point in points})
        assert points[-1].accuracy > points[0].accuracy
        assert all(point.low <= point.accuracy <= point.high for point in points)
    for end in (0, -1):
        assert by_order["random"][end].accuracy == pytest.approx(by_order["uncertain"][end].accuracy)
    assert found.n == 80 and told[-1] == 1.0 and found.gain.low <= found.gain.value <= found.gain.high


def test_of_few_tracks_no_size_is_drawn_twice(monkeypatch):
    monkeypatch.setattr(curves, "DRAWS", 1)
    for n in (20, 24, 29, 40, 75):
        found = curves.learning_curve(*planted(n), names=list("abcdefgh"), seed=1)
        sizes = [point.n for point in found.points if point.order == "random"]
        assert sizes == sorted(set(sizes)) and sizes[0] >= curves.FEWEST and sizes[-1] == pytest.approx(n * 0.8)


def test_nothing_to_learn_gives_a_flat_curve_near_chance(monkeypatch):
    monkeypatch.setattr(curves, "DRAWS", 3)
    X, _shares, truth, groups = planted(n=120)
    shuffled = np.random.default_rng(5).permutation(truth)
    found = curves.learning_curve(X, np.eye(3)[shuffled], shuffled, groups, names=list("abcdefgh"), seed=1)
    assert all(0.15 < point.accuracy < 0.5 for point in found.points)


def test_the_same_seed_draws_the_same_curve(monkeypatch):
    monkeypatch.setattr(curves, "DRAWS", 2)
    one, two = (curves.learning_curve(*planted(), names=list("abcdefgh"), seed=3) for _ in range(2))
    assert one == two


def test_too_few_tracks_or_artists_are_refused_with_both_numbers():
    X, shares, truth, groups = planted(n=19)
    with pytest.raises(ValueError, match="19 tracks of 19 artists are too few"):
        curves.learning_curve(X, shares, truth, groups, names=list("abcdefgh"), seed=1)
