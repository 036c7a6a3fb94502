from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.methods.splits import PAPER_PARTS, draw_folds, draw_parts

LABELS = ("positive", "neutral", "negative")
ITEMS = st.lists(st.tuples(st.sampled_from(LABELS), st.integers(0, 25)), min_size=1, max_size=120)


def test_it_is_80_10_10_and_stratified():
    labels = [LABELS[number % 3] for number in range(300)]
    parts = draw_parts(labels, [str(number) for number in range(300)], seed=5)
    assert Counter(parts) == {"train": 240, "validation": 30, "test": 30}
    assert Counter(label for label, part in zip(labels, parts, strict=True) if part == "test") == dict.fromkeys(LABELS, 10)


def test_the_sizes_of_the_paper_come_out():
    labels = ["neutral"] * 156 + ["positive"] * 120 + ["negative"] * 85
    tracks, sizes = [str(number) for number in range(361)], {"train": 291, "validation": 34, "test": 36}
    for seed in range(5):
        parts = draw_parts(labels, tracks, seed=seed, sizes=sizes)
        assert Counter(parts) == sizes
        test = Counter(label for label, part in zip(labels, parts, strict=True) if part == "test")
        assert all(abs(test[label] - 36 * count / 361) < 1 for label, count in Counter(labels).items()), "stratified"
    by_artist = Counter(draw_parts(labels, [str(number // 3) for number in range(361)], seed=1, sizes=sizes))
    assert all(abs(by_artist[part] - size) <= 3 for part, size in sizes.items()), "as nearly as whole artists allow"
    for rare in ("abcdef", "aabbcc", "aab"):  # labels that there are fewer of than parts
        third = {part: len(rare) // 3 for part in sizes}
        assert Counter(draw_parts(list(rare), list("uvwxyz"[: len(rare)]), seed=1, sizes=third)) == third
    with pytest.raises(ValueError, match="add up to 361"):
        draw_parts(labels, tracks, seed=1, sizes=sizes | {"test": 37})


def test_the_seed_decides():
    labels, groups = [LABELS[n % 3] for n in range(60)], [str(n) for n in range(60)]
    assert draw_parts(labels, groups, seed=1) == draw_parts(labels, groups, seed=1)
    assert draw_parts(labels, groups, seed=1) != draw_parts(labels, groups, seed=2)


def test_bad_input_is_refused_by_name():
    with pytest.raises(ValueError, match="2 labels but 1 groups"):
        draw_parts(["a", "b"], ["x"], seed=0)
    with pytest.raises(ValueError, match="add up to 1"):
        draw_parts(["a"], ["x"], seed=0, parts={"train": 0.5})


@settings(deadline=None)
@given(ITEMS, st.integers(0, 1000))
def test_a_group_is_never_torn_and_no_part_stays_empty(items, seed):
    labels, groups = [label for label, _ in items], [f"g{group}" for _, group in items]
    parts = draw_parts(labels, groups, seed=seed)
    assert set(parts) <= set(PAPER_PARTS)
    where: dict[str, set[str]] = {}
    for group, part in zip(groups, parts, strict=True):
        where.setdefault(group, set()).add(part)
    assert all(len(found) == 1 for found in where.values())
    assert len(set(parts)) == min(3, len(where))


@settings(deadline=None, max_examples=30)
@given(st.integers(60, 300), st.integers(0, 100))
def test_without_groups_every_part_is_within_three_tracks_of_its_share(n, seed):
    labels = [LABELS[(number * number) % 3] for number in range(n)]
    counts = Counter(draw_parts(labels, [str(number) for number in range(n)], seed=seed))
    for part, share in PAPER_PARTS.items():
        assert abs(counts[part] - share * n) <= 3


KEPT = st.lists(st.sampled_from(["", "fold 1", "fold 2", "fold 3", "fold 4", "fold 9"]), min_size=120, max_size=120)


@settings(deadline=None)
@given(ITEMS, KEPT, st.integers(0, 1000))
def test_a_group_that_stood_in_several_folds_comes_together_in_the_one_that_holds_most_of_it(items, kept, seed):
    labels, groups = [label for label, _ in items], [f"g{group}" for _, group in items]
    kept = kept[: len(items)]
    folds = draw_folds(labels, groups, seed=seed, n_folds=4, kept=kept)
    stays = []
    for group in set(groups):
        mine = {fold for fold, other in zip(folds, groups, strict=True) if other == group}
        assert len(mine) == 1
        held = Counter(fold for fold, other in zip(kept, groups, strict=True) if other == group and fold not in ("", "fold 9"))
        stays.append(not held or held[mine.pop()] == max(held.values()))
    assert all(stays) or folds == draw_folds(labels, groups, seed=seed, n_folds=4), "all are kept, or none"


def test_where_groups_come_together_and_leave_a_label_in_one_fold_none_is_kept():
    labels = ["other"] * 30 + ["rare"] * 5
    groups = [f"g{number}" for number in range(30)] + ["a", "a", "a", "b", "b"]
    kept = [f"fold {number % 5 + 1}" for number in range(30)] + ["fold 1", "fold 1", "fold 2", "fold 1", "fold 1"]
    folds = draw_folds(labels, groups, seed=1, kept=kept)
    assert len(set(folds[30:])) == 2 and folds == draw_folds(labels, groups, seed=1)
    groups[30:] = ["a"] * 5  # of one artist: nothing can be done
    folds = draw_folds(labels, groups, seed=1, kept=kept)
    assert folds[:30] == kept[:30] and set(folds[30:]) == {"fold 1"}


def test_twenty_thousand_tracks_are_drawn_to_their_shares():
    labels = [LABELS[number * 7 % 3] for number in range(20_000)]
    parts = draw_parts(labels, [f"artist {number // 2}" for number in range(20_000)], seed=1)
    for part, share in PAPER_PARTS.items():
        assert abs(parts.count(part) / 20_000 - share) < 0.005


def test_a_draw_with_every_label_in_every_part_is_taken_before_a_nearer_one():
    rng = np.random.default_rng(41)
    n = int(rng.integers(30, 60))
    labels = [str(label) for label in rng.choice(list("abc"), n, p=[0.6, 0.28, 0.12])]
    groups = [f"artist {number}" for number in rng.integers(0, n // 3, n)]
    assert len(set(zip(draw_parts(labels, groups, seed=1), labels, strict=True))) == 9
