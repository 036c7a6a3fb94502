"""Drawing the parts of a release: stratified by label, whole groups (artists) at a time, seeded.

Iterative stratification [1]_ over groups: the rarest label is served first, and each group goes to the part that still
wants most of it. A clip inherits its track's part, so no song can have pieces in two parts.

References
----------
.. [1] K. Sechidis, G. Tsoumakas, I. Vlahavas. On the Stratification of Multi-label Data. ECML PKDD 2011.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

PAPER_PARTS: Mapping[str, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}  # section 3.4


def draw_parts(
    labels: Sequence[str], groups: Sequence[str], *, seed: int, parts: Mapping[str, float] = PAPER_PARTS
) -> list[str]:
    """Assign every item to a part.

    Parameters
    ----------
    labels, groups : sequences of str [same length n]
        The label of each item, and the group that must not be torn apart (an artist, or the item itself).
    seed : int
        The same input and seed give the same parts, whatever order Python's sets have.
    parts : mapping of part to share
        Shares are positive and add up to 1.

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
    if any(share <= 0 for share in parts.values()) or abs(sum(parts.values()) - 1) > 1e-9:
        raise ValueError(f"The shares of the parts must be positive and add up to 1: {dict(parts)}")
    members: dict[str, Counter[str]] = {}
    for label, group in zip(labels, groups, strict=True):
        members.setdefault(group, Counter())[label] += 1
    order = sorted(members)
    np.random.default_rng(seed).shuffle(order)
    order.sort(key=lambda group: -members[group].total())  # large groups while there is room for them; ties stay shuffled

    totals = Counter(labels)
    wanted = {part: {label: share * totals[label] for label in totals} for part, share in parts.items()}
    assigned: dict[str, str] = {}
    left = Counter(totals)
    waiting = list(order)
    while waiting:
        rarest = min((label for label in left if left[label] > 0), key=lambda label: (left[label], label))
        group = next(group for group in waiting if members[group][rarest])
        waiting.remove(group)
        empty = [part for part in parts if part not in assigned.values()]
        # The last groups go to parts that would otherwise stay empty.
        choices = empty if empty and len(waiting) < len(empty) else list(parts)
        assigned[group] = max(choices, key=lambda part: (_fit(wanted[part], members[group], rarest), parts[part]))
        for label, count in members[group].items():
            wanted[assigned[group]][label] -= count
            left[label] -= count
    return [assigned[group] for group in groups]


def _fit(wanted: Mapping[str, float], group: Mapping[str, int], rarest: str) -> tuple[float, float]:
    """How well a part can use a group: its want of the rarest label less what the group would overfill, then its total want."""
    overfill = sum(max(0.0, count - max(0.0, wanted[label])) for label, count in group.items())
    return (wanted[rarest] - overfill, sum(wanted.values()))
