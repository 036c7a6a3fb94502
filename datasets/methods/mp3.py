"""The frames of an mp3 file and nothing else: no tags, no pictures, no trailers.

Decoders skip what is not a frame, and a copy by ffmpeg may carry it along with the frame before it. The length of each frame stands in
its header (ISO/IEC 11172-3, 2.4.1.3 and 2.4.2.3; ISO/IEC 13818-3 for the lower rates), so that a file can be copied frame by frame.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

# kbit/s by the header's index; 0 is the free format, whose frames do not say how long they are.
BITRATES = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG 1, layer III
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2 and 2.5, layer III
}
RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # Hz by the header's version
PIECE = 4 * 1024**2  # bytes; a multiple of a page
SAME = 0xFFFE_0C00  # what all headers of a stream share: sync, version, layer, sampling rate


def copy_frames(source: Path, target: Path) -> float:
    """Write the layer III frames of `source` to `target` and return how long they sound, in seconds; 0.0 without any.

    A frame counts when another of the same stream follows it at once or came just before it.
    """
    seconds = 0.0
    with source.open("rb") as file, target.open("wb") as copy, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        given_back = 0
        for start, length, duration_s in _frames(data):
            copy.write(data[start : start + length])
            seconds += duration_s
            if start - given_back >= PIECE:  # what was copied need not stay in memory
                data.madvise(mmap.MADV_DONTNEED, given_back, PIECE)
                given_back += PIECE
    return seconds


def _frames(data: mmap.mmap) -> Iterator[tuple[int, int, float]]:
    at, stream, chained = _after_id3(data), 0, False
    while 0 <= at <= len(data) - 4:
        header = int.from_bytes(data[at : at + 4], "big")
        length, duration_s = _measure(header)
        fits = length and at + length <= len(data) and (not stream or header & SAME == stream)
        if fits and not chained:
            follower = int.from_bytes(data[at + length : at + length + 4], "big")
            fits = follower & SAME == header & SAME and bool(_measure(follower)[0])
        if not fits:
            chained, at = False, data.find(b"\xff", at + 1)
            continue
        stream, chained = header & SAME, True
        yield at, length, duration_s
        at += length


def _after_id3(data: mmap.mmap) -> int:
    """Where an ID3v2 tag at the beginning ends (7 bits a byte)."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if data[5] & 0x10 else 0)


def _measure(header: int) -> tuple[int, float]:
    """Length in bytes and in seconds of the frame that has this header; (0, 0.0) for what is no layer III header."""
    version, layer, index, rate = header >> 19 & 3, header >> 17 & 3, header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or version == 1 or layer != 1 or index in (0, 15) or rate == 3:
        return 0, 0.0
    samples = 1152 if version == 3 else 576
    sample_rate = RATES[version][rate]
    return samples // 8 * BITRATES[version == 3][index] * 1000 // sample_rate + (header >> 9 & 1), samples / sample_rate
