import krippendorff
import numpy as np
import pytest

from annotate.methods.reliability import alpha_interval, krippendorff_alpha

NAN = np.nan
# Krippendorff's classic example: 4 raters x 12 units.
CLASSIC = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
)


def counts_of(table: np.ndarray) -> np.ndarray:
    labels = np.unique(table[~np.isnan(table)])
    return np.array([[np.sum(column == label) for label in labels] for column in table.T])


def test_the_classic_example_gives_0_7434():
    assert krippendorff_alpha(counts_of(CLASSIC)) == pytest.approx(0.7434, abs=5e-5)


@pytest.mark.parametrize("seed", range(5))
def test_it_equals_an_independent_implementation_on_random_tables(seed):
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 3, size=(6, 40)).astype(float)
    table[rng.random(table.shape) < 0.3] = NAN
    expected = krippendorff.alpha(reliability_data=table, level_of_measurement="nominal")
    assert krippendorff_alpha(counts_of(table)) == pytest.approx(expected, abs=1e-12)


def test_perfect_agreement_is_1_and_one_label_only_is_undefined():
    assert krippendorff_alpha([[5, 0], [0, 5]]) == 1
    assert np.isnan(krippendorff_alpha([[5, 0], [5, 0]]))


def test_the_interval_holds_the_estimate_and_is_repeatable():
    rng = np.random.default_rng(3)
    counts = rng.multinomial(5, [0.5, 0.3, 0.2], size=100) + np.eye(3, dtype=int)[rng.integers(0, 3, 100)] * 3
    low, high = alpha_interval(counts, seed=1)
    assert low < krippendorff_alpha(counts) < high
    assert (low, high) == alpha_interval(counts, seed=1)


def test_the_interval_equals_a_plain_bootstrap_of_the_same_weights():
    counts = np.array([[5, 0, 0], [3, 2, 0], [1, 1, 3], [0, 5, 0], [2, 2, 1]])
    weights = np.random.default_rng(7).multinomial(5, np.full(5, 0.2), size=200)
    values = [krippendorff_alpha(np.repeat(counts, row, axis=0)) for row in weights]
    expected = np.nanquantile(values, [0.025, 0.975])
    assert alpha_interval(counts, seed=7, draws=200) == pytest.approx(tuple(expected))
