"""How far labels can be doubted, against cleanlab."""

import math

import numpy as np
import pytest
from cleanlab.rank import get_label_quality_ensemble_scores, get_label_quality_scores
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_entropy

from annotate.methods import doubt

LABELS = ("positive", "neutral", "negative")


def some(seed: int, n: int = 20):
    rng = np.random.default_rng(seed)
    return rng.dirichlet([1, 1, 1], size=n), rng.integers(0, 3, n)


def named(row):
    return dict(zip(LABELS, row.tolist(), strict=True))


def test_one_model_s_quality_is_cleanlab_s_self_confidence():
    P, labels = some(1)
    mine = [doubt.model_quality(LABELS[label], [named(row)]) for row, label in zip(P, labels, strict=True)]
    assert mine == pytest.approx(get_label_quality_scores(labels, P, method="self_confidence").tolist())


def test_several_models_quality_is_cleanlab_s_uniform_ensemble():
    many = [some(seed)[0] for seed in range(4)]
    labels = some(9)[1]
    theirs = get_label_quality_ensemble_scores(
        labels, many, method="self_confidence", weight_ensemble_members_by="uniform", verbose=False
    )
    mine = [doubt.model_quality(LABELS[label], [named(P[place]) for P in many]) for place, label in enumerate(labels)]
    assert mine == pytest.approx(theirs.tolist())


def test_without_a_model_or_with_one_that_does_not_know_the_label_there_is_no_quality():
    with pytest.raises(ValueError, match="no model"):
        doubt.model_quality("positive", [])
    with pytest.raises(ValueError, match="does not know the label 'odd'"):
        doubt.model_quality("odd", [named(some(1)[0][0])])


@given(st.lists(st.integers(0, 20), min_size=2, max_size=5))
def test_entropy_is_scipy_s_as_a_share_of_the_highest(counts):
    found = doubt.entropy({str(number): n for number, n in enumerate(counts)})
    if sum(counts) == 0:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(scipy_entropy(counts) / math.log(len(counts)), abs=1e-12)
        assert 0 <= found <= 1 + 1e-12
