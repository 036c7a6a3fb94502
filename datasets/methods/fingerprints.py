"""The same recording in another encoding or with other edges, found by its sound.

A fingerprint is what chromaprint [1]_ (inside ffmpeg) makes of a recording: one 32-bit number every 0.124 s, of which neighbours in
pitch and time decide the bits. Another encoding flips a few bits, another beginning only moves the numbers. So two recordings are
the same where their numbers, laid over each other at the best offset, differ in few bits; unrelated ones differ in about half.

Conventions
-----------
items : uint32 array [shape=(n,)], one every `ITEM_S` seconds.

References
----------
.. [1] L. Lalinský. Chromaprint, https://acoustid.org/chromaprint; algorithm after Y. Ke, D. Hoiem, R. Sukthankar. Computer Vision
   for Music Identification. CVPR 2005.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ITEM_S = 1365 / 11_025  # chromaprint's hop at its own sampling rate
LONGEST_S = 300  # of a recording that is fingerprinted
SAMPLED = 16  # one in so many values is a key under which a recording is looked up
SHORT, SAMPLED_OF_SHORT = 1000, 4  # a recording of fewer values (two minutes), of which one in 16 could miss a short overlap
MOST_DIFFERENT = 0.30  # share of differing bits; unrelated music has about 0.5, the same at 48 kbit/s under 0.05
SHORTEST_OVERLAP = 80  # items, about 10 s
LEAST_SHARE = 0.5  # of the shorter recording that must lie under the longer one
COMMON = 20  # a value that comes more often in one recording (silence, a held tone) says nothing of the offset

Items = NDArray[np.uint32]


@dataclass(frozen=True)
class Match:
    """offset_s : where the second recording begins in the first, negative when it begins earlier. overlap_s : seconds that both hold.
    similarity : 1 minus the share of differing bits there, float in (0.7, 1]."""

    offset_s: float
    overlap_s: float
    similarity: float


def read_items(raw: bytes) -> Items:
    """ffmpeg's `-f chromaprint -fp_format raw`: little-endian numbers, one after the other."""
    return np.frombuffer(raw[: len(raw) // 4 * 4], dtype="<u4").astype(np.uint32)


def keys(items: Items) -> list[int]:
    """A sample of the distinct values, sorted: the same value is in or out whatever recording it is in (sampling by hash)."""
    values = np.unique(items)
    mixed = (values.astype(np.uint64) * np.uint64(2_654_435_761)) & np.uint64(0xFFFFFFFF)  # Knuth's multiplicative hash
    sampled = SAMPLED if items.size >= SHORT else SAMPLED_OF_SHORT  # the keys of the one rate are keys of the other
    return [int(value) for value in values[(mixed >> np.uint64(12)) % np.uint64(sampled) == 0]]


def match(first: Items, second: Items) -> Match | None:
    """How two recordings lie over each other when they are the same, else None."""
    offset = _offset(first, second)
    if offset is None:
        return None
    best: Match | None = None
    for shift in range(offset - 1, offset + 2):
        start, stop = max(0, shift), min(len(first), len(second) + shift)
        overlap = stop - start
        if overlap < max(SHORTEST_OVERLAP, LEAST_SHARE * min(len(first), len(second))):
            continue
        differing = np.bitwise_count(first[start:stop] ^ second[start - shift : stop - shift]).mean() / 32
        if differing <= MOST_DIFFERENT and (best is None or 1 - differing > best.similarity):
            best = Match(shift * ITEM_S, overlap * ITEM_S, float(1 - differing))
    return best


def _offset(first: Items, second: Items) -> int | None:
    """The most frequent distance between equal values; None when no value is shared."""
    places = {int(value): np.flatnonzero(first == value) for value in np.intersect1d(first, second)}
    distances = [
        (here[:, None] - there[None, :]).ravel()
        for value, here in places.items()
        if len(here) <= COMMON and len(there := np.flatnonzero(second == value)) <= COMMON
    ]
    if not distances:
        return None
    found, counts = np.unique(np.concatenate(distances), return_counts=True)
    return int(found[counts.argmax()])
