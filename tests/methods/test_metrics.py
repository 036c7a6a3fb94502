import itertools
import math
from collections import Counter
from itertools import product

import numpy as np
import pytest
from sklearn import metrics as reference
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests
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
    found = metrics.one_rater([[4, 1, 0]], ["a"], floor=0.0)  # four agree with the others' label, one does not
    assert (found.accuracy.value, found.n) == (0.8, 5)
    found = metrics.one_rater(
        [[2, 2, 1]], ["a"], floor=0.0
    )  # without one of two, the other two lead; without the one they are tied
    assert (found.accuracy.value, found.n) == (0.0, 4)
    assert metrics.one_rater([[1, 0, 0], [0, 0, 0]], ["a", "b"], floor=0.0) is None
    assert metrics.one_rater([], [], floor=0.0) is None


def test_one_rater_is_that_of_a_plain_loop():
    table = np.random.default_rng(5).integers(0, 4, (30, 3))
    groups = [f"g{number % 7}" for number in range(30)]
    named, true = [], []
    for row in table:
        votes = [label for label, times in enumerate(row) for _ in range(times)]
        for place, vote in enumerate(votes):
            others = np.bincount(votes[:place] + votes[place + 1 :], minlength=3)
            if others.max() and (others == others.max()).sum() == 1:
                named.append(vote)
                true.append(others.argmax())
    found = metrics.one_rater(table, groups, floor=0.0)
    assert found.n == len(true)
    assert found.accuracy.value == pytest.approx(reference.accuracy_score(true, named))
    assert found.macro_f1.value == pytest.approx(reference.f1_score(true, named, average="macro"))
    for interval in (found.accuracy, found.macro_f1):
        assert interval.low < interval.value < interval.high


@pytest.mark.parametrize(("n_labels", "floor"), [(3, 0.6), (4, 0.4)])
def test_raters_who_guess_agree_more_often_than_chance_on_the_tracks_that_an_agreement_rule_keeps(n_labels, floor):
    kept, right, judged = [], 0, 0
    for row in product(range(n_labels), repeat=5):
        votes = np.bincount(row, minlength=n_labels)
        if votes.max() / 5 >= floor and (votes == votes.max()).sum() == 1:
            kept.append(votes)
            for place, vote in enumerate(row):
                others = np.bincount(row[:place] + row[place + 1 :], minlength=n_labels)
                if (others == others.max()).sum() == 1:
                    judged, right = judged + 1, right + int(others.argmax() == vote)
    found = metrics.guessing_raters(kept, floor=floor)
    assert found == pytest.approx(right / judged, abs=0.01) and found > 1 / n_labels + 0.1
    assert metrics.one_rater(kept, [str(number) for number in range(len(kept))], floor=floor).chance == found


def test_of_guesses_that_hardly_ever_agree_as_much_nothing_is_said():
    assert metrics.guessing_raters([[19, 1, 0], [0, 1, 19]], floor=0.95) is None
    assert metrics.one_rater([[19, 1, 0], [0, 1, 19]], ["a", "b"], floor=0.95).chance is None


def panel(seed=3, n=240, n_groups=40):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    logits = rng.normal(size=(n, 3)) + 1.5 * np.eye(3)[truth]
    P = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    votes = np.array([rng.multinomial(5, row) for row in P])
    return P, truth, votes / 5, [f"g{number}" for number in rng.integers(0, n_groups, n)]


def test_the_figures_equal_scikit_learns():
    P, truth, shares, groups = panel()
    found = metrics.figures(P, truth, shares, groups, random=0.33)
    assert found.accuracy.value == pytest.approx(reference.accuracy_score(truth, P.argmax(axis=1)))
    assert found.macro_f1.value == pytest.approx(reference.f1_score(truth, P.argmax(axis=1), average="macro"))
    assert found.log_loss.value == pytest.approx(reference.log_loss(truth, P))
    assert [row.value for row in found.recalls] == pytest.approx(
        list(reference.recall_score(truth, P.argmax(axis=1), average=None))
    )
    one_hot = metrics.figures(P, truth, np.eye(3)[truth], groups, random=0.33)
    assert one_hot.cross_entropy.value == pytest.approx(found.log_loss.value)
    for row in (found.accuracy, found.macro_f1, found.log_loss, found.cross_entropy, found.ece, *found.recalls):
        assert row.low <= row.high and row.low - 0.05 <= row.value <= row.high + 0.05


def test_the_calibration_error_is_that_of_a_plain_loop():
    P, truth, shares, groups = panel(seed=5)
    error = 0.0
    for number in range(10):
        inside = [k for k in range(len(truth)) if number / 10 < P[k].max() <= (number + 1) / 10]
        if inside:
            sure = np.mean([P[k].max() for k in inside])
            right = np.mean([P[k].argmax() == truth[k] for k in inside])
            error += len(inside) / len(truth) * abs(sure - right)
    found = metrics.figures(P, truth, shares, groups, random=0.33)
    assert found.ece.value == pytest.approx(error)
    assert sum(row.n for row in found.bins) == len(truth)


