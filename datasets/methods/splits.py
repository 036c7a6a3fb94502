"""Drawing the parts of a release: stratified by label, whole groups (artists) at a time, seeded.

Iterative stratification [1]_ over groups: the rarest label is served first, and each group goes to the part that still
wants most of it. Groups differ in size, so the greedy draw is repeated in several seeded orders and the draw nearest to the
wanted counts is kept, one in which every part has every label before any other. A clip inherits its track's part, so no song can have pieces in two parts.

References
----------
.. [1] K. Sechidis, G. Tsoumakas, I. Vlahavas. On the Stratification of Multi-label Data. ECML PKDD 2011.
"""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

Members = Mapping[str, Counter[str]]
Wanted = Mapping[str, Mapping[str, float]]
N_DRAWS, MOST_STEPS = 40, 100_000  # draws, and groups drawn in all: many groups come out even at the first try
PAPER_PARTS: Mapping[str, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}  # section 3.4


def draw_parts(
    labels: Sequence[str], groups: Sequence[str], *, seed: int, parts: Mapping[str, float] = PAPER_PARTS,
    sizes: Mapping[str, int] | None = None, kept: Sequence[str] | None = None,
) -> list[str]:  # fmt: skip
    """Assign every item to a part.

    Parameters
    ----------
    labels, groups : sequences of str [same length n]
        The label of each item, and the group that must not be torn apart (an artist, or the item itself).
    seed : int
        The same input and seed give the same parts, whatever order Python's sets have.
    parts : mapping of part to share
        Shares are positive and add up to 1.
    sizes : mapping of part to number of items, optional
        Instead of the shares; they add up to n. Met exactly where every item is a group of its own, as nearly as groups allow elsewhere.
    kept : sequence of str [length n], optional
        The part that an item has from an earlier draw, else empty: it stays there, and new items of its group join it. A
        group that stands in several parts already (an artist's name was mended since) is not moved; its new items join the first.

    Returns
    -------
    list of str [length n]
        The part of each item. Every part gets at least one group when there are as many groups as parts.

    Raises
    ------
    ValueError
        Lengths differ, or shares do not add up to 1.
    """
    if len(labels) != len(groups):
        raise ValueError(f"{len(labels)} labels but {len(groups)} groups")
    if sizes is not None:
        if min(sizes.values()) < 1 or sum(sizes.values()) != len(labels):
            raise ValueError(f"The sizes of the parts must be positive and add up to {len(labels)}: {dict(sizes)}")
        parts = {part: size / len(labels) for part, size in sizes.items()}
    if any(share <= 0 for share in parts.values()) or abs(sum(parts.values()) - 1) > 1e-9:
        raise ValueError(f"The shares of the parts must be positive and add up to 1: {dict(parts)}")
    settled: dict[str, str] = {}
    groups = list(groups)
    for number, part in enumerate(kept or ()):
        if part not in parts:
            continue
        if settled.setdefault(groups[number], part) != part:
            groups[number] = f"{groups[number]} in {part}"
            settled[groups[number]] = part
    members: dict[str, Counter[str]] = {}
    for label, group in zip(labels, groups, strict=True):
        members.setdefault(group, Counter())[label] += 1
    totals = Counter(labels)
    wanted: Wanted = {part: {label: share * totals[label] for label in totals} for part, share in parts.items()}
    if sizes is not None:
        wanted = _whole(wanted, sizes, totals)
    rng = np.random.default_rng(seed)
    n_draws = max(3, min(N_DRAWS, MOST_STEPS // len(members))) if 0 < len(members) < len(labels) else 1
    draws = [_draw(members, wanted, settled, rng) for _ in range(n_draws)]
    assigned = min(draws, key=lambda draw: (_n_lacking(draw, members, wanted), _distance(draw, members, wanted)))
    return [assigned[group] for group in groups]


def _whole(wanted: Wanted, sizes: Mapping[str, int], totals: Mapping[str, int]) -> Wanted:
    """The wanted counts as whole numbers that add up to the sizes of the parts and the totals of the labels: the largest part takes the rest."""
    largest = max(sizes, key=lambda part: sizes[part])
    left = dict(totals)
    found: dict[str, dict[str, float]] = {}
    for part, size in sizes.items():
        if part == largest:
            continue
        counts = {label: int(count) for label, count in wanted[part].items()}
        while sum(counts.values()) < size:  # where most is wanted still, of labels that are left
            open_labels = [label for label in counts if left[label] > counts[label]]
            counts[
                max(open_labels, key=lambda label: (wanted[part][label] - counts[label], left[label] - counts[label], label))
            ] += 1
        for label, count in counts.items():
            left[label] -= count
        found[part] = dict(counts)
    return {part: found.get(part, left) for part in sizes}


def read_parts(content: bytes) -> dict[int, str]:
    """A split from a CSV with the columns track_id and part; of several in a column split the first. ValueError names the line and what is wrong with it."""
    try:
        rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        columns = rows.fieldnames or []
        if not {"track_id", "part"} <= set(columns):
            raise ValueError(f"A split needs the columns track_id and part; it has: {', '.join(columns)[:200] or 'none'}.")
        parts: dict[int, str] = {}
        split: str | None = None
        for row in rows:
            split = row.get("split") if split is None else split
            if row.get("split") != split:  # a release's own table holds its folds as well
                continue
            number, part = (row["track_id"] or "").strip(), (row["part"] or "").strip()
            if not number.isdecimal() or len(number) > 18:
                raise ValueError(f"Line {rows.line_num}: “{number[:40]}” is no number of a track.")
            if parts.setdefault(int(number), part) != part:
                raise ValueError(f"Line {rows.line_num}: track {number} is in two parts, {parts[int(number)]} and {part[:40]}.")
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"The split cannot be read as a UTF-8 CSV: {error}") from None
    return parts


def draw_folds(
    labels: Sequence[str], groups: Sequence[str], *, seed: int, n_folds: int = 5, kept: Sequence[str] | None = None
) -> list[str]:
    """The fold ("fold 1" ...) of each item, stratified by label and grouped, as `draw_parts`.

    But a group that stands in several folds already comes together in the one that holds most of it: every track is tested in folds, so that
    nothing is gained by leaving it where it was, and a torn artist would flatter every figure. Where that leaves a fold empty, or all groups of
    a label in one fold, none is kept.
    """
    parts = {f"fold {number}": 1 / n_folds for number in range(1, n_folds + 1)}
    if kept is not None:
        held: dict[str, Counter[str]] = {}
        for group, fold in zip(groups, kept, strict=True):
            if fold in parts:
                held.setdefault(group, Counter())[fold] += 1
        kept = [max(held[group], key=lambda fold: held[group][fold]) if group in held else "" for group in groups]
        drawn = draw_parts(labels, groups, seed=seed, parts=parts, kept=kept)
        if len(set(drawn)) == n_folds and not _in_one(labels, groups) < _in_one(labels, drawn):
            return drawn
    return draw_parts(labels, groups, seed=seed, parts=parts)


def _in_one(labels: Sequence[str], places: Sequence[str]) -> set[str]:
    """Labels of which all items are in one place."""
    return {label for label, n in Counter(label for label, _place in set(zip(labels, places, strict=True))).items() if n == 1}


def _draw(members: Members, wanted: Wanted, settled: Mapping[str, str], rng: np.random.Generator) -> dict[str, str]:
    """One greedy assignment of the groups in a random order that favours large ones while there is room for them."""
    waiting = sorted(members.keys() - settled.keys())
    rng.shuffle(waiting)
    waiting.sort(key=lambda group: -members[group].total() * rng.uniform(0.3, 1))
    missing = {part: dict(counts) for part, counts in wanted.items()}
    sizes = {part: sum(counts.values()) for part, counts in wanted.items()}
    left: Counter[str] = Counter()
    for counts in members.values():
        left.update(counts)
    assigned = dict(settled)
    for group, part in settled.items():
        for label, count in members[group].items():
            missing[part][label] -= count
            left[label] -= count
    used = set(assigned.values())
    of_label = {label: iter([group for group in waiting if members[group][label]]) for label in left}
    for n_left in range(len(waiting) - 1, -1, -1):
        rarest = min((label for label in left if left[label] > 0), key=lambda label: (left[label], label))
        group = next(group for group in of_label[rarest] if group not in assigned)
        empty = [part for part in wanted if part not in used]
        # The last groups go to parts that would otherwise stay empty.
        choices = empty if empty and n_left < len(empty) else list(wanted)
        assigned[group] = max(choices, key=lambda part: (_fit(missing[part], members[group], rarest), sizes[part]))
        used.add(assigned[group])
        for label, count in members[group].items():
            missing[assigned[group]][label] -= count
            left[label] -= count
    return assigned


def _n_lacking(assigned: Mapping[str, str], members: Members, wanted: Wanted) -> int:
    """How many times a part lacks a label: what is not there can be neither learned nor tested."""
    present = {(part, label) for group, part in assigned.items() for label in members[group]}
    return sum((part, label) not in present for part, counts in wanted.items() for label in counts)


def _distance(assigned: Mapping[str, str], members: Members, wanted: Wanted) -> float:
    """How far a draw is from the wanted counts, relative to them, over parts (size) and their labels (balance)."""
    found: dict[str, Counter[str]] = {part: Counter() for part in wanted}
    for group, part in assigned.items():
        found[part].update(members[group])
    distance = 0.0
    for part, counts in wanted.items():
        size = sum(counts.values())
        distance += 2 * abs(found[part].total() - size) / size
        distance += sum(abs(found[part][label] - count) for label, count in counts.items()) / size
    return distance


def _fit(wanted: Mapping[str, float], group: Mapping[str, int], rarest: str) -> tuple[float, float]:
    """How well a part can use a group: its want of the rarest label less what the group would overfill, then its total want."""
    overfill = sum(max(0.0, count - max(0.0, wanted[label])) for label, count in group.items())
    return (wanted[rarest] - overfill, sum(wanted.values()))
