"""Alpha and kappa against independent implementations, known values, and what must hold for any table."""

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_kappa

from annotate.methods import reliability

NAN = np.nan
CLASSIC = [  # Krippendorff's example of 4 observers and 12 units
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
    [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
]
SECOND = [  # and of 3 observers and 15 units
    [NAN, NAN, NAN, NAN, NAN, 3, 4, 1, 2, 1, 1, 3, 3, NAN, 3],
    [1, NAN, 2, 1, 3, 3, 4, 3, NAN, NAN, NAN, NAN, NAN, NAN, NAN],
    [NAN, NAN, 2, 1, 3, 4, 4, NAN, 2, 1, 1, 3, 3, NAN, 4],
]
FLEISS = [  # Fleiss 1971, table 1 as on Wikipedia: 14 raters, 10 subjects, 5 categories
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip
tables = st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=2, max_size=25).map(np.array)


def counted(ratings: list[list[float]]) -> np.ndarray:
    """Observers x units -> units x values."""
    data = np.array(ratings)
    values = np.unique(data[~np.isnan(data)])
    return np.array([[(unit == value).sum() for value in values] for unit in data.T])


@pytest.mark.parametrize(
    ("ratings", "level", "value"),
    [
        (CLASSIC, "nominal", 0.7434), (CLASSIC, "ordinal", 0.8154), (CLASSIC, "interval", 0.8491),
        (SECOND, "nominal", 0.6914), (SECOND, "ordinal", 0.8067), (SECOND, "interval", 0.8108),
    ],
)  # fmt: skip
def test_alpha_has_its_known_values(ratings, level, value):
    assert reliability.krippendorff_alpha(counted(ratings), level=level) == pytest.approx(value, abs=5e-5)


def test_kappa_has_its_known_value_and_that_of_statsmodels():
    assert reliability.fleiss_kappa(FLEISS) == pytest.approx(0.2099, abs=5e-5)
    assert reliability.fleiss_kappa(FLEISS) == pytest.approx(statsmodels_kappa(np.array(FLEISS)), abs=1e-12)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@given(counts=tables)
def test_alpha_is_that_of_the_krippendorff_package(level, counts):
    kept = counts[counts.sum(axis=1) >= 2]
    assume(len(kept) >= 1 and (kept.sum(axis=0) > 0).sum() >= 2)
    expected = krippendorff.alpha(value_counts=counts, value_domain=[0, 1, 2], level_of_measurement=level)
    assert reliability.krippendorff_alpha(counts, level=level) == pytest.approx(expected, abs=1e-9)


@given(st.integers(2, 8), st.lists(st.integers(0, 10**6), min_size=3, max_size=30))
def test_kappa_is_that_of_statsmodels_for_equal_numbers_of_raters(n, seeds):
    counts = np.array([np.random.default_rng(seed).multinomial(n, [0.5, 0.3, 0.2]) for seed in seeds])
    assume((counts.sum(axis=0) > 0).sum() >= 2)
    assert reliability.fleiss_kappa(counts) == pytest.approx(statsmodels_kappa(counts), abs=1e-9)


@given(tables)
def test_the_order_of_the_tracks_does_not_matter(counts):
    shuffled = counts[np.random.default_rng(0).permutation(len(counts))]
    for level in ("nominal", "ordinal", "interval"):
        one, other = (reliability.krippendorff_alpha(table, level=level) for table in (counts, shuffled))
        assert one == pytest.approx(other, nan_ok=True)


def test_perfect_agreement_is_one_and_guessing_is_about_zero():
    assert reliability.krippendorff_alpha([[5, 0, 0], [0, 5, 0], [0, 0, 5]]) == pytest.approx(1)
    rng = np.random.default_rng(1)
    guessed = rng.multinomial(5, [1 / 3] * 3, size=4000)
    assert abs(reliability.krippendorff_alpha(guessed)) < 0.02
    assert abs(reliability.fleiss_kappa(guessed)) < 0.02


def test_nothing_to_compare_is_not_a_number():
    for table in ([[1, 0], [0, 1]], [[3, 0], [4, 0]], np.zeros((0, 3), int)):
        assert np.isnan(reliability.krippendorff_alpha(table))
        assert np.isnan(reliability.fleiss_kappa(table))
    assert all(np.isnan(value) for value in reliability.alpha_interval([[3, 2]], seed=1))


@pytest.mark.parametrize("table", [[[1, -1]], [1, 2, 3]])
def test_what_is_no_table_of_counts_is_refused(table):
    with pytest.raises(ValueError, match="non-negative"):
        reliability.krippendorff_alpha(table)


def test_an_unknown_level_and_a_wrong_number_of_values_are_refused():
    with pytest.raises(ValueError, match="is no level"):
        reliability.krippendorff_alpha([[2, 1], [1, 2]], level="ratio")
    with pytest.raises(ValueError, match="need 2 values"):
        reliability.krippendorff_alpha([[2, 1], [1, 2]], level="interval", values=[1, 2, 3])


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_the_interval_is_that_of_drawing_tracks_one_by_one(level):
    counts = np.random.default_rng(3).multinomial(5, [0.5, 0.3, 0.2], size=150)
    counts[:100, 0] += 2
    low, high = reliability.alpha_interval(counts, seed=1, draws=2000, level=level)
    rng = np.random.default_rng(9)
    drawn = [reliability.krippendorff_alpha(counts[rng.integers(0, 150, 150)], level=level) for _ in range(800)]
    assert (low, high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.015)
    assert low < reliability.krippendorff_alpha(counts, level=level) < high


def test_the_same_seed_gives_the_same_interval_and_many_labels_fit():
    counts = np.random.default_rng(3).multinomial(5, [1 / 28] * 28, size=300)
    assert reliability.alpha_interval(counts, seed=4, draws=50) == reliability.alpha_interval(counts, seed=4, draws=50)
    low, high = reliability.kappa_interval(counts, seed=4, draws=200)
    assert low < reliability.fleiss_kappa(counts) < high