def test_the_intervals_are_those_of_a_plain_bootstrap_over_groups():
    P, truth, shares, groups = panel(seed=7, n=160, n_groups=20)
    found = metrics.figures(P, truth, shares, groups, random=0.33)
    names, rng = sorted(set(groups)), np.random.default_rng(0)
    right = P.argmax(axis=1) == truth
    draws = []
    for _ in range(4000):
        chosen = rng.choice(names, len(names))
        places = np.concatenate([[k for k, group in enumerate(groups) if group == name] for name in chosen])
        draws.append(right[places].mean())
    assert (found.accuracy.low, found.accuracy.high) == pytest.approx(tuple(np.percentile(draws, [2.5, 97.5])), abs=0.015)
    assert found.n_groups == 20


def test_a_label_that_does_not_occur_has_no_recall_and_nothing_to_judge_is_refused():
    P = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1]])
    found = metrics.figures(P, [0, 1], P, ["a", "b"], random=0.5)
    assert math.isnan(found.recalls[2].value) and found.accuracy.value == 1
    with pytest.raises(ValueError, match="no track"):
        metrics.figures(np.empty((0, 3)), [], np.empty((0, 3)), [], random=0.5)


@pytest.mark.parametrize("votes", [(4, 2, 1), (3, 3, 2), (6, 0, 0), (2, 2, 2)])
def test_a_panel_of_five_raters_is_what_drawing_every_panel_gives(votes):
    labels = [label for label, n in enumerate(votes) for _ in range(n)]
    right = judged = 0
    for chosen in itertools.combinations(range(len(labels)), 5):
        panel_votes = Counter(labels[k] for k in chosen)
        others = Counter(labels[k] for k in range(len(labels)) if k not in chosen)
        tops = []
        for counted in (panel_votes, others):
            best = max(counted.values())
            tops.append([label for label, n in counted.items() if n == best])
        if len(tops[0]) == len(tops[1]) == 1:
            judged += 1
            right += tops[0] == tops[1]
    share, n = metrics.five_raters([votes, (3, 1, 1)])
    assert n == (1 if judged else 0)
    assert share == pytest.approx(right / judged) if judged else math.isnan(share)


@pytest.mark.parametrize("seed", range(3))
def test_several_comparisons_are_adjusted_as_statsmodels_does(seed):
    ps = list(np.random.default_rng(seed).random(7) ** 3)
    assert comparison.holm(ps) == pytest.approx(list(multipletests(ps, method="holm")[1]))


def test_verdicts_together_say_that_they_are_adjusted_and_a_single_one_stays():
    one = comparison.mcnemar([True] * 6 + [False] * 20, [False] * 6 + [False] * 20, ("A", "B"))
    assert one.p == pytest.approx(0.03125) and "is better than" in one.words
    first, *_rest = comparison.together([one, one, one])
    assert first.p_adjusted == pytest.approx(3 * 0.03125) and "can’t tell A and B apart" in first.words and "Holm" in first.words
    assert comparison.together([one]) == [one]


def test_where_all_are_right_the_interval_is_wilsons_on_the_number_of_groups():
    groups = ["a", "a", "a", "b", "b", "c", "d"]
    found = metrics.share_interval([True] * 7, groups)
    assert (found.value, found.low, found.high) == (1, *metrics.wilson_interval(4, 4))
    none = metrics.share_interval([False] * 7, groups)
    assert (none.value, none.low, none.high) == (0, *metrics.wilson_interval(0, 4))


def test_the_interval_of_the_calibration_error_holds_its_value_and_zero_where_a_model_is_calibrated():
    held = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        P = rng.dirichlet([2, 2, 2], 150)
        truth = np.array([rng.choice(3, p=row) for row in P])
        found = metrics.figures(P, truth, np.eye(3)[truth], [str(n) for n in range(150)], random=0.33).ece
        assert 0 <= found.low <= found.value <= found.high
        held += found.low < 0.01
    few = metrics.figures(P, truth, np.eye(3)[truth], [str(n % 9) for n in range(150)], random=0.33).ece
    assert np.isnan([few.low, few.high]).all(), "of nine artists it would hold the truth too seldom"
    assert held >= 24, "most intervals reach down to the error of a calibrated model, which is none"


def test_a_label_that_is_answered_once_and_never_true_counts_in_every_draw_of_the_interval():
    """Else the draws without that answer would be a mean over two labels, and the value one over three."""
    truth = np.array([0, 1] * 20)
    P = np.eye(3)[truth]
    P[0] = (0, 0, 1)
    found = metrics.figures(P, truth, np.eye(3)[truth], [str(number) for number in range(40)], random=0.5)
    assert found.macro_f1.value == pytest.approx(reference.f1_score(truth, P.argmax(axis=1), average="macro"))
    assert found.macro_f1.value < found.macro_f1.high <= 2 / 3 + 1e-9
