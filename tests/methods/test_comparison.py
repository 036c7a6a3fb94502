"""Paired differences with their intervals, against a plain loop."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score

from mer.methods import comparison
from mer.methods.comparison import mcnemar, paired_bootstrap, with_differences


def case(seed=1, n=120):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    first = np.where(rng.random(n) < 0.7, truth, rng.integers(0, 3, n))
    second = np.where(rng.random(n) < 0.45, truth, rng.integers(0, 3, n))
    return list(truth), list(first), list(second), [f"g{number // 4}" for number in range(n)]


def test_the_differences_are_scikit_learns():
    truth, first, second, groups = case()
    accuracy, macro_f1 = paired_bootstrap(truth, first, second, groups, n_labels=3)
    assert accuracy.value == pytest.approx(accuracy_score(truth, first) - accuracy_score(truth, second))
    assert macro_f1.value == pytest.approx(f1_score(truth, first, average="macro") - f1_score(truth, second, average="macro"))
    assert accuracy.low < accuracy.value < accuracy.high


def test_the_interval_is_that_of_drawing_whole_groups_in_a_loop():
    truth, first, second, groups = case()
    rng = np.random.default_rng(9)
    names = sorted(set(groups))
    members = {name: [k for k, group in enumerate(groups) if group == name] for name in names}
    t, a, b = (np.array(values) for values in (truth, first, second))
    draws = []
    for _ in range(2000):
        chosen = [k for name in rng.choice(names, len(names)) for k in members[name]]
        draws.append((a[chosen] == t[chosen]).mean() - (b[chosen] == t[chosen]).mean())
    accuracy, _ = paired_bootstrap(truth, first, second, groups, n_labels=3)
    assert (accuracy.low, accuracy.high) == pytest.approx(tuple(np.percentile(draws, [2.5, 97.5])), abs=0.02)


def test_a_model_does_not_differ_from_itself():
    truth, first, _second, groups = case()
    for interval in paired_bootstrap(truth, first, first, groups, n_labels=3):
        assert (interval.value, interval.low, interval.high) == (0, 0, 0)


def test_the_verdict_says_the_difference_in_words():
    truth, first, second, groups = case(n=600)
    right = [[guess == true for guess, true in zip(row, truth, strict=True)] for row in (first, second)]
    verdict = with_differences(mcnemar(*right, ("A", "B")), truth, first, second, groups, n_labels=3)
    assert "A is better than B" in verdict.words and "Accuracy differs by +" in verdict.words and verdict.accuracy.low > 0


def test_the_corrected_resampled_t_widens_a_plain_one_as_nadeau_and_bengio_say():
    rng = np.random.default_rng(0)
    differences = rng.normal(0.05, 0.05, 10)
    plain = stats.ttest_1samp(differences, 0)
    found = comparison.corrected_resampled_t(differences.tolist(), n_train=80, n_test=20)
    statistic = plain.statistic * np.sqrt((1 / 10) / (1 / 10 + 20 / 80))
    assert found == pytest.approx(2 * stats.t.sf(abs(statistic), 9)) and found > plain.pvalue
    nearly_plain = comparison.corrected_resampled_t(differences.tolist(), n_train=1e9, n_test=1)
    assert nearly_plain == pytest.approx(plain.pvalue, rel=1e-6)


def test_equal_differences_have_no_spread_and_one_round_is_refused():
    assert comparison.corrected_resampled_t([0.1, 0.1, 0.1], n_train=8, n_test=2) is None
    with pytest.raises(ValueError, match="two rounds"):
        comparison.corrected_resampled_t([0.1], n_train=8, n_test=2)
