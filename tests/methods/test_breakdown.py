"""Where raters agree, against plain loops and Krippendorff's own coincidences."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from annotate.methods import breakdown, reliability


@pytest.fixture
def counts():
    return np.random.default_rng(1).integers(0, 4, (40, 3))


def test_others_agree_is_that_of_a_plain_loop():
    rng = np.random.default_rng(2)
    tracks, labels = rng.integers(0, 12, 60), rng.integers(0, 3, 60)
    found = breakdown.others_agree(tracks, labels, 3)
    for place in range(60):
        others = [labels[k] for k in range(60) if k != place and tracks[k] == tracks[place]]
        if others:
            assert found[place] == pytest.approx(sum(label == labels[place] for label in others) / len(others))
        else:
            assert math.isnan(found[place])


def test_pairs_are_the_coincidences_and_give_krippendorffs_alpha(counts):
    observed, expected = breakdown.label_pairs(counts)
    plain: Counter[tuple[int, int]] = Counter()
    total = 0.0
    for row in counts:
        votes = [label for label, n in enumerate(row) for _ in range(n)]
        for one, other in itertools.permutations(votes, 2):
            plain[one, other] += 1 / (len(votes) - 1)
        total += len(votes) if len(votes) > 1 else 0
    for one, other in itertools.product(range(3), repeat=2):
        assert observed[one, other] == pytest.approx(plain[one, other] / total)
    assert observed.sum() == pytest.approx(1) and expected.sum() == pytest.approx(1)
    n = total
    disagreement = 1 - np.trace(observed)
    by_chance = (1 - np.trace(expected)) * n / (n - 1)
    assert 1 - disagreement / by_chance == pytest.approx(reliability.krippendorff_alpha(counts))


def test_an_ellipse_of_normal_points_holds_about_two_thirds_of_them():
    rng = np.random.default_rng(3)
    turn = math.radians(30)
    points = rng.standard_normal((20_000, 2)) * [0.4, 0.1] @ [[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]
    shape = breakdown.ellipse(points + np.array([0.2, -0.3]))
    assert (shape.valence, shape.arousal) == pytest.approx((0.2, -0.3), abs=0.02)
    assert shape.angle == pytest.approx(30, abs=1)
    assert shape.long / shape.short == pytest.approx(4, rel=0.03)
    back = points @ [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
    inside = (back[:, 0] / shape.long) ** 2 + (back[:, 1] / shape.short) ** 2 <= 1
    assert inside.mean() == pytest.approx(2 / 3, abs=0.015)
    assert breakdown.ellipse(points[:2]) is None
