"""Clues beside the sound, against a plain loop over the tracks."""

from collections import Counter

import numpy as np
import pytest

from datasets.methods import leakage


def plain(bins, labels):
    right = 0
    for number, label in enumerate(labels):
        others = Counter(other for k, other in enumerate(labels) if k != number and bins[k] == bins[number])
        best = min(sorted(set(labels)), key=lambda name: -others[name])
        right += best == label
    return right / len(labels)


@pytest.mark.parametrize("seed", range(5))
def test_the_accuracy_is_that_of_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    labels = list(rng.choice(["a", "b", "c"], 60))
    codec = list(rng.choice(["mp3", "flac", ""], 60))
    [clue] = leakage.clues(labels, {"codec": codec}, seed=1)
    assert clue.accuracy == pytest.approx(plain(codec, labels))
    assert clue.n == 60


def test_a_format_that_tells_the_label_is_found_and_one_that_does_not_is_not():
    labels = ["sad", "happy"] * 30
    telling = [{"sad": "flac", "happy": "mp3"}[label] for label in labels]
    numbers = [float(number // 2) for number in range(60)]
    found = {
        clue.name: clue for clue in leakage.clues(labels, {"codec": telling, "length": numbers, "source": ["file"] * 60}, seed=1)
    }
    assert set(found) == {"codec", "length"}
    assert found["codec"].accuracy == 1 and found["codec"].p == pytest.approx(1 / 501)
    assert found["length"].p > 0.05


def test_the_same_seed_gives_the_same_report():
    labels, values = ["a", "b", "b", "a", "b"], {"loudness": [1.0, None, 3.0, 2.0, 9.0]}
    assert leakage.clues(labels, values, seed=4) == leakage.clues(labels, values, seed=4)
