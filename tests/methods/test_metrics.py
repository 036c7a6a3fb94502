import math

import numpy as np
import pytest
from sklearn import metrics as reference
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.proportion import proportion_confint

from mer.methods import comparison, metrics


@pytest.mark.parametrize("seed", range(4))
def test_accuracy_f1_and_confusion_equal_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, 3, 50), rng.integers(0, 3, 50)
    table = metrics.confusion_matrix(truth, predicted, 3)
    np.testing.assert_array_equal(table, reference.confusion_matrix(truth, predicted, labels=range(3)))
    assert metrics.accuracy(table) == pytest.approx(reference.accuracy_score(truth, predicted))
    assert metrics.macro_f1(table) == pytest.approx(reference.f1_score(truth, predicted, average="macro"))


@pytest.mark.parametrize(("correct", "n"), [(21, 36), (15, 36), (0, 5), (5, 5), (1, 1)])
def test_the_interval_is_wilsons(correct, n):
    assert metrics.wilson_interval(correct, n) == pytest.approx(proportion_confint(correct, n, method="wilson"))


def test_the_paper_s_best_result_could_be_anything_from_42_to_73_percent():
    low, high = metrics.wilson_interval(21, 36)
    assert (round(low, 2), round(high, 2)) == (0.42, 0.73)


def test_the_majority_is_the_training_part_s():
    assert metrics.majority_accuracy([0, 0, 1], [1, 1, 0, 0]) == 0.5


def test_impossible_input_is_refused():
    with pytest.raises(ValueError, match=r"0\.\.2"):
        metrics.confusion_matrix([3], [0], 3)
    with pytest.raises(ValueError, match="impossible"):
        metrics.wilson_interval(4, 3)


@pytest.mark.parametrize("seed", range(4))
def test_mcnemar_equals_statsmodels(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.random(40) < 0.8, rng.random(40) < 0.5
    table = [[int((a == first).astype(int) @ (b == second).astype(int)) for b in (True, False)] for a in (True, False)]
    verdict = comparison.mcnemar(first.tolist(), second.tolist(), ("cnn", "crnn"))
    assert verdict.p == pytest.approx(reference_mcnemar(table, exact=True).pvalue)


def test_the_verdict_says_when_the_data_cannot_tell():
    verdict = comparison.mcnemar([True, False, True], [True, True, True], ("cnn #1", "crnn #2"))
    assert verdict.words.startswith("3 tracks can’t tell cnn #1 and crnn #2 apart")
    assert "cnn #1 is better" in comparison.mcnemar([True] * 12, [False] * 12, ("cnn #1", "crnn #2")).words


def test_one_rater_is_judged_by_the_others_of_the_same_track():
    assert metrics.one_rater([[4, 1, 0]]) == (0.8, 5)  # four agree with the others' label, one does not
    assert metrics.one_rater([[2, 2, 1]]) == (0.0, 4)  # without one of two, the other two lead; without the one they are tied
    share, n = metrics.one_rater([[1, 0, 0], [0, 0, 0]])
    assert math.isnan(share) and n == 0


def test_one_rater_is_that_of_a_plain_loop():
    table = np.random.default_rng(5).integers(0, 4, (30, 3))
    right = judged = 0
    for row in table:
        votes = [label for label, times in enumerate(row) for _ in range(times)]
        for place, vote in enumerate(votes):
            others = np.bincount(votes[:place] + votes[place + 1 :], minlength=3)
            if others.max() and (others == others.max()).sum() == 1:
                judged += 1
                right += vote == others.argmax()
    assert metrics.one_rater(table) == (pytest.approx(right / judged), judged)
