"""Paired differences with their intervals, against a plain loop."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score
from statsmodels.stats.multitest import multipletests

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
        assert interval.value == 0 and np.isnan(interval.low) and np.isnan(interval.high), "it cannot be told how sure that is"


def verdict_on(right, groups):
    truth = [0] * len(groups)
    first, second = ([0 if ok else 1 for ok in row] for row in right)
    return with_differences(mcnemar(*right, ("A", "B")), truth, first, second, groups, n_labels=2)


def test_twelve_tracks_of_one_artist_make_no_better_model():
    groups = ["one"] * 12 + [f"g{n}" for n in range(28)]
    verdict = verdict_on(([True] * 40, [False] * 12 + [True] * 28), groups)
    assert verdict.p < 0.001 and "can’t tell A and B apart: track by track they differ" in verdict.words


def test_an_interval_that_leaves_out_zero_is_no_more_than_a_hint_where_the_tracks_say_nothing():
    groups = [f"g{n // 2}" for n in range(24)]
    verdict = verdict_on(([True] * 24, [n not in (0, 3, 6, 9, 12) for n in range(24)]), groups)
    assert verdict.p > 0.05 and verdict.accuracy.low > 0
    assert verdict.words.startswith("24 tracks hint that A is better than B, no more")


def test_few_artists_are_said_to_be_few():
    groups = [f"g{n % 4}" for n in range(40)]
    words = verdict_on(([True] * 40, [n % 3 > 0 for n in range(40)]), groups).words
    assert "With 4 artists only, these intervals are too narrow" in words
    alone = verdict_on(([True] * 40, [n % 3 > 0 for n in range(40)]), ["one"] * 40).words
    assert "no interval, for no draw of artists differs" in alone and "nan" not in alone


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


def test_two_models_that_differ_alike_for_every_artist_are_told_apart():
    truth, groups = [0] * 30, [f"a{number}" for number in range(30)]
    verdict = comparison.mcnemar([True] * 30, [False] * 30, ("A", "B"))
    found = comparison.with_differences(verdict, truth, [0] * 30, [1] * 30, groups, n_labels=2)
    assert "A is better than B" in found.words and "holds zero" not in found.words
    assert "no draw of artists differs" in found.words


def test_of_one_artist_alone_nothing_is_claimed_and_the_reason_is_said():
    verdict = comparison.mcnemar([True] * 12, [False] * 12, ("A", "B"))
    found = comparison.with_differences(verdict, [0] * 12, [0] * 12, [1] * 12, ["a"] * 12, n_labels=2)
    assert "can’t tell A and B apart" in found.words and "all of them are of one artist" in found.words


def test_the_resampled_t_is_adjusted_with_the_rest_and_says_so():
    def one(name: str) -> comparison.Verdict:
        rng = np.random.default_rng(len(name))
        first, second = rng.integers(0, 2, (2, 40)).tolist()
        draws = [[rng.integers(-1, 2, 8).tolist() for _fold in range(5)]]
        verdict = comparison.mcnemar([guess == 0 for guess in first], [guess == 0 for guess in second], (name, "B"))
        return comparison.with_differences(
            verdict, [0] * 40, first, second, [f"g{n % 9}" for n in range(40)], n_labels=2, draws=draws
        )

    alone = [one("A"), one("AA"), one("AAA")]
    adjusted = comparison.together(alone)
    wanted = multipletests([verdict.p_resampled for verdict in alone], method="holm")[1]
    assert [verdict.p_resampled for verdict in adjusted] == pytest.approx(list(wanted))
    assert all("adjusted likewise" in verdict.words for verdict in adjusted)
    assert "adjusted" not in alone[0].words


def test_models_that_learn_from_their_validation_part_have_the_larger_training_part():
    draws = [[[1, 0, 1, 0], [0, 0, 1, 0], [1, 1, 0, 0], [0, 1, 0, -1], [0, 0, 0, 1]]]
    verdict = comparison.mcnemar([True] * 20, [True] * 20, ("A", "B"))
    ps = {}
    for validates in (True, False):
        found = comparison.with_differences(
            verdict, [0] * 20, [0] * 20, [0] * 20, [str(n) for n in range(20)], n_labels=2, draws=draws, validates=validates
        )
        ps[validates] = found.p_resampled
    means = [np.mean(fold) for fold in draws[0]]
    assert ps[True] == pytest.approx(comparison.corrected_resampled_t(means, n_train=12, n_test=4))
    assert ps[False] == pytest.approx(comparison.corrected_resampled_t(means, n_train=16, n_test=4))
    assert ps[False] < ps[True]
